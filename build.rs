//! Builds what runs inside containers: `container-init/`, static, without any
//! crate. `timerose` carries it; where it cannot be built (no static C library,
//! no Linux) an empty file takes its place, and `timerose doctor` says so.
//! Templates are embedded by the crate itself, anew when one changes.
#![allow(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything by its environment"
)]

use std::{env, error::Error, fs, path::Path, process::Command};

const SOURCES: [&str; 3] = [
    "container-init/main.rs",
    "container-init/canary.rs",
    "container-init/lambda.rs",
];

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES.iter().chain(&["templates"]) {
        println!("cargo::rerun-if-changed={source}");
    }
    let program = Path::new(&env::var("OUT_DIR")?).join("container-init");
    let is_linux = env::var("CARGO_CFG_TARGET_OS")? == "linux";
    if !is_linux || !build(&program)? {
        println!("cargo::warning=containers are not offered: container-init was not built");
        fs::write(&program, [])?;
    }
    Ok(())
}

fn build(program: &Path) -> Result<bool, Box<dyn Error>> {
    let mut rustc = Command::new(env::var("RUSTC")?);
    rustc.args(["--edition=2024", "--crate-name=container_init"]);
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols"]);
    rustc.args(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"]);
    rustc.args(["--target", &env::var("TARGET")?]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let built = rustc.arg("-o").arg(program).arg(SOURCES[0]).status()?;
    Ok(built.success())
}
