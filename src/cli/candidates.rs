//! The candidates of a placement as a table with bars. Pure: values in, text
//! out.

use super::table::{bytes, table, tail};
use crate::compute::{Candidate, Explanation, Terms};

/// Columns of the longest bar.
const BAR: u64 = 24;

/// Takes one term out of a prediction.
type Term = fn(&Terms) -> u64;

/// The terms of a prediction with the letter that draws them.
const LETTERS: [(char, &str, Term); 5] = [
    ('·', "rtt", |t| t.rtt),
    ('░', "queue", |t| t.queue),
    ('▒', "fetch", |t| t.fetch),
    ('▓', "cold", |t| t.cold),
    ('█', "run", |t| t.run),
];

/// Every candidate, best first, with its terms; the chosen one is marked.
pub(crate) fn show(explanation: &Explanation) -> String {
    if explanation.candidates.is_empty() {
        return "no candidates were found".to_owned();
    }
    let willing = explanation.candidates.iter().filter(|c| c.veto.is_none());
    let longest = willing.map(|c| c.predicted_ms).max().unwrap_or(0);
    let rows = explanation.candidates.iter().map(|candidate| {
        let chosen = explanation.chosen.as_deref() == Some(candidate.peer.as_str());
        row(candidate, chosen, longest)
    });
    let header = [
        "", "PEER", "MS", "", "RTT", "QUEUE", "FETCH", "COLD", "RUN", "LOCAL", "MISSING",
        "FOUND BY",
    ];
    let legend: Vec<_> = LETTERS
        .iter()
        .map(|(c, name, _)| format!("{c} {name}"))
        .collect();
    format!(
        "{}\nbar: {}, milliseconds each",
        table(&header, rows),
        legend.join("  ")
    )
}

fn row(candidate: &Candidate, chosen: bool, longest: u64) -> Vec<String> {
    let mark = if chosen { "→" } else { "" };
    let terms = LETTERS
        .iter()
        .map(|(_, _, term)| term(&candidate.terms).to_string());
    let (predicted, bar) = match &candidate.veto {
        Some(veto) => ("–".to_owned(), format!("not: {veto}")),
        None => (
            candidate.predicted_ms.to_string(),
            bar(&candidate.terms, longest),
        ),
    };
    let peer = match &candidate.via {
        Some(relay) => format!("{} via {}", tail(&candidate.peer), tail(relay)),
        None => tail(&candidate.peer),
    };
    let mut row = vec![mark.to_owned(), peer, predicted, bar];
    row.extend(terms);
    row.push(bytes(candidate.bytes_local));
    row.push(bytes(candidate.bytes_missing));
    row.push(candidate.sources.join(","));
    row
}

/// A stacked bar in which `longest` milliseconds fill [`BAR`] columns. The
/// borders between terms are rounded, not the terms, so that lengths add up.
fn bar(terms: &Terms, longest: u64) -> String {
    let mut text = String::new();
    let (mut sum, mut drawn) = (0_u64, 0_u64);
    for (letter, _, term) in LETTERS {
        sum = sum.saturating_add(term(terms));
        let end = sum.saturating_mul(BAR).div_ceil(longest.max(1)).min(BAR);
        text.extend((drawn..end).map(|_| letter));
        drawn = end.max(drawn);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(peer: &str, terms: Terms, veto: Option<&str>) -> Candidate {
        Candidate {
            peer: format!("12D3KooW{peer}"),
            predicted_ms: terms.sum(),
            terms,
            bytes_local: 50 << 20,
            bytes_missing: 0,
            sources: vec!["input".into(), "advert".into()],
            via: peer
                .starts_with("far")
                .then(|| "12D3KooWnear0001".to_owned()),
            veto: veto.map(str::to_owned),
        }
    }

    #[test]
    fn the_table_shows_who_was_chosen_and_why_not_the_others() {
        let near = Terms {
            rtt: 2,
            queue: 0,
            fetch: 0,
            cold: 40,
            run: 60,
        };
        let far = Terms {
            rtt: 30,
            queue: 20,
            fetch: 900,
            cold: 0,
            run: 60,
        };
        let explanation = Explanation {
            chosen: Some("12D3KooWnear0001".to_owned()),
            candidates: vec![
                candidate("near0001", near, None),
                candidate("far00002", far, None),
                candidate(
                    "deaf0003",
                    Terms::default(),
                    Some("does not let you run code"),
                ),
            ],
        };
        insta::assert_snapshot!(show(&explanation), @r"
           PEER                     MS                                    RTT  QUEUE  FETCH  COLD  RUN  LOCAL     MISSING  FOUND BY
        →  …near0001                102   ·██                             2    0      0      40    60   50.0 MiB  0 B      input,advert
           …far00002 via …near0001  1010  ·░▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒█        30   20     900    0     60   50.0 MiB  0 B      input,advert
           …deaf0003                –     not: does not let you run code  0    0      0      0     0    50.0 MiB  0 B      input,advert
        bar: · rtt  ░ queue  ▒ fetch  ▓ cold  █ run, milliseconds each
        ");
    }

    #[test]
    fn a_bar_is_never_longer_than_its_room() {
        let terms = Terms {
            rtt: u64::MAX,
            queue: 1,
            fetch: 1,
            cold: 1,
            run: 1,
        };
        assert!(bar(&terms, 1).chars().count() as u64 <= BAR);
        assert_eq!(bar(&Terms::default(), 0), "");
    }
}
