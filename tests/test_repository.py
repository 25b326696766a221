"""Project files are consistent: versions agree, and build scripts start no build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lake import ROOT

SOURCES = [path for folder in ("crates", "functions") for path in sorted((ROOT / folder).rglob("*"))]
MANIFESTS = [path for path in SOURCES if path.name == "Cargo.toml"]
BUILD_SCRIPTS = [path for path in SOURCES if path.name == "build.rs"]
# Programs that build, and the variables in which Cargo passes their names to a build script.
STARTS_A_BUILD = re.compile(r'"(?:cargo|rustc|rustup|npm|npx|node)"|"(?:CARGO|RUSTC|RUSTC_WRAPPER|RUSTDOC)"')


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def first_match(pattern: str, name: str) -> str:
    match = re.search(pattern, text(name), re.MULTILINE)
    assert match, f"{name} has nothing like {pattern!r}"
    return match.group(1)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- versions ---------------------------------------------------------------------------------------


def test_the_change_log_ends_at_the_version():
    headings = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]", "new changes need a section"
    dated = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", heading) for heading in headings[1:]]
    assert all(dated), headings
    assert dated[0].group(1) == first_match(r'^\[workspace\.package\]\nversion = "([^"]+)"$', "Cargo.toml")
    numbers = [tuple(map(int, one.group(1).split("."))) for one in dated]
    assert numbers == sorted(numbers, reverse=True)
    assert [one.group(2) for one in dated] == sorted((one.group(2) for one in dated), reverse=True)


def test_the_toolchain_is_that_of_cargo():
    channel = first_match(r'^channel = "([^"]+)"$', "rust-toolchain.toml")
    for manifest in ("Cargo.toml", "model/Cargo.toml", "tests/browser/Cargo.toml"):
        oldest = first_match(r'^rust-version = "([^"]+)"$', manifest)
        assert channel == oldest or channel.startswith(f"{oldest}."), manifest
    assert 'components = ["rustfmt", "clippy"]' in text("rust-toolchain.toml"), ".ci/run calls both"


def test_arrow_and_parquet_are_one_version():
    versions = set(re.findall(r'^(?:arrow-\w+|parquet) = \{ version = "([^"]+)"', text("Cargo.toml"), re.MULTILINE))
    assert len(versions) == 1, versions
    (version,) = versions
    packages = re.findall(
        r'^name = "((?:arrow|parquet)[\w-]*)"\nversion = "([^"]+)"$', text("Cargo.lock"), re.MULTILINE
    )
    assert len(packages) > 5
    assert {locked.rpartition(".")[0] for _, locked in packages} == {version}, packages


# --- build scripts ----------------------------------------------------------------------------------


def test_there_are_build_scripts():
    assert BUILD_SCRIPTS


@pytest.mark.parametrize("script", BUILD_SCRIPTS, ids=relative)
def test_no_build_script_starts_a_build(script: Path):
    """With an empty Cargo home, `cargo metadata` downloads all crates; a nested build has no lock."""
    code = re.sub(r"//.*", "", script.read_text(encoding="utf-8"))
    assert not STARTS_A_BUILD.search(code), STARTS_A_BUILD.search(code).group()


def test_builds_in_build_scripts_are_detected():
    for started in (
        'Command::new("cargo").arg("metadata")',
        'Command::new(env::var_os("CARGO").unwrap())',
        'Command::new(env!("CARGO"))',
        'env::var("RUSTC")',
    ):
        assert STARTS_A_BUILD.search(started), started
    for harmless in (
        'Command::new("getconf")',
        'env::var("CARGO_PKG_VERSION")',
        'println!("cargo::rerun-if-changed=web")',
    ):
        assert not STARTS_A_BUILD.search(harmless), harmless


# --- the guide for contributors ---------------------------------------------------------------------


def test_the_guide_for_contributors_names_only_existing_paths():
    guide = text("CONTRIBUTING.md")
    words = [word for code in re.findall(r"`([^`\n]+)`", guide) for word in code.split()]
    folders = "crates|functions|tests|docs|bench|infra|statemachines|\\.ci|\\.github|scripts"
    paths = {word for word in words if re.match(rf"({folders})/", word)}
    assert len(paths) > 12, paths
    missing = sorted(path for path in paths if not (ROOT / path).exists())
    assert not missing, f"CONTRIBUTING.md names {missing}"


def test_the_guide_for_contributors_names_every_crate():
    guide = text("CONTRIBUTING.md")
    crates = {path.parent.name for path in MANIFESTS if path.parent.parent == ROOT / "crates"}
    assert {crate for crate in crates if f"`crates/{crate}`" not in guide} == set()


def test_the_guide_for_contributors_names_every_step_of_the_checks():
    steps = [line for line in text(".ci/run").splitlines() if line.startswith(("cargo", "python3"))]
    assert steps[0] == "python3 tests/lint.py", "the step that takes seconds comes first"
    guide = text("CONTRIBUTING.md")
    for step in steps:
        words = " ".join(step.split()[:2])
        assert words in guide, f"{words} is a step of .ci/run that CONTRIBUTING.md does not name"
