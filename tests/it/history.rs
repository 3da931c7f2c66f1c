//! The judge of histories is judged: by bad ones made by hand, each of which it
//! must name, and by good ones that it must let pass.

use std::{collections::BTreeSet, time::Duration};

use crate::support::history::{Event, Verdict, judge};

/// What everybody wants doubled.
fn oracle(input: &str) -> Vec<u8> {
    let number: u64 = input.parse().unwrap();
    (2 * number).to_string().into_bytes()
}

fn ask(key: &str) -> Event {
    Event::Asked {
        key: key.to_owned(),
        input: key.to_owned(),
        within: Duration::from_secs(60),
    }
}

fn acknowledge(key: &str, invocation: &str) -> Event {
    let (key, invocation) = (key.to_owned(), invocation.to_owned());
    Event::Acknowledged { key, invocation }
}

fn succeed(invocation: &str, receipt: &str) -> Event {
    let (invocation, receipt) = (invocation.to_owned(), receipt.to_owned());
    Event::Succeeded {
        invocation,
        receipt,
    }
}

fn fail(invocation: &str) -> Event {
    let (invocation, class) = (invocation.to_owned(), "node".to_owned());
    Event::Failed { invocation, class }
}

fn fetch(invocation: &str, output: &str) -> Event {
    let output = Some(output.as_bytes().to_vec());
    Event::Fetched {
        invocation: invocation.to_owned(),
        output,
    }
}

fn fetch_in_vain(invocation: &str) -> Event {
    Event::Fetched {
        invocation: invocation.to_owned(),
        output: None,
    }
}

/// The verdict on events a second apart.
fn verdict(events: Vec<Event>) -> Verdict {
    let each = (0..).map(Duration::from_secs);
    judge(&each.zip(events).collect::<Vec<_>>(), oracle)
}

/// The verdict names exactly `names` under a class, and nothing else.
#[track_caller]
fn is_bad(events: Vec<Event>, class: fn(&mut Verdict) -> &mut BTreeSet<String>, names: &[&str]) {
    let mut verdict = verdict(events);
    let found = std::mem::take(class(&mut verdict));
    let names: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(found, names);
    assert!(verdict.is_clean(), "and more: {verdict:?}");
}

#[test]
fn what_was_acknowledged_and_never_ended_is_lost() {
    let lost: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.lost;
    is_bad(vec![ask("1"), acknowledge("1", "a")], lost, &["a"]);
    let one_of_two = vec![
        ask("1"),
        ask("2"),
        acknowledge("1", "a"),
        acknowledge("2", "b"),
        succeed("b", "r"),
        fetch("b", "4"),
    ];
    is_bad(one_of_two, lost, &["a"]);
    let output_without_end = vec![ask("1"), acknowledge("1", "a"), fetch("a", "2")];
    is_bad(output_without_end, lost, &["a"]);
    let one_name_for_two = vec![
        ask("1"),
        ask("2"),
        acknowledge("1", "a"),
        acknowledge("2", "a"),
        succeed("a", "r"),
        fetch("a", "2"),
    ];
    is_bad(one_name_for_two, lost, &["2"]);
}

#[test]
fn what_ended_twice_is_double() {
    let double: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.double;
    let begin = || vec![ask("1"), acknowledge("1", "a")];
    let with = |more: Vec<Event>| [begin(), more].concat();
    let two_receipts = vec![succeed("a", "r"), fetch("a", "2"), succeed("a", "s")];
    is_bad(with(two_receipts), double, &["a"]);
    let failed_then_succeeded = vec![fail("a"), succeed("a", "r"), fetch("a", "2")];
    is_bad(with(failed_then_succeeded), double, &["a"]);
    let succeeded_then_failed = vec![succeed("a", "r"), fetch("a", "2"), fail("a")];
    is_bad(with(succeeded_then_failed), double, &["a"]);
    is_bad(with(vec![fail("a"), fail("a")]), double, &["a"]);
    let two_invocations = vec![
        acknowledge("1", "b"),
        succeed("a", "r"),
        fetch("a", "2"),
        succeed("b", "s"),
        fetch("b", "2"),
    ];
    is_bad(with(two_invocations), double, &["1"]);
}

