//! Checks of this machine: the home of the lake, its databases, the disk and the loopback interface.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use local_aws::{HomeError, Owner, check};

use super::Check;
use crate::args::Global;
use crate::endpoint::{configuration, runtime};
use crate::error_report;
use crate::format;

/// Free space below which a check fails, in bytes: a run of an ordinary day needs as much for its raw files and tables.
const MIN_FREE_BYTES: u64 = 200_000_000;

/// Free space below which a check warns, in bytes.
const ENOUGH_FREE_BYTES: u64 = 2_000_000_000;

/// Timeout for a response of the process that serves the home.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) fn checks(global: &Global) -> Vec<Check> {
    let home = &global.home;
    let mut checks = vec![of_configuration(global), of_loopback(), of_disk(home)];
    if !home.exists() {
        checks.push(Check::ok("home", format!("there is none at {}; the first command makes it", home.display())));
        return checks;
    }
    checks.push(of_permissions(home));
    let (owner, check) = of_owner(home);
    checks.push(check);
    checks.push(of_databases(home, owner));
    checks
}

fn of_configuration(global: &Global) -> Check {
    match configuration(global) {
        Ok(_) => Check::ok("configuration", "it can be read"),
        Err(error) => {
            let (message, hints) = error_report::message_and_hints(&error);
            Check::failed("configuration", message, hints.join("; "))
        }
    }
}

fn of_loopback() -> Check {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
        Ok(_) => Check::ok("ports", "the loopback interface has free ports"),
        Err(error) => Check::failed(
            "ports",
            format!("no port of 127.0.0.1 can be opened: {error}"),
            "permit this user and container to listen on the loopback interface",
        ),
    }
}

/// Checks the disk of the home, or the one on which it will be.
fn of_disk(home: &Path) -> Check {
    let absolute = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
    let existing =
        absolute.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_owned);
    match rustix::fs::statvfs(&existing) {
        Ok(disk) => judge_disk(disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_files, disk.f_favail, &existing),
        Err(error) => Check::unknown(
            "disk space",
            format!("the disk of {} cannot be examined: {error}", existing.display()),
            "name another folder with --home",
        ),
    }
}

/// `files` and `free_files` are those that the file system can have; a file system without a limit has none at all.
fn judge_disk(free: u64, files: u64, free_files: u64, folder: &Path) -> Check {
    let found = format!("{} free on the disk of {}", format::bytes(free), folder.display());
    let remedy = "free some, or name a folder on another disk with --home; pregao vacuum removes replaced runs";
    if files > 0 && free_files < 1_000 {
        return Check::failed("disk space", format!("room for {free_files} more files"), remedy);
    }
    if free < MIN_FREE_BYTES {
        return Check::failed("disk space", found, remedy);
    }
    if free < ENOUGH_FREE_BYTES { Check::warning("disk space", found, remedy) } else { Check::ok("disk space", found) }
}

/// Checks that the home belongs to this user, that only this user can read it, and that it can be written.
fn of_permissions(home: &Path) -> Check {
    let name = "home";
    let shown = home.display();
    let metadata = match fs::metadata(home) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::failed(name, format!("{shown} cannot be read: {error}"), "name another with --home");
        }
    };
    if !metadata.is_dir() {
        return Check::failed(name, format!("{shown} is no folder"), "name another with --home");
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let found = format!("other users may use {shown}: its mode is {mode:03o}");
        return Check::failed(name, found, format!("chmod 700 {shown}"));
    }
    match write_file(home) {
        Ok(user) if user != metadata.uid() => {
            let found = format!("{shown} belongs to user {}, and this is user {user}", metadata.uid());
            Check::failed(name, found, "use it as its owner, or name another with --home")
        }
        Ok(_) => Check::ok(name, format!("{shown} can be written, by this user alone")),
        Err(error) => Check::failed(
            name,
            format!("{shown} cannot be written: {error}"),
            format!("chmod 700 {shown}, or move it to a disk that can be written"),
        ),
    }
}

/// Creates and removes a file. Returns its user.
fn write_file(folder: &Path) -> io::Result<u32> {
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    fs::write(&file, b"doctor")?;
    let user = fs::metadata(&file).map(|metadata| metadata.uid());
    fs::remove_file(&file)?;
    user
}

/// Checks the process that serves the home. Returns whether there is one.
fn of_owner(home: &Path) -> (bool, Check) {
    let name = "owner";
    match Owner::find(home) {
        Ok(None) => (false, Check::ok(name, "no process serves the home")),
        Ok(Some(owner)) => {
            let answers = runtime().is_ok_and(|runtime| runtime.block_on(owner.answers(SILENCE)));
            let process = format!("process {} at {}", owner.pid(), owner.url());
            let check = if answers {
                Check::ok(name, format!("{process} serves the home"))
            } else {
                let remedy = format!("kill -CONT {pid} if it is stopped, else kill {pid}", pid = owner.pid());
                Check::failed(name, format!("{process} does not answer"), remedy)
            };
            (true, check)
        }
        Err(error) => {
            let is_owned = matches!(error, HomeError::InUse { .. });
            (is_owned, Check::failed(name, error.to_string(), "end the process that has the home open"))
        }
    }
}

/// Checks the databases of a home, unless a process has them open: it checked them when it opened them.
fn of_databases(home: &Path, is_owned: bool) -> Check {
    let name = "databases";
    if is_owned {
        return Check::ok(name, "open in the process that serves the home, which checked them");
    }
    let damaged = check::databases(home);
    if damaged.is_empty() {
        return Check::ok(name, "intact");
    }
    let found = damaged.iter().map(|database| format!("{}: {}", database.file.display(), database.found));
    let found = found.collect::<Vec<_>>().join("; ");
    Check::failed(name, found, "pregao verify names the commands that restore them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckResult;

    #[test]
    fn a_disk_without_space_or_files_is_a_fault() {
        let folder = Path::new("/lake");
        for (free, files, free_files, result) in [
            (10_000_000_000, 1_000_000, 500_000, CheckResult::Ok),
            (1_000_000_000, 1_000_000, 500_000, CheckResult::Warning),
            (100_000_000, 1_000_000, 500_000, CheckResult::Failed),
            (10_000_000_000, 1_000_000, 3, CheckResult::Failed),
            (10_000_000_000, 0, 0, CheckResult::Ok),
        ] {
            let check = judge_disk(free, files, free_files, folder);
            assert_eq!(check.result, result, "{}", check.found);
        }
    }
}
