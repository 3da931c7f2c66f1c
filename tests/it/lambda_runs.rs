//! Ordinary Lambda handlers on AWS's own runtime interface clients: what they
//! are given, what comes back, how they fail.

use serde_json::json;
use timerose::sandbox::{Error, Fault};
use tokio::time::Instant;

use crate::{
    lambda_room::{LambdaRoom, answer, log},
    support::runtimes::{node_or_skip, python_or_skip},
};

const PYTHON: &str = "
import json, os, sys, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    print('heard', json.dumps(event))
    what = event.get('do')
    if what == 'raise':
        raise ValueError('no ' + event['why'])
    if what == 'exit':
        os._exit(3)
    if what == 'sleep':
        time.sleep(60)
    if what == 'hog':
        x = ['x' * 1000000 for _ in range(2000)]
    if what == 'large':
        return 'x' * (7 << 20)
    if what == 'noisy':
        sys.stderr.write('y' * 200000)
    client = context.client_context
    return {
        'calls': calls,
        'event': event,
        'id': context.aws_request_id,
        'arn': context.invoked_function_arn,
        'left': context.get_remaining_time_in_millis(),
        'memory': context.memory_limit_in_mb,
        'custom': client.custom if client else None,
        'root': os.environ['LAMBDA_TASK_ROOT'],
        'colour': os.environ.get('COLOUR'),
        'trace': os.environ.get('_X_AMZN_TRACE_ID'),
    }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_python_handler_gets_its_event_and_context() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    let mut first = room.attempt(&code, r#"{"a": 1}"#);
    first.env.insert("COLOUR".into(), "red".into());
    first
        .env
        .insert("LAMBDA_TASK_ROOT".into(), "/elsewhere".into());
    first.args = vec![json!({"client_context": r#"{"custom": {"who": "me"}}"#})];
    let first_log = log(&first);
    let output = room.run(first).await.unwrap();
    let said = answer(&output);
    assert_eq!(said["event"], json!({"a": 1}));
    assert_eq!(
        (&said["calls"], &said["memory"]),
        (&json!(1), &json!("256"))
    );
    assert_eq!(said["custom"], json!({"who": "me"}));
    assert_eq!(
        (&said["root"], &said["colour"]),
        (&json!("/var/task"), &json!("red"))
    );
    let left = said["left"].as_u64().unwrap();
    assert!((10_000..=20_000).contains(&left), "{left}");
    assert!(
        said["arn"].as_str().unwrap().ends_with(":function:test"),
        "{said}"
    );
    assert!(
        said["trace"].as_str().unwrap().starts_with("Root=1-"),
        "{said}"
    );
    assert!(output.usage.cold);
    let id = said["id"].as_str().unwrap();
    let text = std::fs::read_to_string(first_log).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        format!("START RequestId: {id} Version: $LATEST"),
        "{text}"
    );
    assert!(text.contains("heard {\"a\": 1}\n"), "{text}");
    assert_eq!(
        lines[lines.len() - 2],
        format!("END RequestId: {id}"),
        "{text}"
    );
    assert!(lines[lines.len() - 1].contains("Init Duration: "), "{text}");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_event_finds_the_container_warm_and_has_a_log_of_its_own() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    let first = room.run(room.attempt(&code, r#"{"a": 1}"#)).await.unwrap();
    assert!(first.usage.cold);
    let again = room.attempt(&code, "{}");
    let again_log = log(&again);
    let output = room.run(again).await.unwrap();
    assert_eq!(answer(&output)["calls"], 2, "the same container");
    assert!(!output.usage.cold);
    let text = std::fs::read_to_string(again_log).unwrap();
    assert!(
        !text.contains("Init Duration") && !text.contains("\"a\""),
        "{text}"
    );
    assert_eq!(room.room.containers().await, 1);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_fail_has_its_own_payload_and_the_next_call_works() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    let error = room
        .error(room.attempt(&code, r#"{"do": "raise", "why": "way"}"#))
        .await;
    assert_eq!(
        (&error["errorType"], &error["errorMessage"]),
        (&json!("ValueError"), &json!("no way"))
    );
    assert!(
        error["stackTrace"][0].as_str().unwrap().contains("app.py"),
        "{error}"
    );
    let after = room.run(room.attempt(&code, "{}")).await.unwrap();
    assert_eq!(
        answer(&after)["calls"],
        2,
        "an exception costs no container"
    );
    let error = room.error(room.attempt(&code, r#"{"do": "large"}"#)).await;
    assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
    let exiting = room.attempt(&code, r#"{"do": "exit"}"#);
    let id = match &exiting.program {
        timerose::sandbox::Program::Lambda(function) => function.request.clone(),
        _ => unreachable!(),
    };
    let error = room.error(exiting).await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    let message = format!("RequestId: {id} Error: Runtime exited with error: exit status 3");
    assert_eq!(error["errorMessage"], message);
    let error = room.error(room.attempt(&code, r#"{"do": "hog"}"#)).await;
    assert_eq!(error["errorType"], "Runtime.OutOfMemory", "{error}");
    let mut slow = room.attempt(&code, r#"{"do": "sleep"}"#);
    slow.limits.wall_ms = 1_500;
    let (slow_log, began) = (log(&slow), Instant::now());
    let late = room.run(slow).await;
    assert!(matches!(late, Err(Error::Deadline { .. })), "{late:?}");
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    let text = std::fs::read_to_string(slow_log).unwrap();
    assert!(
        text.contains("Error: Task timed out after 1.50 seconds"),
        "{text}"
    );
    let after = room.run(room.attempt(&code, "{}")).await.unwrap();
    assert_eq!(answer(&after)["calls"], 1, "a new container");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_be_loaded_fails_at_once_with_what_it_said() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let missing = room.code("app.py", PYTHON, "app.nothing");
    let began = Instant::now();
    let error = room.error(room.attempt(&missing, "{}")).await;
    assert_eq!(error["errorType"], "Runtime.HandlerNotFound", "{error}");
    let broken = room.code("app.py", "import nowhere", "app.handler");
    let error = room.error(room.attempt(&broken, "{}")).await;
    assert_eq!(error["errorType"], "Runtime.ImportModuleError", "{error}");
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_whole_and_within_its_limit() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    for limit in [1 << 20, 50_000] {
        let mut noisy = room.attempt(&code, r#"{"do": "noisy"}"#);
        noisy.limits.log_bytes = limit;
        let path = log(&noisy);
        room.run(noisy).await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let said = text.bytes().filter(|&byte| byte == b'y').count();
        match limit {
            50_000 => assert!(text.len() <= 50_000 && text.contains("[log cut at 50000 bytes]")),
            _ => assert!(said >= 200_000, "{said}"),
        }
    }
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_have_a_container_each_and_owners_share_none() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    let calls = (0..50).map(async |number| {
        let mut attempt = room.attempt(&code, &format!("{{\"n\": {number}}}"));
        attempt.limits.wall_ms = 120_000;
        attempt.limits.memory_bytes = 64 << 20;
        let output = room.run(attempt).await.unwrap();
        assert_eq!(answer(&output)["event"]["n"], number);
    });
    futures_util::future::join_all(calls).await;
    assert_eq!(room.lambda.warm(), 4, "no more stay warm than may");
    let mut foreign = room.attempt(&code, "{}");
    foreign.owner = "another".into();
    foreign.limits.memory_bytes = 64 << 20;
    let output = room.run(foreign).await.unwrap();
    assert!(output.usage.cold);
    assert_eq!(answer(&output)["calls"], 1);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_handler_runs_and_fails_as_on_aws() {
    let Some(room) = LambdaRoom::with(node_or_skip()).await else {
        return;
    };
    let text = "
        exports.handler = async (event, context) => {
            console.log('heard', event.a);
            if (event.fail) throw new TypeError('no');
            return {sum: event.a + event.b, id: context.awsRequestId};
        };";
    let code = room.code("index.js", text, "index.handler");
    let output = room
        .run(room.attempt(&code, r#"{"a": 2, "b": 3}"#))
        .await
        .unwrap();
    assert_eq!(answer(&output)["sum"], 5);
    let failing = room.attempt(&code, r#"{"fail": true}"#);
    let path = log(&failing);
    let error = room.error(failing).await;
    assert_eq!(
        (&error["errorType"], &error["errorMessage"]),
        (&json!("TypeError"), &json!("no"))
    );
    assert!(error["trace"][0].is_string(), "{error}");
    assert!(
        std::fs::read_to_string(path)
            .unwrap()
            .contains("heard undefined")
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_never_starts_a_container() {
    let Some(room) = LambdaRoom::with(python_or_skip()).await else {
        return;
    };
    let code = room.code("app.py", PYTHON, "app.handler");
    let large = room.attempt(&code, &"x".repeat((6 << 20) + 1));
    let refused = room.run(large).await;
    assert!(
        matches!(&refused, Err(Error::User(Fault::Function(why))) if why.contains("RequestTooLarge")),
        "{refused:?}"
    );
    assert_eq!(room.lambda.warm(), 0);
    room.close().await;
}
