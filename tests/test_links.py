"""Every link of the documentation resolves: files exist, anchors exist, references are defined, URLs parse.

Pages are parsed as CommonMark with GitHub's tables; anchors follow GitHub's rule for headings. Nothing is fetched from
the network.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lake import ROOT

PAGES = ["*.md", "docs/**/*.md", "bench/**/*.md", "python/*.md", ".github/**/*.md"]
# Links in HTML, which CommonMark passes through.
HTML_LINK = re.compile(r"""<(?:a|img)\b[^>]*?\b(?:href|src)=["']([^"']*)["']""", re.IGNORECASE)
HTML_ANCHOR = re.compile(r"""<[a-z]+\b[^>]*?\b(?:id|name)=["']([^"']+)["']""", re.IGNORECASE)
# The parser treats a reference without its definition, and a link with an invalid URL, as plain text.
NO_LINK = re.compile(r"\[[^\[\]]+\](?:\[[^\[\]]*\]|\([^()]*\))")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")
LINE_ANCHOR = re.compile(r"L([0-9]+)(?:-L([0-9]+))?")


class Page(NamedTuple):
    """The links and anchors of a page."""

    links: list[str]
    anchors: set[str]
    no_links: list[str]  # texts that look like links but are not
    bare_images: list[str]  # images without an alternative text


def read_page(path: Path) -> Page:
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    page = Page([], set(), [], [])
    slugs: Counter[str] = Counter()
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            slug = github_slug(tokens[at + 1])
            page.anchors.add(f"{slug}-{slugs[slug]}" if slugs[slug] else slug)
            slugs[slug] += 1
    for token in flatten(tokens):
        if token.type == "link_open":
            page.links.append(str(token.attrs["href"]))
        elif token.type == "image":
            page.links.append(str(token.attrs["src"]))
            if not token.content.strip():
                page.bare_images.append(str(token.attrs["src"]))
        elif token.type in ("html_block", "html_inline"):
            page.links.extend(HTML_LINK.findall(token.content))
            page.anchors.update(HTML_ANCHOR.findall(token.content))
        elif token.type == "text":
            page.no_links.extend(NO_LINK.findall(token.content))
    return page


def flatten(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        # The children of an image are its alternative text.
        if token.type != "image":
            yield from flatten(token.children or [])


def github_slug(heading: Token) -> str:
    """Returns the anchor of a heading: its text in lower case, without punctuation, spaces as hyphens."""
    text = "".join(token.content for token in heading.children or [] if token.type in ("text", "code_inline"))
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def faults(path: Path, root: Path) -> list[str]:
    """Returns the faults of the links of a page, one line each."""
    page = read_page(path)
    found = [f"{text} has no definition, or is not a URL" for text in page.no_links]
    found += [f"the image {image} has no alternative text" for image in page.bare_images]
    for link in page.links:
        fault = fault_of(link, path, root)
        if fault:
            found.append(f"{link}: {fault}")
    return [f"{path.relative_to(root)}: {line}" for line in found]


def fault_of(link: str, page: Path, root: Path) -> str | None:
    try:
        url = urlsplit(link)
    except ValueError as error:
        return f"is not a URL: {error}"
    if url.scheme in ("http", "https"):
        return None if HOST.fullmatch(url.hostname or "") else "has no host"
    if url.scheme == "mailto":
        return None if re.fullmatch(r"[^@\s]+@[^@\s]+", url.path) else "is not an address"
    if url.scheme or url.netloc:
        return f"has the scheme {url.scheme!r}"
    if url.path.startswith("/"):
        return "is absolute"
    target = (page.parent / unquote(url.path)).resolve() if url.path else page.resolve()
    if root.resolve() not in [target, *target.parents]:
        return "leaves the repository"
    if not target.exists():
        return "no such file"
    return anchor_fault(target, unquote(url.fragment)) if url.fragment else None


def anchor_fault(target: Path, anchor: str) -> str | None:
    if target.suffix == ".md":
        return None if anchor in read_page(target).anchors else f"{target.name} has no such heading"
    lines = LINE_ANCHOR.fullmatch(anchor)
    if not lines or not target.is_file():
        return "only lines (#L10) are anchors of a file that is not a page"
    last = max(int(number) for number in lines.groups() if number)
    return None if last <= len(target.read_bytes().splitlines()) else f"{target.name} has fewer lines"


def pages() -> list[Path]:
    return sorted({path for pattern in PAGES for path in ROOT.glob(pattern)})


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_resolves(page: Path):
    found = faults(page, ROOT)
    assert not found, "\n".join(found)


def test_all_kinds_of_pages_are_checked():
    named = {str(path.relative_to(ROOT)) for path in pages()}
    assert {"README.md", "README.pt-BR.md", "docs/README.md", "bench/results/README.md"} <= named


def test_valid_links_are_accepted(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text(
        "# Other `code` page\n## Same\n## Same\n## Fusão, ção\n<a id='here'></a>\n"
    )
    (tmp_path / "code.rs").write_text("one\ntwo\n")
    page = tmp_path / "README.md"
    page.write_text(
        "# Title: a *test*\n[a](#title-a-test) [b](docs/other.md#other-code-page) [c](docs/other.md#same-1) "
        "[d](docs/other.md#fus%C3%A3o-%C3%A7%C3%A3o) [e](docs) [f](code.rs#L2) [g](https://example.com/x#y) "
        "[h](mailto:a@example.com) [i][ref] [j](docs/other.md#here) ![alt](code.rs)\n\n"
        "`[k](gone.md)` and <img src='code.rs'>\n\n```sh\n[l](gone.md) [m][gone]\n```\n\n[ref]: docs/other.md\n"
    )
    assert faults(page, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](gone.md)", "gone.md: no such file"),
        ("[x](docs/../../outside.md)", "docs/../../outside.md: leaves the repository"),
        ("[x](/README.md)", "/README.md: is absolute"),
        ("[x](#gone)", "#gone: README.md has no such heading"),
        ("[x](#title-1)", "#title-1: README.md has no such heading"),
        ("[x][gone]", "[x][gone] has no definition, or is not a URL"),
        ("[x][]", "[x][] has no definition, or is not a URL"),
        ("[x][ref]\n\n[ref]: gone.md", "gone.md: no such file"),
        ("| a |\n|---|\n| [x](gone.md) |", "gone.md: no such file"),
        ("![alt](gone.png)", "gone.png: no such file"),
        ("![](README.md)", "the image README.md has no alternative text"),
        ("<img src='gone.png'>", "gone.png: no such file"),
        ("[x](https://)", "https://: has no host"),
        ("[x](https://[1/)", "https://%5B1/: has no host"),
        ("[x](http://a b)", "[x](http://a b) has no definition, or is not a URL"),
        ("[x](ftp://example.com/)", "ftp://example.com/: has the scheme 'ftp'"),
        ("[x](mailto:nobody)", "mailto:nobody: is not an address"),
        ("[x](code.rs#main)", "code.rs#main: only lines (#L10) are anchors of a file that is not a page"),
        ("[x](code.rs#L3)", "code.rs#L3: code.rs has fewer lines"),
    ],
)
def test_broken_links_are_named(tmp_path: Path, text: str, expected: str):
    page = tmp_path / "README.md"
    page.write_text(f"# Title\n\n{text}\n")
    (tmp_path / "code.rs").write_text("one\ntwo\n")
    assert faults(page, tmp_path) == [f"README.md: {expected}"]
