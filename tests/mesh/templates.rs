//! Every template as its user takes it: made, built with the tools of its
//! language, deployed, called. One whose tools are not here is skipped by name.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    containers::{mesh_or_skip, printed},
    lambda::offering_or_skip,
    support::{
        engine::busybox,
        mesh::Mesh,
        runtimes::{node_or_skip, python_or_skip},
        skip::skip,
    },
};

/// Installing a language's tools from its registry and compiling with them.
const BUILT: Duration = Duration::from_secs(600);

/// What all but two templates are given.
const TEXT: &str = "one two\n  three\n";

/// How a script begins to say which tool is missing.
const MISSING: &str = "build: there is no ";

/// A function made of a template.
struct Project {
    dir: TempDir,
    name: &'static str,
}

impl Project {
    async fn new(mesh: &Mesh, template: &str) -> Self {
        let (dir, name) = (tempfile::tempdir().unwrap(), "words");
        let project = Self { dir, name };
        printed(mesh, &["new", template, project.folder().to_str().unwrap()]).await;
        std::fs::write(project.input(), TEXT).unwrap();
        project
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("my functions").join(self.name)
    }

    fn input(&self) -> PathBuf {
        self.dir.path().join("text")
    }

    /// Whether it is built; where a tool is missing, its script says which.
    async fn is_built(&self, mesh: &Mesh, settings: &[(&str, &str)]) -> bool {
        let like = mesh.node(0).sidecar.command(&["version"]);
        let variables = like.as_std().get_envs();
        let mut build = Command::new(self.folder().join("build"));
        build.envs(variables.filter_map(|(key, value)| Some((key, value?))));
        build.env("TIMEROSE", like.as_std().get_program());
        build.envs(settings.iter().copied());
        build.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(BUILT, build.output()).await;
        let ended = ended.expect("the build ends").unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        let missing = said.lines().find(|line| line.starts_with(MISSING));
        if let Some(missing) = missing {
            skip(missing);
            return false;
        }
        assert!(ended.status.success(), "{ended:?}");
        true
    }

    /// What it answers.
    async fn answer(&self, mesh: &Mesh, arguments: &[&str]) -> String {
        printed(mesh, &["deploy", "-q", self.folder().to_str().unwrap()]).await;
        printed(mesh, &[&["invoke", self.name][..], arguments].concat()).await
    }
}

/// A template that counts the words of its input, built by tools with settings.
async fn counts_words(template: &str, settings: &[(&str, &str)]) {
    let mesh = Mesh::start(1).await;
    let project = Project::new(&mesh, template).await;
    if project.is_built(&mesh, settings).await {
        let input = project.input();
        assert_eq!(project.answer(&mesh, &[input.to_str().unwrap()]).await, "3");
    }
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_c_counts_words() {
    counts_words("c", &[]).await;
}

/// Where the toolchain at hand has no library for WASI, Debian's may.
#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_rust_counts_words() {
    let debian = "/usr/lib/rustlib/wasm32-wasi";
    let settings = [("CARGO", "/usr/bin/cargo"), ("RUSTC", "/usr/bin/rustc")];
    let has_debian = Path::new(debian).is_dir();
    counts_words("rust", if has_debian { &settings } else { &[] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_go_counts_words() {
    counts_words("go", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_javascript_counts_words() {
    counts_words("js", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_typescript_counts_words() {
    counts_words("ts", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_python_counts_words() {
    counts_words("python", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_wat_adds() {
    let mesh = Mesh::start(1).await;
    let project = Project::new(&mesh, "wat").await;
    assert_eq!(project.answer(&mesh, &["--", "2", "3"]).await, "5");
    mesh.end().await;
}

/// A template of a Lambda function, which has nothing to be built: called by
/// one node, run by another that has an image for its runtime.
async fn counts_words_of_events(template: &str, runtime: &str, layers: &[Vec<u8>]) {
    let Some(mesh) = offering_or_skip(runtime, layers).await else {
        return;
    };
    let project = Project::new(&mesh, template).await;
    let event = r#"{"text": "one two  three"}"#;
    let answer = project.answer(&mesh, &["--", event]).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer, serde_json::json!({"words": 3}));
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_lambda_in_python_counts_words() {
    if let Some(layers) = python_or_skip() {
        counts_words_of_events("lambda-python", "python3.12", &layers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_lambda_in_node_counts_words() {
    if let Some(layers) = node_or_skip() {
        counts_words_of_events("lambda-node", "nodejs20.x", &layers).await;
    }
}

/// No registry is asked: what the image begins with is here already.
#[tokio::test(flavor = "multi_thread")]
async fn the_template_for_docker_counts_words() {
    const BASE: &str = "timerose-template-base:here";
    let Some(mesh) = mesh_or_skip().await else {
        return;
    };
    let project = Project::new(&mesh, "docker").await;
    let layer = project.dir.path().join("layer.tar");
    std::fs::write(&layer, busybox()).unwrap();
    docker(&["import", layer.to_str().unwrap(), BASE]).await;
    if project.is_built(&mesh, &[("BASE", BASE)]).await {
        let input = project.input();
        let answer = project.answer(&mesh, &[input.to_str().unwrap()]).await;
        assert_eq!(answer, "3");
        docker(&["rmi", "words:build", BASE]).await;
    }
    mesh.end().await;
}

/// Has Docker's own program do it; without that, the template's script says so.
async fn docker(arguments: &[&str]) {
    if let Ok(ended) = Command::new("docker").args(arguments).output().await {
        assert!(ended.status.success(), "{ended:?}");
    }
}
