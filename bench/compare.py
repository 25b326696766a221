"""Compares the three tables of two folders as multisets of rows, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import oracle

TYPES = {
    "bigint": pyarrow.int64(),
    "int": pyarrow.int32(),
    "double": pyarrow.float64(),
    "string": pyarrow.string(),
}
STRINGS = [pyarrow.string(), pyarrow.large_string(), pyarrow.string_view()]


def difference(expected: Path, actual: Path) -> str | None:
    """Returns the first difference as text, or None."""
    for table in oracle.TABLES:
        expected_files, actual_files = (partitions(folder / table) for folder in (expected, actual))
        # A writer may omit the folder of a day without rows.
        for day in sorted(expected_files.keys() | actual_files.keys()):
            try:
                problem = _difference(table, expected_files.get(day, []), actual_files.get(day, []))
            except (ValueError, pyarrow.ArrowInvalid) as error:
                problem = str(error)
            if problem:
                return f"{table} {day}: {problem}"
    return None


def partitions(folder: Path) -> dict[str, list[Path]]:
    """Returns the Parquet files of each day, at any depth below it."""
    days: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.parquet")):
        keys = path.relative_to(folder).parts[:3]
        days.setdefault("/".join(keys), []).append(path)
    return days


def rows(folder: Path, table: str) -> int:
    return sum(
        pyarrow.parquet.ParquetFile(path).metadata.num_rows
        for paths in partitions(folder / table).values()
        for path in paths
    )


def size(folder: Path) -> int:
    """Returns the size of all tables in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _difference(table: str, expected_files: list[Path], actual_files: list[Path]) -> str | None:
    expected, actual = _sorted(table, expected_files), _sorted(table, actual_files)
    if expected.num_rows != actual.num_rows:
        return f"{actual.num_rows:,} rows, {expected.num_rows:,} were expected"
    for name in expected.column_names:
        if not expected[name].equals(actual[name]):
            pairs = zip(expected[name].to_pylist(), actual[name].to_pylist(), strict=True)
            at, (one, other) = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
            ticker = expected["ticker"][at].as_py()
            return f"{name} (ticker {ticker} of the {at:,}th row in order): expected {one!r}, found {other!r}"
    return None


def _sorted(table: str, paths: list[Path]) -> pyarrow.Table:
    """Sorts the rows in a canonical order, with doubles as their bits, so that 0.0 and -0.0 differ."""
    columns = oracle.TABLES[table]
    parts = [_checked(table, path) for path in paths]
    schema = pyarrow.schema([(c.name, pyarrow.int64() if c.type == "double" else TYPES[c.type]) for c in columns])
    rows = pyarrow.concat_tables([schema.empty_table(), *parts]).combine_chunks()
    return rows.take(pyarrow.compute.sort_indices(rows, [(column.name, "ascending") for column in columns]))


def _checked(table: str, path: Path) -> pyarrow.Table:
    columns = oracle.TABLES[table]
    file = pyarrow.parquet.ParquetFile(path)
    metadata = file.metadata
    if metadata.num_row_groups:
        used = {metadata.row_group(0).column(at).compression for at in range(metadata.num_columns)}
        # Some writers mark a column of only NULLs as uncompressed.
        if not used <= {"SNAPPY", "UNCOMPRESSED"} or "SNAPPY" not in used:
            raise ValueError(f"{path.name} is compressed with {', '.join(sorted(used))} and not with Snappy")
    rows = file.read()
    if rows.column_names != [column.name for column in columns]:
        raise ValueError(f"{path.name} has the columns {', '.join(rows.column_names)}")
    arrays = []
    for column in columns:
        values = rows[column.name]
        if values.type in STRINGS and column.type == "string":
            values = values.cast(pyarrow.string())
        if values.type != TYPES[column.type]:
            raise ValueError(f"{path.name}: {column.name} is {values.type} and not {column.type}")
        arrays.append(_bits(values) if column.type == "double" else values)
    return pyarrow.table(arrays, names=rows.column_names)


def _bits(values: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    return pyarrow.chunked_array([chunk.view(pyarrow.int64()) for chunk in values.chunks], pyarrow.int64())
