//! A container sandbox of its own for each test: an image of BusyBox, work
//! directories, containers counted by their label.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code as Hash, MultihashDigest};
use tempfile::TempDir;
use timerose::{
    model::Limits,
    sandbox::{
        Attempt, Container, Docker, Error, Fault, Output, Program, Sandbox,
        docker::{Config, Image, Part},
    },
    task::Tasks,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    engine::{self, engine_or_skip},
    mesh::until,
};

pub(crate) struct Room {
    pub(crate) docker: Docker,
    pub(crate) socket: PathBuf,
    pub(crate) dir: TempDir,
    home: String,
    image: String,
    tasks: Tasks,
}

impl Room {
    /// One with an engine, if there is any.
    pub(crate) async fn or_skip() -> Option<Self> {
        let socket = engine_or_skip()?;
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let tasks = Tasks::new();
        let docker = start(&socket, &home, dir.path(), &tasks);
        let mut room = Self {
            docker,
            socket,
            dir,
            home,
            image: String::new(),
            tasks,
        };
        room.docker.settled().await;
        room.docker.offers().unwrap();
        room.image = room
            .load(&[engine::busybox()], &serde_json::json!({}))
            .await;
        Some(room)
    }

    /// Loads an image of these layers.
    pub(crate) async fn load(&self, layers: &[Vec<u8>], about: &serde_json::Value) -> String {
        let config = engine::config(layers, about);
        let cid = Cid::new_v1(0x55, Hash::Sha2_256.digest(&config));
        let part = |bytes: &Vec<u8>| Part::of(Bytes::from(bytes.clone()));
        let image = Image {
            config: part(&config),
            layers: layers.iter().map(part).collect(),
        };
        let loaded = self.docker.load(&cid, async || Ok::<_, Error>(image)).await;
        loaded.unwrap()
    }

    /// An attempt at a line of shell.
    pub(crate) fn shell(&self, line: &str) -> Attempt {
        self.attempt(&["/bin/sh", "-c", line])
    }

    pub(crate) fn attempt(&self, command: &[&str]) -> Attempt {
        let work = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        std::fs::create_dir(work.join("out")).unwrap();
        Attempt {
            owner: "owner".into(),
            program: Program::Docker(Container {
                image: self.image.clone(),
                command: command.iter().map(|&word| word.into()).collect(),
                workdir: None,
                labels: BTreeMap::new(),
            }),
            args: Vec::new(),
            env: BTreeMap::new(),
            stdin: None,
            input_dir: None,
            work,
            limits: Limits {
                wall_ms: 20_000,
                memory_bytes: 64 << 20,
                ..Limits::default()
            },
        }
    }

    pub(crate) async fn run(&self, attempt: Attempt) -> Result<Output, Error> {
        self.docker.run(attempt, CancellationToken::new()).await
    }

    pub(crate) async fn fault(&self, attempt: Attempt) -> Fault {
        match self.run(attempt).await {
            Err(Error::User(fault)) => fault,
            other => panic!("expected a fault, got {other:?}"),
        }
    }

    /// Containers of this room, running or not.
    pub(crate) async fn containers(&self) -> usize {
        let label = format!("timerose.home={}", self.home);
        engine::containers(&self.socket, &label).await
    }

    /// The engine itself.
    pub(crate) fn engine(&self) -> bollard::Docker {
        engine::engine(&self.socket)
    }

    /// The name of the image of BusyBox.
    pub(crate) fn image(&self) -> &str {
        &self.image
    }

    /// The label that its containers have.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// Asserts that nothing is left of what ran.
    pub(crate) async fn is_clean(&self) {
        until("no container is left", async || {
            self.containers().await == 0
        })
        .await;
    }

    /// Another sandbox in the same place, as after a restart.
    pub(crate) async fn restarted(&self, tasks: &Tasks) -> Docker {
        let docker = start(&self.socket, &self.home, self.dir.path(), tasks);
        docker.settled().await;
        docker
    }

    pub(crate) async fn close(self) {
        self.is_clean().await;
        self.tasks.shutdown(Duration::from_secs(5)).await;
    }
}

fn start(socket: &Path, home: &str, work: &Path, tasks: &Tasks) -> Docker {
    let config = Config {
        sockets: vec![socket.to_owned()],
        home: home.to_owned(),
        work_dir: work.to_owned(),
        processors: 1.0,
        forbidden: vec!["172.17.0.1:22".to_owned()],
    };
    Docker::start(config, tasks)
}

/// What a container attempt runs.
pub(crate) fn container(attempt: &mut Attempt) -> &mut Container {
    match &mut attempt.program {
        Program::Docker(container) => container,
        _ => panic!("no container"),
    }
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.read().unwrap().to_vec()).unwrap()
}
