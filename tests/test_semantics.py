"""Each guarantee of `docs/semantics.md` names tests, and each of them exists.

A test is written as `FILE::NAME`: a Python function below `tests/`, a Rust function in a test of its crate, or a function of
the browser tests, which have a harness of their own.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from lake import ROOT

PAGE = ROOT / "docs" / "semantics.md"
TEST = re.compile(r"`([\w./-]+\.(?:py|rs))::(\w+)`")
# A guarantee is a row of a table that begins with a sentence, unlike header rows and rules.
ROW = re.compile(r"^\| (?!guarantee|---)(.+) \|$", re.MULTILINE)


@cache
def functions(path: Path) -> set[str]:
    """Returns the names of the tests of a file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        found = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
        return {node.name for node in found if node.name.startswith("test_")}
    if path.is_relative_to(ROOT / "tests" / "browser"):
        return set(re.findall(r"^pub async fn (\w+)", text, re.MULTILINE))
    # Attributes and comments may occur between `#[test]` and the function; `proptest!` has the same form.
    test = r"#\[(?:tokio::)?test(?:\([^)]*\))?\]\s*(?:(?:#\[[^\n]*\]|//[^\n]*)\s*)*(?:async )?fn (\w+)"
    return set(re.findall(test, text))


def named() -> list[tuple[str, str]]:
    return sorted(set(TEST.findall(PAGE.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(("file", "name"), named())
def test_the_test_of_a_guarantee_exists(file: str, name: str):
    path = ROOT / file
    assert path.is_file(), f"{PAGE}: there is no {file}"
    assert name in functions(path), f"{PAGE}: {file} has no test {name}"


def test_each_guarantee_has_a_test():
    guarantees, _ = PAGE.read_text(encoding="utf-8").split("## Searches")
    rows = ROW.findall(guarantees)
    assert len(rows) > 20
    without = [row for row in rows if not TEST.search(row)]
    assert not without


def test_only_tests_are_found():
    assert "tests" not in functions(Path(__file__))
    assert "test_each_guarantee_has_a_test" in functions(Path(__file__))
