"""The columns of the data contract, for the peers in Python."""

from __future__ import annotations

import codecs
import gzip
import re
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
import oracle

BLANK = oracle.BLANK
NULL_TOKENS = sorted(oracle.NULL_TOKENS)
MOST = oracle.LIMITS


class Feed(NamedTuple):
    name: str
    stem: str  # the part of the file names that names the feed
    separator: str
    raw: tuple[str, ...]  # the names of the 2nd to the last raw column
    columns: list[oracle.Column]  # of the table, after `intdate` and `ticker`


FEEDS = [Feed(feed.name, feed.suffix, feed.separator, feed.header, feed.columns[2:]) for feed in oracle.FEEDS.values()]

WINDOWS_1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))

# Without any of these bytes, only ASCII lines are UTF-8, and the file can be decoded as a whole.
MULTI_BYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")


def utf8(path: Path) -> bytes:
    """Returns the text of a raw file without its byte-order mark. Lines that are not UTF-8 are Windows-1252."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
        return data
    except UnicodeDecodeError:
        if not MULTI_BYTE.search(data):
            return codecs.charmap_decode(data, "strict", WINDOWS_1252)[0].encode()
        return b"\n".join(map(_line_as_utf8, data.split(b"\n")))


def _line_as_utf8(line: bytes) -> bytes:
    try:
        line.decode()
        return line
    except UnicodeDecodeError:
        return codecs.charmap_decode(line, "strict", WINDOWS_1252)[0].encode()
