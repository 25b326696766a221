"""README.pt-BR.md says of commands, columns and types what README.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from lake import ROOT

ENGLISH, PORTUGUESE = "README.md", "README.pt-BR.md"
# The sections of the Portuguese page, in their order, and the ones that they say the same as.
SECTIONS = {
    "Comece por aqui": "Start here",
    "Comandos": "Commands",
    "As tabelas": "The tables",
    "quotes": "quotes",
    "options": "options",
    "rejects": "rejects",
    "Arquivos brutos": "Raw files",
    "Notebooks": "Notebooks",
    "Licença": "Licence",
}
# Of the schemas these columns are names and types, which have no language.
HEADINGS = {"coluna": "column", "tipo": "type", "origem": "from", "significado": "meaning"}
FROM_THE_NAME = {"nome do arquivo": "file name"}


@dataclass
class Section:
    """What a section has besides its prose."""

    blocks: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)  # tables of rows of cells


def sections(text: str) -> dict[str, Section]:
    """The sections of a page by their headings; what stands before the first one has the empty name."""
    found = {"": Section()}
    here = found[""]
    block: list[str] | None = None
    in_table = False
    for line in text.splitlines():
        if line.startswith("```"):
            if block is None:
                block = [line]
            else:
                here.blocks.append("\n".join(block))
                block = None
        elif block is not None:
            block.append(without_comment(line))
        elif heading := re.fullmatch(r"#{2,} (.+)", line):
            assert heading[1] not in found, f"two sections are named {heading[1]}"
            here = found[heading[1]] = Section()
        elif line.startswith("|"):
            if not in_table:
                here.tables.append([])
            # A bar in a cell is written \|.
            here.tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        in_table = line.startswith("|")
    assert block is None, "a block of code has no end"
    return found


def without_comment(line: str) -> str:
    """A comment in a command is prose, and translated."""
    return re.sub(r"\s+#\s.*", "", line)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def english() -> dict[str, Section]:
    return sections(page(ENGLISH))


@pytest.fixture(scope="module")
def portuguese() -> dict[str, Section]:
    return sections(page(PORTUGUESE))


def pairs(english: dict[str, Section], portuguese: dict[str, Section]) -> Iterator[tuple[str, Section, Section]]:
    for ours, theirs in SECTIONS.items():
        assert theirs in english, f"{ENGLISH} has no section {theirs!r}: rename it in SECTIONS of this test"
        yield ours, portuguese[ours], english[theirs]


def assert_same(where: str, ours: list, theirs: list) -> None:
    """Fails with what the one page lacks and what it has too much, each by itself."""
    lacks = [f"  lacks:     {item!r}" for item in theirs if item not in ours]
    surplus = [f"  only here: {item!r}" for item in ours if item not in theirs]
    said = "\n".join([*lacks, *surplus]) or f"  another order or number:\n  {ours}\n  in {ENGLISH}:\n  {theirs}"
    assert ours == theirs, f"{PORTUGUESE}, {where}:\n{said}"


def code(cell: str) -> list[str]:
    return sorted(re.findall(r"`[^`]+`", cell))


def test_the_two_pages_name_each_other():
    for name, other in ((ENGLISH, PORTUGUESE), (PORTUGUESE, ENGLISH)):
        first = page(name).splitlines()[:5]
        assert any(f"]({other})" in line for line in first), f"{name} has no link to {other} in its first lines"


def test_its_sections_are_the_known_ones(portuguese: dict[str, Section]):
    assert list(portuguese) == ["", *SECTIONS]


def test_its_commands_are_those_of_the_readme(english: dict[str, Section], portuguese: dict[str, Section]):
    count = 0
    for name, ours, theirs in pairs(english, portuguese):
        assert_same(f"the blocks of code of {name!r}", ours.blocks, theirs.blocks)
        count += len(ours.blocks)
    assert count >= 5


def test_its_table_of_commands_is_that_of_the_readme(english: dict[str, Section], portuguese: dict[str, Section]):
    (ours,), (theirs,) = portuguese["Comandos"].tables, english["Commands"].tables
    assert_same("the table of commands", [row[0] for row in ours[2:]], [row[0] for row in theirs[2:]])
    for row, wanted in zip(ours[2:], theirs[2:], strict=True):
        assert_same(f"what is written as code of {row[0]}", code(row[1]), code(wanted[1]))


@pytest.mark.parametrize("table", ["quotes", "options", "rejects"])
def test_its_columns_and_types_are_those_of_the_readme(
    table: str, english: dict[str, Section], portuguese: dict[str, Section]
):
    ((heading, _, *ours),), ((english_heading, _, *theirs),) = portuguese[table].tables, english[table].tables
    assert [HEADINGS[name] for name in heading] == english_heading
    names = len(heading) - 1  # all but the meaning
    ours_named = [[FROM_THE_NAME.get(cell, cell) for cell in row[:names]] for row in ours]
    assert_same(f"the columns of {table}", ours_named, [row[:names] for row in theirs])
    for row, wanted in zip(ours, theirs, strict=True):
        assert row[names], f"{table}.{row[0]} has no meaning"
        assert_same(f"what is written as code of {table}.{row[0]}", code(row[names]), code(wanted[names]))


def test_its_raw_files_are_those_of_the_readme(english: dict[str, Section], portuguese: dict[str, Section]):
    ours, theirs = portuguese["Arquivos brutos"].tables, english["Raw files"].tables
    assert len(ours) == len(theirs) == 2, "the forms of the files, and how numbers are read"
    for at, (table, wanted) in enumerate(zip(ours, theirs, strict=True)):
        assert_same(f"what is written as code in table {at}", [*map(codes, table)], [*map(codes, wanted)])
    numbers = [[cell.replace("rejeitado", "reject") for cell in row[1:]] for row in ours[1][2:]]
    assert_same("what numbers are read as", numbers, [row[1:] for row in theirs[1][2:]])


def codes(row: list[str]) -> list[list[str]]:
    return [code(cell) for cell in row]


def test_its_links_lead_somewhere(portuguese: dict[str, Section]):
    anchors = {"#" + re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in portuguese}
    links = re.findall(r"\]\(([^)]+)\)", page(PORTUGUESE))
    assert len(links) > 5
    lost = [link for link in links if link not in anchors and not (ROOT / link).exists()]
    assert lost == []


def test_a_difference_is_told_by_name():
    wanted = sections("## A\n```sh\npregao demo  # all of it\npregao runs\n```\n| a |\n|---|\n| `x\\|y` |\n\n| b |\n")
    assert wanted["A"].blocks == ["```sh\npregao demo\npregao runs"]
    assert wanted["A"].tables == [[["a"], ["---"], ["`x\\|y`"]], [["b"]]]
    with pytest.raises(AssertionError, match=r"lacks: +'ask'\n +only here: 'asks'"):
        assert_same("a table", ["bid", "asks"], ["bid", "ask"])
