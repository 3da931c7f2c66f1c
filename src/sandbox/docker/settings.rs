//! What a container may do: nothing but compute. Pure.
//!
//! Takes what is run and its limits, gives the body of the engine's `create`.
//! Every container of this node is made here, the canary's too, so what the
//! canary proves holds for all.

use std::{collections::HashMap, path::Path};

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType, ResourcesUlimits,
};

use crate::{
    model::Limits,
    sandbox::{Attempt, Container},
};

/// Processes and threads of one container.
pub(super) const MAX_PROCESSES: i64 = 128;
/// Processes of all containers together, as the kernel counts them by user.
pub(super) const MAX_USER_PROCESSES: i64 = 4096;
pub(super) const MAX_OPEN_FILES: i64 = 1024;
/// Room in `/tmp`, in memory.
pub(super) const TMP_BYTES: u64 = 64 << 20;
/// Room where the image declares a volume, in memory.
const VOLUME_BYTES: i64 = 16 << 20;
/// Seconds between the request to end and the end.
pub(super) const STOP_SECONDS: i32 = 2;
/// The engine refuses less.
const MIN_MEMORY_BYTES: u64 = 6 << 20;
/// Label of everything that this program makes: whose it is.
pub(super) const HOME_LABEL: &str = "timerose.home";

/// What all containers of a node have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// `uid:gid` inside.
    pub(super) user: String,
    /// The engine's runtime, where it is not its default one.
    pub(super) runtime: Option<String>,
    /// Billionths of a processor.
    pub(super) nano_cpus: i64,
    /// The value of [`HOME_LABEL`].
    pub(super) home: String,
}

/// What an image says that matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    /// Directories that it wants to write to.
    pub(super) volumes: Vec<String>,
    /// Whether it sets `HOME`.
    pub(super) has_home: bool,
}

/// The bytes of memory that a container gets.
pub(super) fn memory_of(limits: &Limits) -> i64 {
    let bytes = limits.memory_bytes.max(MIN_MEMORY_BYTES);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The container for `attempt` at `program`.
pub(super) fn body(
    common: &Common,
    attempt: &Attempt,
    program: &Container,
    (declared, has_stdin): (&Declared, bool),
) -> ContainerCreateBody {
    let command = command(attempt, program);
    let mut labels: HashMap<_, _> = program.labels.clone().into_iter().collect();
    labels.insert(HOME_LABEL.to_owned(), common.home.clone());
    labels.insert("timerose.owner".to_owned(), attempt.owner.clone());
    let env = attempt
        .env
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let home =
        (!declared.has_home && !attempt.env.contains_key("HOME")).then(|| "HOME=/tmp".to_owned());
    ContainerCreateBody {
        image: Some(program.image.clone()),
        cmd: (!command.is_empty()).then_some(command),
        working_dir: program.workdir.clone(),
        env: Some(env.chain(home).collect()),
        user: Some(common.user.clone()),
        labels: Some(labels),
        hostname: Some("timerose".to_owned()),
        attach_stdin: Some(has_stdin),
        open_stdin: Some(has_stdin),
        stdin_once: Some(has_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        network_disabled: Some(true),
        stop_timeout: Some(STOP_SECONDS.into()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host(common, attempt, declared)),
        ..ContainerCreateBody::default()
    }
}

/// Arguments follow the function's command; without one they take the place of
/// the image's, as in `docker run`.
fn command(attempt: &Attempt, program: &Container) -> Vec<String> {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let args = attempt.args.iter().map(text);
    program.command.iter().cloned().chain(args).collect()
}

fn host(common: &Common, attempt: &Attempt, declared: &Declared) -> HostConfig {
    let memory = memory_of(&attempt.limits);
    let tmp = format!("rw,noexec,nosuid,nodev,size={}k", TMP_BYTES >> 10);
    HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        mounts: Some(mounts(attempt, declared)),
        pids_limit: Some(MAX_PROCESSES),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(common.nano_cpus),
        ulimits: Some(ulimits(&attempt.limits)),
        init: Some(true),
        ipc_mode: Some("private".to_owned()),
        // What it says comes over the attached stream, and lies nowhere else.
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        }),
        runtime: common.runtime.clone(),
        ..HostConfig::default()
    }
}

fn ulimits(limits: &Limits) -> Vec<ResourcesUlimits> {
    let file = i64::try_from(limits.output_bytes).unwrap_or(i64::MAX);
    let limit = |name: &str, value| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(value),
        hard: Some(value),
    };
    vec![
        limit("nofile", MAX_OPEN_FILES),
        limit("nproc", MAX_USER_PROCESSES),
        limit("fsize", file),
        limit("core", 0),
    ]
}

fn mounts(attempt: &Attempt, declared: &Declared) -> Vec<Mount> {
    let input = attempt.input_dir.as_deref();
    let input = input.map(|folder| bind(folder, "/in", true));
    let output = bind(&attempt.work.join("out"), "/out", false);
    let own = ["/in", "/out", "/tmp"];
    let volumes = declared.volumes.iter();
    let volumes = volumes.filter(|volume| !own.contains(&volume.trim_end_matches('/')));
    let volumes = volumes.map(|place| memory_at(place));
    input.into_iter().chain([output]).chain(volumes).collect()
}

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// In place of a volume, which would be on disk, without bounds.
fn memory_at(place: &str) -> Mount {
    Mount {
        typ: Some(MountType::TMPFS),
        target: Some(place.to_owned()),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: Some(VOLUME_BYTES),
            mode: Some(0o1777),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    }
}
