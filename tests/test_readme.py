"""What the README promises is what there is."""

from __future__ import annotations

import re

from lake import ROOT, Lake

TEST_COMMAND = "python3 tests/run.py"


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_the_readme_gives_the_two_commands():
    lines = shell_lines(readme())
    for command in ("cargo run --release -- demo", TEST_COMMAND):
        assert any(line.split("#")[0].strip() == command for line in lines), f"no line of the README is {command!r}"


def test_continuous_integration_runs_the_test_command_of_the_readme():
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_readme_lists_the_commands_that_there_are(lake: Lake):
    listed = set(re.findall(r"^\|\s*`pregao ([a-z]+)", readme(), re.MULTILINE))
    help_ = lake.run("--help").out
    section = re.search(r"^Commands:\n((?: +.*\n|\n)+)", help_, re.MULTILINE)
    assert section, help_
    there = set(re.findall(r"^ {2}([a-z]+)\b", section.group(1), re.MULTILINE)) - {"help"}
    assert listed == there
