"""An upload reports its own files, also if another execution moves them first, as the landing rule's do on AWS."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rawfiles
from lake import RAW, Lake, Result, assert_published, client, eventually
from test_cli import document, failure

DAY = "2020-04-01"
# The execution of the command starts this much later than the other one.
LATER = "service=states&op=StartExecution&n=1:delay=4s"


def overtaken(lake: Lake, folder: Path, files: int) -> Result:
    """Uploads a folder, whose files another execution moves."""
    with lake.started("local", "--faults", LATER) as process, ThreadPoolExecutor() as pool:
        process.wait_for_line(lambda line: "http://" in line)
        s3, states = client(lake.url(), "s3"), client(lake.url(), "stepfunctions")
        uploading = pool.submit(lake.run, "upload", folder, "--format", "json", check=False)
        eventually(
            "the files in landing",
            lambda: s3.list_objects_v2(Bucket=RAW, Prefix="landing/")["KeyCount"] == files or None,
        )
        (arn,) = [
            machine["stateMachineArn"]
            for machine in states.list_state_machines()["stateMachines"]
            if machine["name"].endswith("upload_raw_data")
        ]
        started = states.start_execution(stateMachineArn=arn, input=json.dumps({"date": DAY}))["executionArn"]
        eventually(
            "the end of the other execution",
            lambda: states.describe_execution(executionArn=started)["status"] == "SUCCEEDED" or None,
        )
        assert s3.list_objects_v2(Bucket=RAW, Prefix="landing/")["KeyCount"] == 0
        assert not uploading.done(), "the execution of the command has not started"
        return uploading.result()


def test_accepted_files_are_counted(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    for time in ("202004011000", "202004011010"):
        rawfiles.write(raw, "quotes", time, [rawfiles.quote("PETR4")])
    lake.upload(raw)
    rawfiles.write(raw, "quotes", "202004011010", [rawfiles.quote("PETR4", Ult="15,50")])
    rawfiles.write(raw, "options", "202004011000", [rawfiles.option("PETRF152")])
    found = document(overtaken(lake, raw, files=2), "upload")
    counts = {name: found[name] for name in ("files", "sent_files", "accepted", "already_there", "superseded")}
    assert counts == {"files": 3, "sent_files": 2, "accepted": 2, "already_there": 1, "superseded": 1}
    lake.publish(DAY)
    assert_published(lake, raw)


def test_a_file_that_another_execution_quarantines_fails_the_upload(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    rawfiles.write(raw, "quotes", "202004011000", [rawfiles.quote("PETR4")])
    (raw / "202004011010_flashpanel.csv").write_text("no header\n")
    (raw / "notes.txt").write_text("no snapshot\n")
    done = overtaken(lake, raw, files=3)
    assert done.code == 1, done
    found = json.loads(done.out)
    assert (found["accepted"], found["quarantined"]["count"]) == (1, 2), found
    assert sorted(file["name"] for file in found["quarantined"]["first"]) == [
        "202004011010_flashpanel.csv",
        "notes.txt",
    ]
    assert "2 files quarantined" in failure(done, "upload")["error"]["message"]


def test_files_of_others_are_not_reported(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    rawfiles.write(raw, "quotes", "202004011000", [rawfiles.quote("PETR4")])
    with lake.endpoint() as endpoint:
        endpoint.client("s3").put_object(Bucket=RAW, Key="landing/of-somebody-else.txt", Body=b"x")
        found = document(lake.run("upload", raw, "--format", "json"), "upload")
    assert (found["accepted"], found["quarantined"]["count"]) == (1, 0), found
    assert "quarantine/of-somebody-else.txt" in lake.objects(RAW)


def test_a_file_from_an_interrupted_upload_is_reported(lake: Lake, tmp_path: Path):
    raw = tmp_path / "raw"
    path = rawfiles.write(raw, "quotes", "202004011000", [rawfiles.quote("PETR4")])
    (raw / "notes.txt").write_text("no snapshot\n")
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        for file in (path, raw / "notes.txt"):
            s3.put_object(Bucket=RAW, Key=f"landing/{file.relative_to(raw)}", Body=file.read_bytes())
        done = lake.run("upload", raw, "--format", "json", check=False)
    found = json.loads(done.out)
    assert (done.code, found["sent_files"], found["accepted"]) == (1, 0, 1), done
    assert found["quarantined"]["first"][0]["name"] == "notes.txt"
