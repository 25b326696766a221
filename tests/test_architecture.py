"""Each stop of the two walks in `docs/architecture.md` names a file, and names that this file defines.

A stop is an item of a numbered list: a link whose text is the path, names in backquotes, a colon, and a sentence. A name is
a Rust item (`run`, or `Type::function`), a state of a state machine, or a resource of the template.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from lake import ROOT

PAGE = ROOT / "docs" / "architecture.md"
WALKS = ["One byte: from a CSV cell to a Parquet page", "One event: from an S3 PUT to a query"]
ITEM = re.compile(r"^\d+\. (.*(?:\n {3,}.*)*)", re.MULTILINE)
STOP = re.compile(r"\[`([^`]+)`\]\(\.\./([^)]+)\)((?:,? `[^`]+`)+): \S")
# The definition of a Rust item; `impl` names its type again, which is not a definition.
RUST_ITEM = r"\b(?:fn|struct|enum|trait|const|static|type|mod) {}\b"


class Stop(NamedTuple):
    path: str
    names: list[str]


def section(title: str, page: str) -> str:
    assert f"## {title}\n" in page, f"{PAGE} has no section {title!r}"
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def stops(text: str) -> list[Stop]:
    found = []
    for item in ITEM.findall(text):
        stop = STOP.match(re.sub(r"\s+", " ", item))
        assert stop, f"no file and names at the beginning of: {item}"
        shown, target, names = stop.groups()
        assert shown == target, f"the text of the link is {shown}, and its target {target}"
        found.append(Stop(target, re.findall(r"`([^`]+)`", names)))
    return found


def all_stops() -> list[Stop]:
    page = PAGE.read_text(encoding="utf-8")
    return [stop for title in WALKS for stop in stops(section(title, page))]


def states(machine: dict) -> set[str]:
    """Returns the names of all states, including those in branches."""
    found = set(machine["States"])
    for state in machine["States"].values():
        for branch in state.get("Branches", []):
            found |= states(branch)
    return found


def undefined(path: Path, names: list[str]) -> list[str]:
    """Returns the names that the file does not define."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return sorted(set(names) - states(json.loads(text)))
    if path.suffix == ".yaml":
        return [name for name in names if not re.search(rf"^  {re.escape(name)}:$", text, re.MULTILINE)]
    code = re.sub(r"//.*", "", text)
    parts = [part for name in names for part in name.split("::")]
    return [part for part in parts if not re.search(RUST_ITEM.format(re.escape(part)), code)]


@pytest.mark.parametrize("stop", all_stops(), ids=lambda stop: f"{stop.path}:{stop.names[0]}")
def test_each_stop_exists(stop: Stop):
    path = ROOT / stop.path
    assert path.is_file(), f"{PAGE}: there is no {stop.path}"
    missing = undefined(path, stop.names)
    assert not missing, f"{PAGE}: {stop.path} does not define {missing}"


@pytest.mark.parametrize("title", WALKS)
def test_each_walk_has_stops(title: str):
    text = section(title, PAGE.read_text(encoding="utf-8"))
    assert len(stops(text)) > 10
    assert [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)] == [*range(1, len(stops(text)) + 1)]


def test_undefined_names_are_reported(tmp_path: Path):
    rust = tmp_path / "a.rs"
    rust.write_text("// fn spoken()\npub struct Lines;\nimpl Lines {\n    pub async fn next(&self) { called() }\n}\n")
    assert undefined(rust, ["Lines::next"]) == []
    assert undefined(rust, ["Lines::spoken", "called", "nex"]) == ["spoken", "called", "nex"]
    machine = tmp_path / "a.json"
    machine.write_text('{"States": {"One": {"Branches": [{"States": {"Two": {}}}]}}}')
    assert undefined(machine, ["One", "Two", "Three"]) == ["Three"]
    template = tmp_path / "a.yaml"
    template.write_text("Resources:\n  Rule:\n    Type: x\n")
    assert undefined(template, ["Rule", "Type"]) == ["Type"]


def test_an_item_without_a_file_is_refused():
    assert stops("1. [`a.rs`](../a.rs) `one`, `two`: does\n   it.\n") == [Stop("a.rs", ["one", "two"])]
    for item in ("1. It does `a`.\n", "1. [`a.rs`](../b.rs) `one`: does it.\n", "1. [`a.rs`](../a.rs): does it.\n"):
        with pytest.raises(AssertionError):
            stops(item)


def test_the_glossary_defines_each_term_once():
    rows = re.findall(
        r"^\| (?!term \||---)([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 80
    terms = [term.lower() for cell, _ in rows for term in re.sub(r" \([^)]*\)", "", cell).split(", ")]
    assert sorted(set(terms)) == sorted(terms)
