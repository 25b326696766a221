"""The README and the pages in docs/ agree with the program."""

from __future__ import annotations

import json
import re

import pytest

from conftest import Published
from lake import ROOT, Lake

TEST_COMMAND = "python3 tests/run.py"
READMES = ["README.md", "README.pt-BR.md"]
LONGEST = 150
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")])


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def shell_lines(text: str) -> list[str]:
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines()]


def commands(lake: Lake) -> set[str]:
    """Returns the commands of the program, from its help."""
    help_ = lake.run("--help").out
    section = re.search(r"^Commands:\n((?: +.*\n|\n)+)", help_, re.MULTILINE)
    assert section, help_
    return set(re.findall(r"^ {2}([a-z]+)\b", section.group(1), re.MULTILINE)) - {"help"}


def table_under(name: str, heading: str) -> list[list[str]]:
    """Returns the cells of the first table after a heading, without its header."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page(name), re.DOTALL | re.MULTILINE)
    assert section, f"{name} has no section {heading!r}"
    rows = re.search(r"^\|.*\n\|[-|: ]+\n((?:\|.*\n)+)", section[1], re.MULTILINE)
    assert rows, f"{name} has no table under {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows[1].splitlines()]


@pytest.mark.parametrize("name", READMES)
def test_the_readme_has_the_two_commands(name: str):
    lines = shell_lines(page(name))
    for command in ("cargo run --release -- demo", TEST_COMMAND):
        assert any(line.split("#")[0].strip() == command for line in lines), f"no line of {name} is {command!r}"


@pytest.mark.parametrize("name", READMES)
def test_the_readme_is_short(name: str):
    lines = page(name).splitlines()
    assert len(lines) <= LONGEST, f"{name} has {len(lines)} lines: lines beyond {LONGEST} belong in docs/"


@pytest.mark.parametrize("name", READMES)
def test_the_readme_shows_output_of_the_demo(name: str, lake: Lake):
    excerpt = re.search(r"<!-- demo-output -->\n```text\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE)
    assert excerpt, f"{name} shows no output of the demo"
    printed = {without_times(line) for line in lake.run("demo").output.splitlines()}
    shown = [line for line in excerpt[1].splitlines() if line.strip() not in ("", "...")]
    assert len(shown) > 10
    assert [line for line in shown if without_times(line) not in printed] == []


def without_times(line: str) -> str:
    """Removes the values that differ between runs: the durations of states, and the number of polls."""
    return re.sub(r" +[0-9.]+s(  [0-9]+ looks)?$", "", line)


def test_continuous_integration_runs_the_test_command_of_the_readme():
    assert TEST_COMMAND in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_page_of_commands_has_a_section_for_each(lake: Lake):
    # `pregao cluster start` may have a section of its own inside that of `pregao cluster`.
    listed = set(re.findall(r"^#+ `?pregao ([a-z]+)", page("docs/cli.md"), re.MULTILINE)) - {"help"}
    assert listed == commands(lake)


def test_every_command_that_a_page_shows_exists(lake: Lake):
    known = commands(lake)
    shown = 0
    for name in PAGES:
        for line in shell_lines(page(name)):
            # Global options precede the command; the pages use only --aws.
            command = re.match(r"pregao (?:--aws )?([a-z]\S*)", line)
            if command:
                shown += 1
                assert command[1] in known, f"{name} shows {line!r}"
    assert shown > 20


def test_the_page_on_quality_lists_the_checks_that_a_report_has(published: Published):
    rows = table_under("docs/quality.md", "Checks")
    listed = {check for row in rows for check in re.findall(r"`(\w+)`", row[0])}
    reports = [published.lake.quality_report(table) for table in ("quotes", "options", "rejects")]
    assert listed == {check["name"] for report in reports for check in report["checks"]}


def test_the_limits_on_the_page_on_quality_are_the_defaults(published: Published):
    written = {}
    for check, _, limit in table_under("docs/quality.md", "Checks"):
        share = re.search(r"([0-9]+)%", limit)
        written[check.strip("`")] = float(share[1]) / 100 if share else 1.0 if "reported" in limit else 0.0
    for table in ("quotes", "options", "rejects"):
        for check in published.lake.quality_report(table)["checks"]:
            assert check["limit"] == written[check["name"]], check["name"]


def test_the_page_on_architecture_names_every_state():
    text = page("docs/architecture.md")
    machines = sorted((ROOT / "statemachines").glob("*.asl.json"))
    assert len(machines) == 4
    for path in machines:
        for state in json.loads(path.read_text(encoding="utf-8"))["States"]:
            assert re.search(rf"(?<!\w){re.escape(state)}(?!\w)", text), f"{path.name} has a state {state}"


def test_the_page_on_architecture_names_every_crate_and_function():
    text = page("docs/architecture.md")
    crates = [path.parent for path in ROOT.glob("crates/*/Cargo.toml")]
    functions = [path.parent.name for path in ROOT.glob("functions/*/Cargo.toml")]
    assert crates and functions
    missing = [f"crates/{path.name}/" for path in crates if f"| `crates/{path.name}/` |" not in text]
    missing += [name for name in functions if f"| `{name}` |" not in text]
    assert not missing, f"docs/architecture.md has no row for {missing}"


def test_the_page_on_operations_lists_the_reasons_of_the_quarantine():
    source = (ROOT / "functions" / "ingest" / "src" / "check.rs").read_text(encoding="utf-8")
    # The variants of `Refusal` in snake case, or the code that an attribute gives; lower-case lines are fields.
    variants = source.split("pub enum Refusal {", 1)[1].split("\n}", 1)[0]
    codes = {
        code or re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        for code, name in re.findall(r'(?:#\[strum\(serialize = "(\w+)"\)\]\n)?^    ([A-Z]\w+)', variants, re.MULTILINE)
    }
    assert len(codes) > 5
    rows = table_under("docs/operations.md", "Quarantined files")
    assert {code for row in rows for code in re.findall(r"`(\w+)`", row[0])} == codes | {"superseded"}
