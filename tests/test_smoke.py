"""`pregao smoke` passes on the embedded endpoint, and fails when a promise is broken on purpose."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest

import rawfiles
from lake import ACCOUNT, LAKE, PATIENCE, RAW, ROOT, Lake, Process, Result, binary, environment

STEPS = [
    "doctor",
    "upload",
    "landing-rule",
    "lambda",
    "numbers",
    "emr",
    "abort",
    "redrive",
    "two-runs",
    "failed-audit",
    "status",
    "clean-up",
]
# The days that it uses.
MARKET, NUMBERS = "1990-07-02", "1990-07-03"
# A record of both feeds of a day that `pregao smoke` uses.
FOREIGN = "199007021337"


class Machine:
    """A folder in which `pregao smoke` runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.home = folder / ".pregao-smoke"
        self.lake = Lake(self.home)

    def command(self, *arguments: object) -> list[str]:
        return [str(binary()), *map(str, arguments)]

    def environment(self, faults: str = "") -> dict[str, str]:
        return {**environment(self.folder), **({"PREGAO_FAULTS": faults} if faults else {})}

    def smoke(self, *arguments: object, faults: str = "") -> Result:
        command = self.command("smoke", *arguments)
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * PATIENCE,
            env=self.environment(faults),
            cwd=self.folder,
        )
        result = Result(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "panicked" not in result.err, str(result)
        return result

    def report(self) -> dict:
        """Returns the report, which has to fit its schema."""
        report = json.loads((self.folder / "smoke-report.json").read_text())
        jsonschema.validate(report, json.loads((ROOT / "docs" / "schemas" / "smoke.json").read_text()))
        return report

    def verdicts(self) -> dict[str, str]:
        return {promise["name"]: promise["verdict"] for promise in self.report()["promises"]}

    def promise(self, name: str) -> dict:
        [found] = [promise for promise in self.report()["promises"] if promise["name"] == name]
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def evidence(promise: dict, name: str) -> list[str]:
    return [evidence["value"] for evidence in promise["evidence"] if evidence["name"] == name]


@pytest.mark.parametrize("kind", ["ec2", "serverless"])
def test_every_promise_is_kept_and_nothing_is_left(machine: Machine, kind: str):
    result = machine.smoke("--set", f"emr.kind={kind}")
    assert result.code == 0, str(result)
    report = machine.report()
    assert [promise["name"] for promise in report["promises"]] == STEPS
    assert set(machine.verdicts().values()) == {"passed"}, str(result)
    assert (report["passed"], report["failed"], report["skipped"]) == (len(STEPS), 0, 0)
    assert report["aws"] is False and report["stack"] is None
    # The number of the account is nowhere, and the estimates are those of an account.
    assert not re.search(rf"(?<![0-9.]){ACCOUNT}(?![0-9])", json.dumps(report)) and report["account"] == "********0000"
    assert 0.1 < report["usd"] < 2 and report["estimated_usd"] == pytest.approx(report["usd"], abs=1e-3)
    assert report["usd"] == pytest.approx(sum(promise["usd"] for promise in report["promises"]), abs=1e-3)
    for promise in report["promises"]:
        assert promise["reason"] is None and promise["evidence"], promise["name"]
        if promise["usd"] > 0 and promise["name"] != "clean-up":
            assert any("arn:aws:states" in item["value"] for item in promise["evidence"]), promise["name"]
    assert "12 passed, 0 failed, 0 skipped" in result.out and "on AWS it costs about" in result.out
    # The same rows by each engine, as digests.
    tables = [f"{table} on {day}" for table in ("quotes", "options", "rejects") for day in (MARKET, NUMBERS)]
    by_lambda, by_emr = machine.promise("lambda"), machine.promise("emr")
    for table in tables:
        [digest] = set(evidence(by_lambda, table)) & set(evidence(by_emr, table))
        assert "SHA-256" in digest
    assert evidence(machine.promise("redrive"), "redrives") == ["1"]
    [cluster] = evidence(by_emr, "cluster")
    assert cluster.startswith("j-") == (kind == "ec2"), cluster
    assert sorted(path.name for path in machine.folder.iterdir()) == ["smoke-report.json"]


def test_the_report_is_printed_as_json_too(machine: Machine):
    printed = machine.smoke("--format", "json", "--report", "other.json", "--without-emr", "--quiet")
    assert printed.code == 0 and printed.err == "", str(printed)
    report = json.loads(printed.out)
    assert report == json.loads((machine.folder / "other.json").read_text())
    skipped = {promise["name"]: promise["reason"] for promise in report["promises"] if promise["verdict"] == "skipped"}
    assert set(skipped) == {"emr", "abort", "redrive"} and set(skipped.values()) == {"no clusters were to be started"}
    assert report["usd"] < 0.1


def test_a_cluster_that_is_not_stopped_is_found(machine: Machine):
    """The function of the rule may not terminate clusters."""
    result = machine.smoke(faults="service=emr&op=TerminateJobFlows&n=1:deny")
    assert result.code == 1, str(result)
    verdicts = machine.verdicts()
    assert verdicts["abort"] == "failed", str(result)
    assert "and costs money" in machine.promise("abort")["reason"]
    # What does not depend on it is tried nevertheless.
    failed = {name for name, verdict in verdicts.items() if verdict != "passed"}
    assert failed <= {"abort", "redrive"}, verdicts
    assert "abort failed: " in result.out and "docs/aws.md#clusters" in result.out


def test_a_landing_rule_that_is_off_is_found(machine: Machine):
    """A failed one keeps its home, in which nothing of its days is left."""
    result = machine.smoke(faults="service=events&key=LandingPipe:reset")
    assert result.code == 1, str(result)
    verdicts = machine.verdicts()
    assert [name for name, verdict in verdicts.items() if verdict != "passed"] == ["landing-rule"], str(result)
    assert "the rule did not start upload_raw_data" in machine.promise("landing-rule")["reason"]
    assert [key for key in machine.lake.objects(RAW) if "1990" in key] == []
    left = [
        key
        for key in machine.lake.objects(LAKE)
        if "smoke" in key or "year=1990" in key or key.startswith(("runs/", "quality/"))
    ]
    assert left == []
    assert machine.lake.query("SELECT count(*) AS n FROM quotes") == [{"n": 0}]
    assert machine.lake.query("SELECT count(*) AS n FROM published") == [{"n": 0}]
    assert json.loads(machine.lake.run("status", "--format", "json").out) == []
    lists = machine.lake.objects(LAKE, "catalog/files/")
    assert lists and all(json.loads(text)["files"] == [] for text in lists.values())
    machine.lake.run("verify", "--deep")


def test_an_audit_without_limits_is_found(machine: Machine):
    """With these limits, a day whose prices cannot be read is published."""
    result = machine.smoke("--set", "quality.max_reject_share=1", "--set", "quality.max_domain_share=1")
    assert result.code == 1, str(result)
    verdicts = machine.verdicts()
    assert verdicts["failed-audit"] == "failed" and verdicts["status"] == "skipped", str(result)
    assert "published a day whose prices cannot be read" in machine.promise("failed-audit")["reason"]
    assert verdicts["clean-up"] == "passed"


def test_a_spark_step_that_fails_is_found(machine: Machine):
    result = machine.smoke(faults="service=spark&key=pregao-smoke-emr_*:deny")
    assert result.code == 1, str(result)
    verdicts = machine.verdicts()
    assert [name for name, verdict in verdicts.items() if verdict != "passed"] == ["emr"], str(result)
    assert "failed: EmrError" in machine.promise("emr")["reason"]


def test_another_home_is_refused(machine: Machine):
    lake = Lake(machine.folder / "lake")
    lake.run("query", "SELECT 1")
    before = sorted(path.name for path in lake.home.iterdir())
    refused = machine.smoke("--home", lake.home)
    assert refused.code == 1 and "no smoke test" in refused.err, str(refused)
    assert sorted(path.name for path in lake.home.iterdir()) == before


@pytest.mark.parametrize("place", ["raw", "landing", "published"])
def test_days_with_files_of_others_are_refused(machine: Machine, place: str):
    machine.home.mkdir()
    (machine.home / "smoke.txt").write_text("")
    folder = machine.folder / "raw"
    rawfiles.write(folder, "quotes", FOREIGN, [rawfiles.quote("PETR4")])
    rawfiles.write(folder, "options", FOREIGN, [rawfiles.option("PETRF152")])
    if place == "landing":
        with machine.lake.endpoint() as endpoint:
            endpoint.client("s3").put_object(Bucket=RAW, Key=f"landing/{FOREIGN}_options.csv", Body=b"x")
    else:
        machine.lake.upload(folder)
    if place == "published":
        machine.lake.publish(MARKET)
        with machine.lake.endpoint() as endpoint:
            for key in machine.lake.objects(RAW):
                endpoint.client("s3").delete_object(Bucket=RAW, Key=key)
    before = {bucket: machine.lake.objects(bucket) for bucket in (RAW, LAKE)}
    refused = machine.smoke()
    assert refused.code == 1 and "1990-07-02 and 1990-07-03 are for pregao smoke alone" in refused.err, str(refused)
    named = {"raw": "/date=1990-07-02/", "landing": "/landing/", "published": "published/year=1990/month=7/day=2.json"}
    assert named[place] in refused.err, str(refused)
    assert not (machine.folder / "smoke-report.json").exists()
    after = {bucket: machine.lake.objects(bucket) for bucket in (RAW, LAKE)}
    assert after == before


def test_the_cost_is_limited(machine: Machine):
    refused = machine.smoke("--max-cost", "0.1")
    assert refused.code == 1 and "more than --max-cost 0.10" in refused.err, str(refused)
    unknown = machine.smoke("--set", 'emr.instance_types=["x9.metal"]')
    assert unknown.code == 1 and "the cost of a cluster is not known" in unknown.err, str(unknown)
    assert list(machine.folder.iterdir()) == []


@pytest.mark.parametrize("moment", ["upload", "landing-rule", "abort", "clean-up"])
def test_one_that_is_killed_is_cleaned_up_by_the_next(machine: Machine, moment: str):
    process = Process(machine.command("smoke"), machine.environment(), machine.folder)
    try:
        process.wait_for_line(lambda line: line.startswith(f"{moment}: "))
    finally:
        process.kill()
    assert machine.lake.objects(LAKE, "smoke/"), "the claim of the killed one"
    if moment == "upload":
        cleaned = machine.smoke("--clean")
        assert cleaned.code == 0 and cleaned.out.startswith("removed "), str(cleaned)
        assert not machine.home.exists()
        return
    result = machine.smoke()
    assert result.code == 0, str(result)
    assert set(machine.verdicts().values()) == {"passed"}
    assert not machine.home.exists()
