//! What a container is given, what is taken from it, and what it costs.

use bollard::query_parameters::ListVolumesOptions;
use futures_util::{StreamExt as _, stream};
use timerose::sandbox::{Fault, Stdout};

use crate::docker_room::{self, Room, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gets_arguments_input_and_environment_and_gives_its_output() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let mut attempt = room.attempt(&[
        "/bin/sh",
        "-c",
        "cat; echo $0 $1 $COLOUR $HOME; echo heard >&2",
    ]);
    attempt.args = vec!["a".into(), 7.into()];
    attempt.env.insert("COLOUR".into(), "red".into());
    attempt.stdin = Some(stream::iter([Ok("from ".into()), Ok("stdin\n".into())]).boxed());
    let output = room.run(attempt).await.unwrap();
    assert_eq!(text(&output), "from stdin\na 7 red /tmp\n");
    assert_eq!(std::fs::read_to_string(&output.logs).unwrap(), "heard\n");
    assert!(output.out_dir.is_none());
    assert!(output.usage.run_us > 0 && output.usage.cold);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_at_in_and_another_written_at_out() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let mut attempt =
        room.shell("cat /in/a/b > /out/copy; mkdir /out/d; echo x > /out/d/f; echo no > /in/a/c");
    let input = attempt.work.join("in");
    std::fs::create_dir_all(input.join("a")).unwrap();
    std::fs::write(input.join("a/b"), "given").unwrap();
    attempt.input_dir = Some(input.clone());
    let fault = room.fault(attempt).await;
    assert_eq!(fault, Fault::Exit(1), "/in is read-only");
    assert!(!input.join("a/c").exists());
    let mut again = room.shell("cat /in/a/b > /out/copy; mkdir /out/d; echo x > /out/d/f");
    again.input_dir = Some(input);
    let output = room.run(again).await.unwrap();
    let out = output.out_dir.unwrap();
    assert_eq!(std::fs::read_to_string(out.join("copy")).unwrap(), "given");
    assert_eq!(std::fs::read_to_string(out.join("d/f")).unwrap(), "x\n");
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_output_goes_to_a_file_and_much_input_is_streamed() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let mut attempt = room.attempt(&["/bin/cat"]);
    let piece = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    attempt.stdin = Some(stream::iter(vec![piece; 20]).map(Ok).boxed());
    let output = room.run(attempt).await.unwrap();
    assert!(matches!(output.stdout, Stdout::File(_)));
    assert_eq!(output.stdout.read().unwrap().len(), 20 << 20);
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_and_a_command_that_is_not_there_are_faults_of_their_own() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let attempt = room.shell("echo why >&2; exit 7");
    let logs = attempt.work.join("stderr");
    assert_eq!(room.fault(attempt).await, Fault::Exit(7));
    let said = std::fs::read_to_string(logs).unwrap();
    assert_eq!(said, "why\ntimerose: the function exited with code 7\n");
    let nothing = room.attempt(&["/bin/nothing"]);
    let logs = nothing.work.join("stderr");
    assert_eq!(room.fault(nothing).await, Fault::Exit(127));
    let said = std::fs::read_to_string(logs).unwrap();
    assert!(
        said.contains("exec /bin/nothing failed: No such file"),
        "{said}"
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_images_own_command_user_and_volumes_do_not_widen_what_it_may() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let about = serde_json::json!({
        "User": "0:0", "Cmd": ["/bin/sh", "-c", "id -u; pwd; echo x > /data/f && wc -c /data/f"],
        "WorkingDir": "/bin", "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["CMD", "/bin/false"], "Interval": 1_000_000},
    });
    let image = room
        .load(&[crate::support::engine::busybox()], &about)
        .await;
    let mut attempt = room.attempt(&[]);
    docker_room::container(&mut attempt).image = image;
    let output = room.run(attempt).await.unwrap();
    assert_eq!(text(&output), "65534\n/bin\n2 /data/f\n");
    let volumes = room.engine().list_volumes(None::<ListVolumesOptions>).await;
    let volumes = volumes.unwrap().volumes.unwrap_or_default();
    assert!(
        volumes.is_empty(),
        "what it wrote lay in memory: {volumes:?}"
    );
    room.close().await;
}
