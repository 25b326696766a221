"""The workflows of GitHub: their permissions and triggers, and that the files they call exist."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(path.name for path in FOLDER.glob("*.yml"))


def read(name: str) -> dict[str, Any]:
    document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    # YAML 1.1 reads the word `on` as true.
    return {"on" if key is True else key: value for key, value in document.items()}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def called(text: str) -> list[str]:
    """Returns the files of the repository in a command."""
    return re.findall(r"(?<![\w/.-])((?:\.ci|\.github|scripts|tests)/[\w./-]*\w)", text)


def channel() -> str:
    toolchain = (ROOT / "rust-toolchain.toml").read_text(encoding="utf-8")
    return re.search(r'^channel = "([^"]+)"$', toolchain, re.MULTILINE).group(1)


def test_there_are_the_two_workflows():
    assert WORKFLOWS == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_everything_that_is_called_exists(name: str):
    found = [path for step in steps(read(name)) for path in called(step.get("run", ""))]
    assert found
    for path in found:
        assert (ROOT / path).is_file(), f"{name} calls {path}, which does not exist"


def test_paths_are_found_in_commands():
    assert called("python3 .github/scripts/release.py notes > notes.md") == [".github/scripts/release.py"]
    assert called(".ci/run && python3 scripts/wheel.py --out dist") == [".ci/run", "scripts/wheel.py"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_has_a_version(name: str):
    uses = [step["uses"] for step in steps(read(name)) if "uses" in step]
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", action), action


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_checkout_persists_its_token(name: str):
    checkouts = [step for step in steps(read(name)) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_job_ends(name: str):
    assert all(job["timeout-minutes"] <= 180 for job in read(name)["jobs"].values())


# --- the checks -------------------------------------------------------------------------------------


def test_the_checks_run_on_every_change_and_may_only_read():
    workflow = read("ci.yml")
    assert {"push", "pull_request"} <= set(workflow["on"])
    assert "pull_request_target" not in workflow["on"]
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())


def test_the_checks_are_those_of_ci_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    job = read("ci.yml")["jobs"]["checks"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    prepared = "\n".join(step.get("run", "") for step in job["steps"][:-1])
    for package in ("openjdk-17", "python3-venv"):
        assert package in prepared
    # The program's version and a test use git in the checkout, which belongs to another user in a container.
    assert 'git config --global --add safe.directory "$GITHUB_WORKSPACE"' in prepared


def test_the_checks_have_the_compiler_of_the_project():
    assert read("ci.yml")["jobs"]["checks"]["container"] == f"rust:{channel()}-bookworm"


def test_advisories_are_checked_weekly():
    workflow = read("ci.yml")
    assert workflow["on"]["schedule"]
    assert any(step.get("run") == "python3 tests/lint.py --advisories" for step in steps(workflow))


# --- the release ------------------------------------------------------------------------------------


def test_only_a_tag_makes_a_release():
    assert read("release.yml")["on"] == {"push": {"tags": ["v*"]}}


def test_each_job_of_the_release_may_do_only_its_part():
    workflow = read("release.yml")
    assert workflow["permissions"] == {}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "check": {"contents": "read"},
        "wheel": {"contents": "read"},
        "archive": {"contents": "read"},
        "publish": {"contents": "write", "id-token": "write", "attestations": "write"},
        "pypi": {"id-token": "write"},
    }
    assert not any("secrets." in path.read_text(encoding="utf-8") for path in FOLDER.glob("*.yml"))


def test_nothing_is_published_before_the_tag_is_checked_and_all_is_built():
    jobs = read("release.yml")["jobs"]
    listed = {name: job.get("needs", []) for name, job in jobs.items()}
    needs = {name: {before} if isinstance(before, str) else set(before) for name, before in listed.items()}
    assert needs == {
        "check": set(),
        "wheel": {"check"},
        "archive": {"check"},
        "publish": {"wheel", "archive"},
        "pypi": {"publish"},
    }
    assert 'release.py check "$GITHUB_REF_NAME"' in jobs["check"]["steps"][-1]["run"]


def test_what_is_published_was_attested_first_and_built_without_a_cache():
    jobs = read("release.yml")["jobs"]
    order = [step.get("uses", step.get("run", "")) for step in jobs["publish"]["steps"]]
    attested = next(at for at, what in enumerate(order) if what.startswith("actions/attest-build-provenance@"))
    released = next(at for at, what in enumerate(order) if "gh release create" in what)
    assert attested < released
    assert not any("actions/cache" in step.get("uses", "") for step in steps(read("release.yml")))


def test_archives_are_built_where_they_run():
    matrix = read("release.yml")["jobs"]["archive"]["strategy"]["matrix"]["include"]
    built = {entry["target"]: entry["runner"] for entry in matrix}
    assert set(built) == {"x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"}
    for target, runner in built.items():
        assert runner.startswith("macos") == target.endswith("apple-darwin")
        assert runner.endswith("-arm") == (target == "aarch64-unknown-linux-gnu")
    tried = read("ci.yml")["jobs"]["platforms"]["strategy"]["matrix"]["runner"]
    assert set(tried) == {runner for target, runner in built.items() if target != "x86_64-unknown-linux-gnu"}


# --- Dependabot -------------------------------------------------------------------------------------


def updates() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    return {update["package-ecosystem"]: update for update in document["updates"]}


def folders(update: dict[str, Any]) -> set[str]:
    return set(update.get("directories", [update.get("directory")]))


def holding(*names: str) -> set[str]:
    """Returns the folders with such a file, in the form of Dependabot."""
    found = set()
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in ("target", "node_modules", ".git", ".pregao")]
        if any(fnmatch(str(Path(folder) / file), f"*/{name}") for file in files for name in names):
            found.add(f"/{Path(folder).relative_to(ROOT)}".replace("/.", "/"))
    return found


def test_every_lock_file_and_requirement_is_kept_up_to_date():
    assert folders(updates()["cargo"]) == holding("Cargo.lock")
    assert folders(updates()["npm"]) == holding("package-lock.json")
    assert folders(updates()["pip"]) == holding("*requirements*.txt", "tools/*.txt")
    assert folders(updates()["github-actions"]) == {"/"}


def test_datafusion_arrow_and_parquet_are_updated_together():
    groups = updates()["cargo"]["groups"]
    together = set(groups["datafusion"]["patterns"])
    assert together == {"arrow*", "datafusion*", "parquet*"}
    for name, group in groups.items():
        if "*" in group["patterns"]:
            assert together <= set(group["exclude-patterns"]), name
