//! Links the program so that it is small in memory from its first instant.
//!
//! A query engine and the clients of five services are full of tables of functions. Where the program is loaded is decided
//! at its start, and each of their 350,000 entries has to be told then: in the usual form 24 bytes of instructions for 8 of
//! table, all of which are read, 8 MB. glibc 2.36 and later know a form in which they are a few thousand bytes.

use std::env;
use std::process::Command;

/// The first glibc that loads a program which is linked so. An older one refuses it.
const GLIBC: [u32; 2] = [2, 36];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_for_here = env::var("TARGET").ok() == env::var("HOST").ok();
    if is_for_here && glibc().is_some_and(|version| version >= GLIBC) {
        // A linker that does not know it says so and goes on.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc, if it has one: `getconf` says `glibc 2.36`.
fn glibc() -> Option<[u32; 2]> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let (major, minor) = std::str::from_utf8(&output.stdout).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some([major.parse().ok()?, minor.split('.').next()?.parse().ok()?])
}
