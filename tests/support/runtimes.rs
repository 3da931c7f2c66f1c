//! Images with Lambda runtimes: this machine's Python and Node, each with AWS's
//! runtime interface client as it is.
//!
//! Gives layers, made once per process, or skips where `scripts/lambda-clients`
//! had nothing to give. An image is the interpreter, the libraries that it
//! loads, the client, and a bootstrap that joins them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::{
    engine::{busybox, layer},
    skip::skip,
};

/// Parts of Python's library that no function needs.
const LEFT_OUT: [&str; 8] = [
    "__pycache__",
    "site-packages",
    "test",
    "idlelib",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "turtledemo",
];

/// Layers of an image with Python and `awslambdaric`.
pub(crate) fn python_or_skip() -> Option<Vec<Vec<u8>>> {
    static LAYERS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let client = client_or_skip("python")?;
    let layers = LAYERS.get_or_init(|| {
        let (program, library) = python();
        let mut image = Files::default();
        image.program(&program, "usr/bin/python3");
        image.folder(&library, library.strip_prefix("/").unwrap(), &LEFT_OUT);
        let home = program.parent().unwrap().parent().unwrap().to_owned();
        let bootstrap = format!(
            "#!/bin/sh\nexport PYTHONHOME={} PYTHONPATH=/var/task:/var/runtime PYTHONDONTWRITEBYTECODE=1\nexec /usr/bin/python3 -m awslambdaric \"$_HANDLER\"\n",
            home.display()
        );
        let mut runtime = Files::default();
        runtime.folder(&client, Path::new("var/runtime"), &["__pycache__"]);
        vec![busybox(), image.layer(), runtime.layer(), begins(&bootstrap)]
    });
    Some(layers.clone())
}

/// Layers of an image with Node and `aws-lambda-ric`.
pub(crate) fn node_or_skip() -> Option<Vec<Vec<u8>>> {
    static LAYERS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let client = client_or_skip("node")?;
    let layers = LAYERS.get_or_init(|| {
        let program = said("node", &["-p", "process.execPath"]);
        let mut image = Files::default();
        image.program(Path::new(&program), "usr/bin/node");
        let mut runtime = Files::default();
        let modules = client.join("node_modules");
        let sources = ["deps", "src", "node-addon-api", ".bin"];
        runtime.folder(&modules, Path::new("var/runtime/node_modules"), &sources);
        let bootstrap = "#!/bin/sh\nexec /usr/bin/node /var/runtime/node_modules/aws-lambda-ric/bin/index.mjs \"$_HANDLER\"\n";
        vec![busybox(), image.layer(), runtime.layer(), begins(bootstrap)]
    });
    Some(layers.clone())
}

fn client_or_skip(name: &str) -> Option<PathBuf> {
    let found = std::env::var_os("LAMBDA_CLIENTS").map(|root| Path::new(&root).join(name));
    let found = found.filter(|path| path.is_dir());
    if found.is_none() {
        skip(&format!(
            "no {name} in $LAMBDA_CLIENTS: scripts/lambda-clients"
        ));
    }
    found
}

fn begins(bootstrap: &str) -> Vec<u8> {
    layer(&[("var/runtime/bootstrap", bootstrap.as_bytes(), 0o755)])
}

/// The interpreter and its library.
fn python() -> (PathBuf, PathBuf) {
    let where_it_is = "import os,sys,sysconfig; print(os.path.realpath(sys.executable)); print(sysconfig.get_path('stdlib'))";
    let said = said("python3", &["-c", where_it_is]);
    let (program, library) = said.split_once('\n').unwrap();
    (program.into(), library.into())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Files of one layer.
#[derive(Default)]
struct Files {
    there: BTreeSet<(PathBuf, PathBuf)>,
}

impl Files {
    /// A program with the libraries that it loads.
    fn program(&mut self, path: &Path, name: &str) {
        self.file(path, name);
        self.libraries(path);
    }

    fn file(&mut self, path: &Path, name: &str) {
        self.there.insert((name.into(), path.to_owned()));
        if path
            .extension()
            .is_some_and(|end| end == "so" || end == "node")
        {
            self.libraries(path);
        }
    }

    /// What `ldd` finds, where it finds it.
    fn libraries(&mut self, path: &Path) {
        let found = Command::new("ldd").arg(path).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        for word in found
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            let library = Path::new(word);
            let name = library.strip_prefix("/").unwrap();
            self.there.insert((name.to_owned(), library.to_owned()));
        }
    }

    fn folder(&mut self, folder: &Path, name: &Path, left_out: &[&str]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, file) = (entry.path(), entry.file_name());
            if left_out.iter().any(|out| file == **out) {
                continue;
            }
            let name = name.join(&file);
            match path.is_dir() {
                true => self.folder(&path, &name, left_out),
                false => self.file(&path, name.to_str().unwrap()),
            }
        }
    }

    fn layer(&self) -> Vec<u8> {
        let mut layer = tar::Builder::new(Vec::new());
        layer.mode(tar::HeaderMode::Deterministic);
        for (name, path) in &self.there {
            let mut file = std::fs::File::open(path).unwrap();
            layer.append_file(name, &mut file).unwrap();
        }
        layer.into_inner().unwrap()
    }
}
