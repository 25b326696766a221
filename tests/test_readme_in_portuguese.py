"""The pages in Portuguese agree with the English ones: in each section the same code, links, columns and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from lake import ROOT

# The sections of each page in Portuguese, in their order, and those of the English page.
PAGES = {
    "README.pt-BR.md": {
        "Destaques": "Highlights",
        "O primeiro minuto": "The first minute",
        "Sem compilador": "Without a compiler",
        "Os seus arquivos": "Your own files",
        "Na AWS": "On AWS",
        "Próximos passos": "Next steps",
        "Licença": "Licence",
    },
    "docs/tables.pt-BR.md": {
        "Tabelas": "Tables",
        "quotes": "quotes",
        "options": "options",
        "rejects": "rejects",
        "Onde ficam os arquivos": "Where the files are",
        "Arquivos brutos": "Raw files",
        "Colunas que mudam": "Columns that change",
        "Contrato dos números": "Number contract",
    },
    "docs/notebooks.pt-BR.md": {
        "Na sua máquina": "On the laptop",
        "Na AWS": "On AWS",
        "Como era em um instante": "As of a moment",
        "PyAthena": "PyAthena",
    },
}
TABLES = "docs/tables.pt-BR.md"
# The headings of the tables of columns, and their translations.
HEADINGS = {"coluna": "column", "tipo": "type", "origem": "from", "significado": "meaning"}
FROM_THE_NAME = {"nome do arquivo": "file name"}


@dataclass
class Section:
    """The parts of a section other than prose."""

    blocks: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)  # tables of rows of cells
    links: list[str] = field(default_factory=list)  # without the language and the anchor
    markers: list[str] = field(default_factory=list)  # comments around measured text
    pictures: list[str] = field(default_factory=list)  # alternative texts


def sections(text: str) -> dict[str, Section]:
    """Returns the sections of a page by their headings; the text before the first heading has the empty name."""
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
            # A bar in a cell is escaped as \|.
            here.tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        if block is None:
            here.links.extend(link.split("#")[0].replace(".pt-BR", "") for link in re.findall(r"\]\(([^)]+)\)", line))
            here.markers.extend(re.findall(r"<!-- (\S+) -->", line))
            here.pictures.extend(re.findall(r"!\[([^\]]*)\]", line))
        in_table = line.startswith("|")
    assert block is None, "a block of code has no end"
    return found


def without_comment(line: str) -> str:
    """Removes the comment of a command, which is translated prose."""
    return re.sub(r"\s+#\s.*", "", line)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def english_of(name: str) -> str:
    return name.replace(".pt-BR", "")


def pairs(name: str) -> Iterator[tuple[str, Section, Section]]:
    """Yields each section of a page in Portuguese with the English one."""
    portuguese, english = sections(read(name)), sections(read(english_of(name)))
    for ours, theirs in {"": "", **PAGES[name]}.items():
        assert theirs in english, f"{english_of(name)} has no section {theirs!r}: rename it in PAGES of this test"
        yield ours, portuguese[ours], english[theirs]


def assert_same(where: str, ours: list, theirs: list) -> None:
    """Fails with the missing and the additional items of a page."""
    lacks = [f"  lacks:     {item!r}" for item in theirs if item not in ours]
    surplus = [f"  only here: {item!r}" for item in ours if item not in theirs]
    differences = "\n".join([*lacks, *surplus]) or f"  another order or number:\n  {ours}\n  in English:\n  {theirs}"
    assert ours == theirs, f"{where}:\n{differences}"


def code(cell: str) -> list[str]:
    return sorted(re.findall(r"`[^`]+`", cell))


def codes(row: list[str]) -> list[list[str]]:
    return [code(cell) for cell in row]


def test_all_pages_in_portuguese_are_known():
    found = [*ROOT.glob("*.pt-BR.md"), *ROOT.glob("docs/**/*.pt-BR.md")]
    assert sorted(str(path.relative_to(ROOT)) for path in found) == sorted(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_the_two_pages_name_each_other(name: str):
    for one, other in ((name, english_of(name)), (english_of(name), name)):
        first = read(one).splitlines()[:6]
        link = f"]({other.rsplit('/')[-1]})"
        assert any(link in line for line in first), f"{one} has no link to {other} in its first lines"


@pytest.mark.parametrize("name", PAGES)
def test_its_sections_are_those_of_the_english_page(name: str):
    assert list(sections(read(name))) == ["", *PAGES[name]]
    assert list(sections(read(english_of(name)))) == ["", *PAGES[name].values()]


def test_its_commands_are_those_of_the_english_page():
    count = 0
    for name in PAGES:
        for section, ours, theirs in pairs(name):
            assert_same(f"{name}, the blocks of code of {section!r}", ours.blocks, theirs.blocks)
            count += len(ours.blocks)
    assert count >= 8


@pytest.mark.parametrize("name", PAGES)
def test_its_links_have_the_targets_of_the_english_ones(name: str):
    for section, ours, theirs in pairs(name):
        assert_same(f"{name}, the links of {section!r}", ours.links, theirs.links)


@pytest.mark.parametrize("name", PAGES)
def test_its_pictures_and_markers_are_those_of_the_english_page(name: str):
    for section, ours, theirs in pairs(name):
        assert_same(f"{name}, the markers of {section!r}", ours.markers, theirs.markers)
        assert len(ours.pictures) == len(theirs.pictures), f"{name}, the pictures of {section!r}"
        assert not set(ours.pictures) & set(theirs.pictures), f"{name}, {section!r}: a picture is described in English"


@pytest.mark.parametrize("table", ["quotes", "options", "rejects"])
def test_its_columns_and_types_are_those_of_the_english_page(table: str):
    ours_section, theirs_section = next((ours, theirs) for name, ours, theirs in pairs(TABLES) if name == table)
    ((heading, _, *ours),), ((english_heading, _, *theirs),) = ours_section.tables, theirs_section.tables
    assert [HEADINGS[name] for name in heading] == english_heading
    names = len(heading) - 1  # all but the meaning
    ours_named = [[FROM_THE_NAME.get(cell, cell) for cell in row[:names]] for row in ours]
    assert_same(f"the columns of {table}", ours_named, [row[:names] for row in theirs])
    for row, wanted in zip(ours, theirs, strict=True):
        assert row[names], f"{table}.{row[0]} has no meaning"
        assert_same(f"the code spans of {table}.{row[0]}", code(row[names]), code(wanted[names]))


def test_its_raw_files_are_those_of_the_english_page():
    found = {theirs: (ours.tables, english.tables) for theirs, ours, english in pairs(TABLES)}
    ours, theirs = found["Arquivos brutos"]
    assert len(ours) == len(theirs) == 2, "the forms of the files, and the treatment of records"
    for at, (table, wanted) in enumerate(zip(ours, theirs, strict=True)):
        assert_same(f"the code spans in table {at}", [*map(codes, table)], [*map(codes, wanted)])
    (ours,), (theirs,) = found["Contrato dos números"]
    assert_same("texts of numbers", [*map(codes, ours)], [*map(codes, theirs)])
    numbers = [[cell.replace("rejeitado", "reject") for cell in row[1:]] for row in ours[2:]]
    assert len(numbers) == 8
    assert_same("the values of numbers", numbers, [row[1:] for row in theirs[2:]])


def test_a_difference_is_reported_by_name():
    wanted = sections("## A\n```sh\npregao demo  # all of it\npregao runs\n```\n| a |\n|---|\n| `x\\|y` |\n\n| b |\n")
    assert wanted["A"].blocks == ["```sh\npregao demo\npregao runs"]
    assert wanted["A"].tables == [[["a"], ["---"], ["`x\\|y`"]], [["b"]]]
    with pytest.raises(AssertionError, match=r"lacks: +'ask'\n +only here: 'asks'"):
        assert_same("a table", ["bid", "asks"], ["bid", "ask"])


def test_links_markers_and_pictures_are_found():
    found = sections("a [x](docs/tables.pt-BR.md#números) <!-- time -->\n```\n[no](link)\n```\n![alt](p.png)\n")[""]
    assert found.links == ["docs/tables.md", "p.png"]
    assert (found.markers, found.pictures) == (["time"], ["alt"])
