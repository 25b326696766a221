//! Checks of the tools that `pregao deploy` calls.

use std::process::{Command, Stdio};

use super::Check;

/// A tool, and the version with which this program is tested.
struct Tool {
    name: &'static str,
    command: [&'static str; 2],
    arguments: &'static [&'static str],
    package: &'static str,
    tested: [u32; 3],
}

const SAM: Tool = Tool {
    name: "SAM CLI",
    command: ["sam", "--version"],
    arguments: &[],
    package: "aws-sam-cli",
    tested: [1, 170, 0],
};

const CARGO_LAMBDA: Tool = Tool {
    name: "cargo-lambda",
    command: ["cargo", "lambda"],
    arguments: &["--version"],
    package: "cargo-lambda",
    tested: [1, 9, 2],
};

pub(super) fn checks() -> Vec<Check> {
    [SAM, CARGO_LAMBDA].iter().map(check).collect()
}

fn check(tool: &Tool) -> Check {
    let [program, first] = tool.command;
    let mut command = Command::new(program);
    let output = command.arg(first).args(tool.arguments).stdin(Stdio::null()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => judge(tool, &String::from_utf8_lossy(&output.stdout)),
        _ => Check::failed(tool.name, "it is not installed", install(tool)),
    }
}

fn install(tool: &Tool) -> String {
    format!("pip install {}=={}", tool.package, dotted(tool.tested))
}

/// Compares the version that a tool prints with the tested one.
fn judge(tool: &Tool, printed: &str) -> Check {
    let Some(version) = version(printed) else {
        let line = printed.lines().next().unwrap_or_default();
        return Check::unknown(tool.name, format!("it names no version: {line:?}"), install(tool));
    };
    if version < tool.tested {
        let found = format!("{}, older than the tested version {}", dotted(version), dotted(tool.tested));
        return Check::failed(tool.name, found, install(tool));
    }
    Check::ok(tool.name, dotted(version))
}

/// Parses the first version in a text: `SAM CLI, version 1.170.0`, `cargo-lambda 1.9.2 (2026-01-01Z)`.
fn version(text: &str) -> Option<[u32; 3]> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.split('.').map(|part| part.parse().ok());
        let version = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(version)
    })
}

fn dotted(version: [u32; 3]) -> String {
    version.map(|number| number.to_string()).join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckResult;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (tool, printed, result) in [
            (&SAM, "SAM CLI, version 1.170.0\n", CheckResult::Ok),
            (&SAM, "SAM CLI, version 1.99.9\n", CheckResult::Failed),
            (&SAM, "SAM CLI, version 2.0.0\n", CheckResult::Ok),
            (&CARGO_LAMBDA, "cargo-lambda 1.9.2 (4321abc 2026-05-01Z)\n", CheckResult::Ok),
            (&CARGO_LAMBDA, "cargo-lambda 1.8.6 (2025-09-01Z)\n", CheckResult::Failed),
            (&CARGO_LAMBDA, "hello\n", CheckResult::Unknown),
        ] {
            assert_eq!(judge(tool, printed).result, result, "{printed}");
        }
    }
}
