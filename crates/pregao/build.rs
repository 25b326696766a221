//! The version that `pregao --version` prints, and how the program is linked.
//!
//! Starts `git`, `getconf` and `ld.bfd`, all optional: where one is missing, the program has no commit in its version or is
//! linked in the usual way. Nothing here starts Cargo or needs a network.
//!
//! Environment variables:
//! - `PREGAO_COMMIT`: what stands for the commit where there is no git repository, e.g. `64f0f61 2026-11-26`.
//! - `PREGAO_PORTABLE`: when set, the program runs on systems older than this one (see [`pack_relocations`]).

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    set_version();
    pack_relocations();
    drop_unused_tables();
}

/// Sets `PREGAO_VERSION`: the package's version, with the commit and its date where they are known.
fn set_version() {
    println!("cargo::rerun-if-env-changed=PREGAO_COMMIT");
    let package = env::var("CARGO_PKG_VERSION").expect("Cargo sets it");
    let commit = env::var("PREGAO_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_of_repository);
    let version = commit.map_or_else(|| package.clone(), |commit| format!("{package} ({commit})"));
    println!("cargo::rustc-env=PREGAO_VERSION={version}");
}

/// Returns the abbreviated hash of the commit that is checked out, and its date.
fn commit_of_repository() -> Option<String> {
    // A package inside another project's repository must not report that project's commit.
    let inside = output("git", &["ls-files", "--error-unmatch", "build.rs"]).is_some();
    // Git appends to this file at each commit and checkout.
    let log = output("git", &["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| inside && Path::new(log).exists());
    if let Some(log) = log {
        println!("cargo::rerun-if-changed={log}");
    }
    output("git", &["log", "-1", "--abbrev=7", "--format=%h %cs"]).filter(|_| inside)
}

/// Links the program with packed relative relocations, where this machine's C library supports them (glibc 2.36).
///
/// A query engine and the clients of six services hold about 350,000 pointers to functions, and each is relocated when
/// the program is loaded. The usual form takes 24 bytes of the file for each, all of which are read: 8 MB. The packed form
/// takes a few thousand bytes. An older C library refuses such a program.
fn pack_relocations() {
    const GLIBC: [u32; 2] = [2, 36];
    if is_for_this_machine() && glibc().is_some_and(|version| version >= GLIBC) {
        // A linker that does not know the option warns and ignores it.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Links the program by GNU ld, where this machine has it.
///
/// Rust's own linker drops functions that nobody calls, and keeps the tables by which a panic would have passed through
/// them. The clients of AWS services are full of such functions: 3 MB of the program.
fn drop_unused_tables() {
    let is_for_linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if is_for_linux && is_for_this_machine() && output("ld.bfd", &["--version"]).is_some() {
        println!("cargo::rustc-link-arg-bins=-fuse-ld=bfd");
    }
}

/// Whether the program is for machines like this one, and not cross-compiled or for older systems.
fn is_for_this_machine() -> bool {
    println!("cargo::rerun-if-env-changed=PREGAO_PORTABLE");
    env::var("TARGET").ok() == env::var("HOST").ok() && env::var_os("PREGAO_PORTABLE").is_none()
}

/// Returns the version of this machine's C library, if it is glibc: `getconf` prints `glibc 2.36`.
fn glibc() -> Option<[u32; 2]> {
    let version = output("getconf", &["GNU_LIBC_VERSION"])?;
    let (major, minor) = version.strip_prefix("glibc ")?.split_once('.')?;
    Some([major.parse().ok()?, minor.split('.').next()?.parse().ok()?])
}

/// Returns the trimmed output of a program, or `None` when it is missing, fails or prints nothing.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