#[test]
fn what_the_oracle_does_not_say_is_wrong() {
    let wrong: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.wrong;
    let with = |more: Vec<Event>| {
        let begin = vec![ask("1"), acknowledge("1", "a"), succeed("a", "r")];
        [begin, more].concat()
    };
    is_bad(with(vec![fetch("a", "3")]), wrong, &["a"]);
    is_bad(with(vec![fetch("a", "")]), wrong, &["a"]);
    is_bad(with(vec![fetch("a", "2"), fetch("a", "3")]), wrong, &["a"]);
    let swapped = vec![
        ask("2"),
        acknowledge("2", "b"),
        succeed("b", "s"),
        fetch("a", "4"),
        fetch("b", "2"),
    ];
    is_bad(with(swapped), wrong, &["a", "b"]);
}

#[test]
fn what_nobody_asked_for_is_a_phantom() {
    let phantom: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.phantom;
    is_bad(vec![succeed("a", "r")], phantom, &["a"]);
    is_bad(vec![fail("a")], phantom, &["a"]);
    is_bad(vec![fetch("a", "2")], phantom, &["a"]);
    is_bad(vec![acknowledge("1", "a")], phantom, &["a"]);
    let unacknowledged = vec![ask("1"), succeed("a", "r"), fetch("a", "2")];
    is_bad(unacknowledged, phantom, &["a"]);
}

#[test]
fn what_ends_after_deadline_and_bound_is_stuck() {
    let stuck: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.stuck;
    let at = |end: Event, seconds: u64| {
        let begin = [ask("1"), acknowledge("1", "a")].map(|event| (Duration::ZERO, event));
        let end = [(Duration::from_secs(seconds), end)];
        let fetched = [(Duration::from_secs(seconds), fetch("a", "2"))];
        let events = begin.into_iter().chain(end).chain(fetched);
        let mut verdict = judge(&events.collect::<Vec<_>>(), oracle);
        std::mem::take(stuck(&mut verdict)).len()
    };
    assert_eq!(at(succeed("a", "r"), 91), 1);
    assert_eq!(at(fail("a"), 91), 1);
    assert_eq!(at(succeed("a", "r"), 90), 0);
}

#[test]
fn what_succeeded_and_cannot_be_had_is_unfetchable() {
    let unfetchable: fn(&mut Verdict) -> &mut BTreeSet<String> = |verdict| &mut verdict.unfetchable;
    let begin = || vec![ask("1"), acknowledge("1", "a"), succeed("a", "r")];
    is_bad(begin(), unfetchable, &["a"]);
    let in_vain = [begin(), vec![fetch_in_vain("a")]].concat();
    is_bad(in_vain, unfetchable, &["a"]);
}

#[test]
fn good_histories_pass() {
    let none: (Vec<Event>, u64) = (Vec::new(), 0);
    let plain = vec![
        ask("1"),
        ask("2"),
        acknowledge("2", "b"),
        acknowledge("1", "a"),
        succeed("a", "r"),
        fetch("a", "2"),
        succeed("b", "s"),
        fetch("b", "4"),
    ];
    let unanswered = vec![ask("1")];
    let asked_again = vec![
        ask("1"),
        acknowledge("1", "a"),
        ask("1"),
        acknowledge("1", "a"),
        succeed("a", "r"),
        fetch("a", "2"),
    ];
    let told_twice = vec![
        ask("1"),
        acknowledge("1", "a"),
        succeed("a", "r"),
        succeed("a", "r"),
        fetch_in_vain("a"),
        fetch("a", "2"),
    ];
    let good = [
        none,
        (plain, 2),
        (unanswered, 0),
        (asked_again, 1),
        (told_twice, 1),
    ];
    for (events, succeeded) in good {
        let expected = Verdict {
            succeeded,
            ..Verdict::default()
        };
        assert_eq!(verdict(events.clone()), expected, "{events:?}");
    }
}

#[test]
fn a_failure_is_counted_by_its_class_and_breaks_no_promise() {
    let verdict = verdict(vec![ask("1"), acknowledge("1", "a"), fail("a")]);
    assert!(verdict.is_clean());
    assert_eq!(verdict.failed["node"], 1);
    assert_eq!(verdict.succeeded, 0);
}
