//! What a container may do: nothing but compute. Pure.
//!
//! Takes what is run and its limits, gives the body of the engine's `create`.
//! Every container of this node is made here, the canary's too, so what the
//! canary proves holds for all.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

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
pub(in crate::sandbox) struct Declared {
    /// Directories that it wants to write to.
    pub(super) volumes: Vec<String>,
    /// Whether it sets `HOME`.
    pub(super) has_home: bool,
    /// What it runs.
    pub(in crate::sandbox) entrypoint: Vec<String>,
    /// Its arguments.
    pub(in crate::sandbox) command: Vec<String>,
}

/// A folder or file that a container sees.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Bind {
    /// Where it is.
    pub(in crate::sandbox) source: PathBuf,
    /// Where the container sees it.
    pub(in crate::sandbox) target: &'static str,
    /// Whether the container may write to it.
    pub(in crate::sandbox) is_writable: bool,
}

/// One container, as far as it is unlike others.
#[derive(Clone, Debug)]
pub(in crate::sandbox) struct Spec {
    /// The engine's name of the image.
    pub(in crate::sandbox) image: String,
    /// In place of the image's.
    pub(in crate::sandbox) entrypoint: Option<Vec<String>>,
    /// In place of the image's; the image's own where it is empty.
    pub(in crate::sandbox) command: Vec<String>,
    /// In place of the image's.
    pub(in crate::sandbox) workdir: Option<String>,
    /// Its environment beside the image's.
    pub(in crate::sandbox) env: BTreeMap<String, String>,
    /// What the engine shows of it.
    pub(in crate::sandbox) labels: BTreeMap<String, String>,
    /// Whose code it runs.
    pub(in crate::sandbox) owner: String,
    /// Caps.
    pub(in crate::sandbox) limits: Limits,
    /// What it sees of this machine.
    pub(in crate::sandbox) binds: Vec<Bind>,
    /// Room in `/tmp`, in memory.
    pub(in crate::sandbox) tmp_bytes: u64,
    /// Whether it has a standard input.
    pub(in crate::sandbox) has_stdin: bool,
}

impl Spec {
    /// The container for `attempt` at `program`.
    pub(super) fn of(attempt: &Attempt, program: &Container, has_stdin: bool) -> Self {
        let input = attempt.input_dir.clone().map(|source| Bind {
            source,
            target: "/in",
            is_writable: false,
        });
        let output = Bind {
            source: attempt.work.join("out"),
            target: "/out",
            is_writable: true,
        };
        Self {
            image: program.image.clone(),
            entrypoint: None,
            command: command(attempt, program),
            workdir: program.workdir.clone(),
            env: attempt.env.clone(),
            labels: program.labels.clone(),
            owner: attempt.owner.clone(),
            limits: attempt.limits,
            binds: input.into_iter().chain([output]).collect(),
            tmp_bytes: TMP_BYTES,
            has_stdin,
        }
    }
}

/// The bytes of memory that a container gets.
pub(super) fn memory_of(limits: &Limits) -> i64 {
    let bytes = limits.memory_bytes.max(MIN_MEMORY_BYTES);
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The body of `create` for a container like `spec`.
pub(super) fn body(common: &Common, spec: &Spec, declared: &Declared) -> ContainerCreateBody {
    let mut labels: HashMap<_, _> = spec.labels.clone().into_iter().collect();
    labels.insert(HOME_LABEL.to_owned(), common.home.clone());
    labels.insert("timerose.owner".to_owned(), spec.owner.clone());
    let env = spec.env.iter().map(|(key, value)| format!("{key}={value}"));
    let has_home = declared.has_home || spec.env.contains_key("HOME");
    let home = (!has_home).then(|| "HOME=/tmp".to_owned());
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        working_dir: spec.workdir.clone(),
        env: Some(env.chain(home).collect()),
        user: Some(common.user.clone()),
        labels: Some(labels),
        hostname: Some("timerose".to_owned()),
        attach_stdin: Some(spec.has_stdin),
        open_stdin: Some(spec.has_stdin),
        stdin_once: Some(spec.has_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        network_disabled: Some(true),
        stop_timeout: Some(STOP_SECONDS.into()),
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host(common, spec, declared)),
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

fn host(common: &Common, spec: &Spec, declared: &Declared) -> HostConfig {
    let memory = memory_of(&spec.limits);
    let tmp = format!("rw,noexec,nosuid,nodev,size={}k", spec.tmp_bytes >> 10);
    HostConfig {
        network_mode: Some("none".to_owned()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        mounts: Some(mounts(spec, declared)),
        pids_limit: Some(MAX_PROCESSES),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(common.nano_cpus),
        ulimits: Some(ulimits(&spec.limits)),
        init: Some(true),
        ipc_mode: Some("private".to_owned()),
        // What it says comes over an attached stream, and lies nowhere else.
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

fn mounts(spec: &Spec, declared: &Declared) -> Vec<Mount> {
    let own: Vec<_> = spec
        .binds
        .iter()
        .map(|bind| bind.target)
        .chain(["/tmp"])
        .collect();
    let volumes = declared.volumes.iter();
    let volumes = volumes.filter(|volume| !own.contains(&volume.trim_end_matches('/')));
    let volumes = volumes.map(|place| memory_at(place));
    spec.binds.iter().map(bound).chain(volumes).collect()
}

fn bound(bind: &Bind) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.source.display().to_string()),
        target: Some(bind.target.to_owned()),
        read_only: Some(!bind.is_writable),
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
