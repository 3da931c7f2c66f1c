//! Lambda functions in a sandbox of their own: an image with a real runtime,
//! code written by each test.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures_util::{StreamExt as _, stream};
use timerose::{
    model::Limits,
    sandbox::{
        Attempt, Error, Fault, Function, Lambda, Output, Program, Sandbox as _, lambda::Config,
    },
    task::Tasks,
};
use tokio_util::sync::CancellationToken;

use crate::docker_room::Room;

pub(crate) struct LambdaRoom {
    pub(crate) room: Room,
    pub(crate) lambda: Lambda,
    image: String,
    tasks: Tasks,
}

/// A function whose code lies in a folder.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) folder: PathBuf,
    pub(crate) handler: String,
}

impl LambdaRoom {
    /// One whose functions run in an image of these layers. What the image
    /// itself begins would end at once.
    pub(crate) async fn with(layers: Option<Vec<Vec<u8>>>) -> Option<Self> {
        let layers = layers?;
        let room = Room::or_skip().await?;
        let begins = serde_json::json!({"Cmd": ["/bin/false"]});
        let image = room.load(&layers, &begins).await;
        let tasks = Tasks::new();
        let config = Config {
            work_dir: room.dir.path().to_owned(),
            runtimes: Vec::new(),
            max_warm: 4,
            idle_timeout: Duration::from_secs(60),
        };
        let lambda = Lambda::start(config, room.docker.clone(), &tasks);
        Some(Self {
            room,
            lambda,
            image,
            tasks,
        })
    }

    /// Code in a file of this name.
    pub(crate) fn code(&self, file: &str, text: &str, handler: &str) -> Code {
        let folder = tempfile::tempdir_in(self.room.dir.path()).unwrap().keep();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&folder, open).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
        Code {
            folder,
            handler: handler.to_owned(),
        }
    }

    pub(crate) fn attempt(&self, code: &Code, event: &str) -> Attempt {
        let mut attempt = self.room.shell("");
        attempt.program = Program::Lambda(Function {
            name: code.folder.display().to_string(),
            title: "test".to_owned(),
            request: ulid::Ulid::new().to_string(),
            image: self.image.clone(),
            code: Some(code.folder.clone()),
            handler: Some(code.handler.clone()),
            labels: BTreeMap::new(),
        });
        attempt.stdin = Some(stream::iter([Ok(event.to_owned().into())]).boxed());
        attempt.limits = Limits {
            wall_ms: 20_000,
            memory_bytes: 256 << 20,
            ..Limits::default()
        };
        attempt
    }

    pub(crate) async fn run(&self, attempt: Attempt) -> Result<Output, Error> {
        self.lambda.run(attempt, CancellationToken::new()).await
    }

    /// The error that the function is said to have ended with.
    pub(crate) async fn error(&self, attempt: Attempt) -> serde_json::Value {
        match self.run(attempt).await {
            Err(Error::User(Fault::Function(payload))) => serde_json::from_str(&payload).unwrap(),
            other => panic!("expected an error of the function, got {other:?}"),
        }
    }

    /// Ends it, and sees that nothing is left.
    pub(crate) async fn close(self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await);
        self.room.close().await;
    }
}

/// What a function answered.
pub(crate) fn answer(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout.read().unwrap()).unwrap()
}

/// What an attempt's log says.
pub(crate) fn log(attempt: &Attempt) -> PathBuf {
    attempt.work.join("stderr")
}
