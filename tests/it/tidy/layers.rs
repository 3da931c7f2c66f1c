//! Imports go one way: doors, computing, mesh and sandbox, Kubo, wire, model.

use super::{
    catches, permits, repository_keeps,
    tree::{Tree, Violation},
};

/// What a module may name of this crate, beside itself.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("crash", &[]),
    ("task", &[]),
    ("telemetry", &["task"]),
    ("wire", &["model"]),
    // Not `model`: it must stay extractable as a crate of its own.
    ("kubo", &["task"]),
    ("store", &["crash", "model", "task", "wire"]),
    ("sandbox", &["kubo", "model", "task", "wire"]),
    (
        "mesh",
        &["kubo", "model", "store", "task", "telemetry", "wire"],
    ),
    (
        "compute",
        &[
            "control",
            "crash",
            "kubo",
            "mesh",
            "model",
            "sandbox",
            "store",
            "task",
            "telemetry",
            "wire",
        ],
    ),
    (
        "control",
        &[
            "compute",
            "kubo",
            "mesh",
            "model",
            "store",
            "task",
            "telemetry",
            "wire",
        ],
    ),
    (
        "workflow",
        &[
            "compute",
            "kubo",
            "mesh",
            "model",
            "store",
            "task",
            "telemetry",
            "wire",
        ],
    ),
    (
        "api",
        &[
            "compute",
            "control",
            "model",
            "task",
            "telemetry",
            "workflow",
        ],
    ),
];

/// Modules that anything may be wired in, by what they may not name.
const MAY_NOT_USE: &[(&str, &[&str])] = &[
    ("config", &["cli", "config", "node"]),
    ("node", &["cli"]),
    ("cli", &[]),
    ("lib", &[]),
    ("main", &[]),
];

fn imports(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.program() {
        let module = source.module();
        let known = |table: &[(&str, &[&str])]| table.iter().any(|(name, _)| *name == module);
        if !known(MAY_USE) && !known(MAY_NOT_USE) {
            found.push(source.violation(1, format!("`{module}` has no place in the layers")));
            continue;
        }
        for path in source.facts.paths.iter().filter(|path| !path.in_test) {
            let Some(rest) = path.text.strip_prefix("crate::") else {
                continue;
            };
            let used = rest.split("::").next().unwrap_or(rest);
            if is_module(used) && used != module && !may_use(module, used) {
                found.push(source.violation(
                    path.line,
                    format!("`{module}` may not use `{used}` (imports go one way)"),
                ));
            }
        }
    }
    found
}

fn is_module(name: &str) -> bool {
    let tables = MAY_USE.iter().chain(MAY_NOT_USE);
    tables.into_iter().any(|(module, _)| *module == name)
}

fn may_use(module: &str, used: &str) -> bool {
    let entry = |table: &[(&str, &'static [&'static str])]| {
        table
            .iter()
            .find(|(name, _)| *name == module)
            .map(|(_, list)| *list)
    };
    match (entry(MAY_USE), entry(MAY_NOT_USE)) {
        (Some(allowed), _) => allowed.contains(&used),
        (None, Some(refused)) => !refused.contains(&used),
        (None, None) => false,
    }
}

/// Scheduler, executor and API meet as messages: no one names the inside of
/// another. The API holds handles, which are types of the module itself.
fn peers(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.program() {
        let paths = source.facts.paths.iter().filter(|path| !path.in_test);
        for path in paths {
            let strangers = [
                source.is_within("compute/scheduler") && reaches(&path.text, "executor"),
                source.is_within("compute/executor") && reaches(&path.text, "scheduler"),
                source.is_within("api") && is_inside(&path.text),
            ];
            if strangers.contains(&true) {
                let message = format!("`{}` is the inside of another part", path.text);
                found.push(source.violation(path.line, message));
            }
        }
    }
    found
}

fn reaches(path: &str, part: &str) -> bool {
    let root = format!("crate::compute::{part}");
    path == root || path.starts_with(&format!("{root}::"))
}

/// A module below the scheduler or executor, rather than a type of theirs.
fn is_inside(path: &str) -> bool {
    ["scheduler", "executor"].iter().any(|part| {
        path.strip_prefix(&format!("crate::compute::{part}::"))
            .and_then(|rest| rest.split_once("::"))
            .is_some_and(|(next, _)| next.starts_with(char::is_lowercase))
    })
}

#[test]
fn imports_go_one_way() {
    repository_keeps(imports);
}

#[test]
fn an_import_against_the_arrow_is_caught() {
    catches(
        imports,
        "src/kubo/pubsub.rs",
        2,
        "//! x\nuse crate::model::Call;\n",
    );
    catches(
        imports,
        "src/model.rs",
        1,
        "use crate::{task::Tasks, wire};",
    );
    catches(
        imports,
        "src/wire/topics.rs",
        1,
        "fn f() { super::super::mesh::g() }",
    );
    catches(
        imports,
        "src/mesh.rs",
        2,
        "fn f() { tokio::select! {\n _ = crate::compute::go() => {} } }",
    );
    catches(imports, "src/mesh/link.rs", 1, "use timerose::cli;");
    catches(imports, "src/novelty.rs", 1, "//! Unknown to the layers.");
}

#[test]
fn an_import_along_the_arrow_is_permitted() {
    permits(
        imports,
        "src/mesh/link.rs",
        "use crate::{kubo::Client, wire}; use super::session::S;",
    );
    permits(
        imports,
        "src/kubo.rs",
        "#[cfg(test)] mod tests { use crate::model::Call; }",
    );
}

#[test]
fn scheduler_executor_and_api_meet_only_as_messages() {
    repository_keeps(peers);
}

#[test]
fn reaching_into_another_part_is_caught() {
    catches(
        peers,
        "src/compute/scheduler/hedge.rs",
        1,
        "use crate::compute::executor;",
    );
    catches(
        peers,
        "src/compute/executor.rs",
        1,
        "use super::scheduler::Handle;",
    );
    catches(
        peers,
        "src/api/invoke.rs",
        1,
        "use crate::compute::scheduler::lease::Lease;",
    );
    permits(
        peers,
        "src/api/invoke.rs",
        "use crate::compute::scheduler::Handle;",
    );
}
