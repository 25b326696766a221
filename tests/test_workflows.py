"""The workflows of GitHub: their permissions and triggers, and that the files they call exist."""

from __future__ import annotations

import json
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


def test_there_are_the_three_workflows():
    assert WORKFLOWS == ["ci.yml", "deploy.yml", "release.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_everything_that_is_called_exists(name: str):
    found = [path for step in steps(read(name)) for path in called(step.get("run", ""))]
    # The deployment calls the program.
    assert bool(found) == (name != "deploy.yml")
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


# --- the deployment ---------------------------------------------------------------------------------


def commands(job: dict[str, Any]) -> list[str]:
    """Returns the commands of the program in a job."""
    runs = [step.get("run", "") for step in job["steps"]]
    return [run.removeprefix("target/release/") for run in runs if run.startswith("target/release/pregao ")]


def test_a_deployment_is_started_by_hand_or_by_a_tag_of_a_repository_that_says_so():
    workflow = read("deploy.yml")
    assert workflow["on"] == {"workflow_dispatch": None, "push": {"tags": ["v*"]}}
    by_hand, or_by_tag = workflow["jobs"]["staging"]["if"].split(" || ")
    assert by_hand == "github.event_name == 'workflow_dispatch'"
    assert or_by_tag == "vars.DEPLOY_RELEASES == 'true'"
    # Two at once would change the same stacks.
    assert workflow["concurrency"] == {"group": "deploy", "cancel-in-progress": False}


def test_production_is_deployed_after_the_smoke_test_of_staging():
    jobs = read("deploy.yml")["jobs"]
    assert {name: (job["environment"], job.get("needs")) for name, job in jobs.items()} == {
        "staging": ("staging", None),
        "production": ("production", "staging"),
    }
    assert commands(jobs["staging"]) == [
        "pregao --config confs/staging.toml deploy",
        "pregao --config confs/staging.toml --aws smoke --yes --report smoke-report.json",
    ]
    assert commands(jobs["production"]) == ["pregao --config confs/production.toml deploy"]
    # What is deployed is what was tested.
    assert not any("actions/cache" in step.get("uses", "") for step in steps(read("deploy.yml")))
    assert "if" not in jobs["production"]


def test_the_options_of_the_commands_exist():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    of_all = page.split("\n## `pregao ", 1)[0]
    for job in read("deploy.yml")["jobs"].values():
        for command in commands(job):
            name = re.search(r"(?:toml|--aws) (\w+)(?: |$)", command).group(1)
            section = page.split(f"\n## `pregao {name}`\n", 1)[1].split("\n## ", 1)[0]
            for option in re.findall(r"--[a-z]+", command):
                assert f"`{option}" in of_all + section, (name, option)


def test_a_deployment_has_credentials_without_keys():
    workflow = read("deploy.yml")
    assert workflow["permissions"] == {}
    text = (FOLDER / "deploy.yml").read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read", "id-token": "write"}
        (step,) = (step for step in job["steps"] if step.get("uses", "").startswith("aws-actions/"))
        # By a commit: a version can be moved. Dependabot raises both, the commit and the comment.
        assert re.fullmatch(r"aws-actions/configure-aws-credentials@[0-9a-f]{40}", step["uses"])
        assert re.search(rf"{step['uses']} # v\d+\.\d+\.\d+\n", text)
        assert step["with"] == {
            "role-to-assume": "${{ vars.AWS_ROLE_ARN }}",
            "aws-region": "${{ vars.AWS_REGION }}",
            "role-duration-seconds": 7200,
        }
        # Not before the dependencies were built, whose build scripts could read them.
        assert job["steps"].index(step) > job["steps"].index({"run": "cargo build --release --locked"})


def test_a_deployment_installs_the_tools_that_are_tested():
    pinned = (ROOT / "tests" / "tools" / "aws.txt").read_text(encoding="utf-8").splitlines()
    installed = [re.findall(r"[\w-]+==[\w.]+", step.get("run", "")) for step in steps(read("deploy.yml"))]
    installed = [packages for packages in installed if packages]
    assert len(installed) == 2 and all(set(packages) <= set(pinned) for packages in installed)


def documents(language: str) -> list[str]:
    """Returns the blocks of a language in the documentation of the deployment."""
    page = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
    section = page.split("\n## Deploy from GitHub\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.DOTALL | re.MULTILINE)


def test_the_documented_role_is_for_one_environment_and_lasts_as_long_as_the_credentials():
    trust, _ = (json.loads(text) for text in documents("json"))
    (statement,) = trust["Statement"]
    issuer = "token.actions.githubusercontent.com"
    assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": "repo:OWNER/REPOSITORY:environment:staging",
        }
    }
    (created,) = re.findall(r"--max-session-duration (\d+)", "".join(documents("sh")))
    for job in read("deploy.yml")["jobs"].values():
        (step,) = (step for step in job["steps"] if "aws-actions" in step.get("uses", ""))
        assert step["with"]["role-duration-seconds"] <= int(created)


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
