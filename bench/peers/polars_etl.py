"""The same conversion in Polars: `python polars_etl.py RAW OUT THREADS`.

Written as an experienced user of Polars would: native expressions, no Python function per row or cell, the CSV reader
for regular lines (all but a few in a thousand), general expressions for the others, numbers by a plain cast
if that is correct, and otherwise by the complete number contract. A number is rewritten as text and cast once,
never computed. Each thread converts one day of one feed at a time, so that memory does not grow with the number of days.
"""

from __future__ import annotations

import io
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

RAW, OUT, THREADS = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
os.environ["POLARS_MAX_THREADS"] = str(THREADS)

import polars as pl  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tables import BLANK, FEEDS, MOST, NULL_TOKENS, Feed, utf8  # noqa: E402

NAME = re.compile(r"([0-9]{12})_(flashpanel|options)\.csv(?:\.gz)?")


def main() -> None:
    files = [(NAME.fullmatch(path.name), path) for path in RAW.rglob("*")]
    named = sorted((found[2], found[1], path) for found, path in files if found)
    days = [(key, [path for *_, path in group]) for key, group in groupby(named, lambda file: (file[0], file[1][:8]))]
    feeds = {feed.stem: feed for feed in FEEDS}
    # Longest task first, so that no thread starts a long one at the end.
    days.sort(key=lambda day: -sum(path.stat().st_size for path in day[1]))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda day: write_day(feeds[day[0][0]], day[0][1], day[1]), days))


def write_day(feed: Feed, day: str, paths: list[Path]) -> None:
    """Converts the files of one feed and day to a file of its table and one of `rejects`."""
    lines = pl.concat([read_lines(path) for path in paths]).collect()
    # A possible repeated header counts as irregular too.
    last = pl.col("line").str.contains(feed.raw[-1], literal=True)
    is_regular = lines.select(pl.col("line").str.contains(regular_line(feed)) & ~last).to_series()
    regular, odd = lines.filter(is_regular), lines.filter(~is_regular)
    fields, ragged = split_odd(feed, odd)
    cells = pl.concat([split_regular(feed, regular), fields])
    del lines, regular, odd, is_regular
    table, rejects = clean(feed, cells.filter(pl.col("f0").str.strip_chars(BLANK) != ""))
    partition = f"year={day[:4]}/month={int(day[4:6])}/day={int(day[6:])}"
    write(table, OUT / feed.name / partition, feed.name)
    write(pl.concat([ragged, rejects]), OUT / "rejects" / partition, feed.name)


def write(table: pl.DataFrame, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / f"{name}.parquet", compression="snappy")


# --- lines ------------------------------------------------------------------------------------------


def read_lines(path: Path) -> pl.LazyFrame:
    """Returns the records of a file, without its header."""
    line = pl.col("line").str.strip_suffix("\r")
    return (
        pl.scan_lines(io.BytesIO(utf8(path)))
        .select(line)
        .filter(pl.col("line") != "")
        .slice(1)
        .with_columns(intdate=pl.lit(int(path.name[:12])), source_file=pl.lit(path.name))
    )


def regular_line(feed: Feed) -> str:
    """Matches a line that every CSV reader splits in the same way."""
    field = rf'(?:"[^"\r]*"|[^"\r{feed.separator}]*)'
    return rf"^{field}(?:{feed.separator}{field}){{{len(feed.raw)}}}$"


def used(feed: Feed) -> list[str]:
    """Returns the published fields, in the order of a record."""
    return [f"f{at}" for at in sorted([0, *(feed.raw.index(column.raw) + 1 for column in feed.columns)])]


def split_regular(feed: Feed, lines: pl.DataFrame) -> pl.DataFrame:
    text = io.BytesIO()
    lines.select("line").write_csv(text, include_header=False, quote_style="never")
    text.seek(0)
    fields = pl.DataFrame(schema=dict.fromkeys(used(feed), pl.String))
    if lines.height:
        schema = dict.fromkeys((f"f{at}" for at in range(len(feed.raw) + 1)), pl.String)
        fields = (
            pl.scan_csv(text, has_header=False, separator=feed.separator, schema=schema, empty_string_is_null=False)
            .select(used(feed))
            .collect()
        )
    if fields.height != lines.height:
        raise ValueError(f"{lines.height} lines were split into {fields.height} records")
    return lines.select("intdate", "source_file").hstack(fields)


def split_odd(feed: Feed, lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Splits lines with doubled, misplaced or open quotes. Returns the fields, and the rejects of ragged lines."""
    separator, count = feed.separator, len(feed.raw) + 1
    pattern = rf'{separator}(?:"(?:[^"]|"")*(?:"|$))?[^{separator}]*'
    text = pl.element().str.slice(1)
    quoted = text.str.extract(r'(?s)^"((?:[^"]|"")*)').str.replace_all('""', '"', literal=True)
    rest = text.str.extract(r'(?s)^"(?:[^"]|"")*"?(.*)$')
    fields = pl.when(text.str.starts_with('"')).then(quoted + rest).otherwise(text)
    found = (pl.lit(separator) + pl.col("line")).str.extract_all(pattern)
    records = (
        lines.with_columns(found=found)
        .with_columns(
            fields=pl.col("found").list.eval(fields),
            closed=~pl.col("found").list.last().str.contains(rf'(?s)^{separator}"(?:[^"]|"")*$'),
        )
        .with_columns(ticker=pl.col("fields").list.first().str.strip_chars(BLANK))
        .filter(pl.col("ticker") != "")
    )
    fits = pl.col("fields").list.len() == count
    trimmed = pl.col("fields").list.slice(1).list.eval(pl.element().str.strip_chars(BLANK))
    header = fits & (trimmed.list.join(separator) == separator.join(feed.raw))
    records = records.filter(~header)
    published = records.filter(fits & pl.col("closed")).select(
        "intdate", "source_file", *(pl.col("fields").list.get(int(name[1:])).alias(name) for name in used(feed))
    )
    ragged = records.filter(~(fits & pl.col("closed"))).select(
        "intdate",
        "source_file",
        table_name=pl.lit(feed.name),
        ticker="ticker",
        column_name=pl.lit(""),
        text="line",
        reason=pl.when("closed").then(pl.lit("field_count")).otherwise(pl.lit("unclosed_quote")),
    )
    return published, ragged


# --- numbers ----------------------------------------------------------------------------------------


def clean(feed: Feed, cells: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the feed's table, and a reject for each cell that could not be read."""
    numbers = [column for column in feed.columns if column.kind != "text"]
    at = {column.name: f"f{feed.raw.index(column.raw) + 1}" for column in feed.columns}
    table = cells.select(
        "intdate",
        pl.col("f0").str.strip_chars(BLANK).alias("ticker"),
        *(
            plainly(pl.col(at[column.name]), column)
            if column.kind != "text"
            else pl.col(at[column.name]).str.strip_chars(BLANK).replace("", None).alias(column.name)
            for column in feed.columns
        ),
    )
    hard = [
        pl.select(
            row=(rows := (table[column.name].is_null() & (cells[at[column.name]] != "")).arg_true()),
            text=cells[at[column.name]].gather(rows),
            column=pl.lit(number, pl.UInt8),
        )
        for number, column in enumerate(numbers)
    ]
    hard = pl.concat(hard)
    # Few distinct texts occur often: each is parsed once. Texts that are NULL by the contract are not in `read`.
    read = read_numbers(hard.select("text", "column").unique(), numbers)
    read = hard.join(read, on=["text", "column"], maintain_order="left")
    found = dict(enumerate(read.partition_by("column", maintain_order=True, include_key=True)))
    found = {part["column"][0]: part for part in found.values()}
    for number, column in enumerate(numbers):
        if (part := found.get(number)) is not None:
            values = part["whole"] if column.kind == "quantity" else part["double"]
            target = table[column.name]
            table.replace_column(
                table.get_column_index(column.name), target.scatter(part["row"], values.cast(target.dtype))
            )
    bad = read.filter(pl.col("reason").is_not_null())
    rejects = cells.select("intdate", "source_file", "f0")[bad["row"]].select(
        "intdate",
        "source_file",
        table_name=pl.lit(feed.name),
        ticker=pl.col("f0").str.strip_chars(BLANK),
        column_name=pl.Series([column.raw for column in numbers], dtype=pl.String).gather(bad["column"]),
        text=bad["text"],
        reason=bad["reason"],
    )  # fmt: skip
    return table, rejects


def plainly(text: pl.Expr, column) -> pl.Expr:
    """Returns the number if a plain cast is correct, after replacing the decimal mark; otherwise NULL."""
    if column.kind == "decimal":
        value = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        return pl.when(value.is_finite()).then(value).alias(column.name)
    value = text.cast(pl.Int64, strict=False)
    # The amount -0 is a distinct double.
    least = 1 if column.kind == "amount" else 0
    value = pl.when(value.is_between(least, MOST[column.type])).then(value)
    return value.cast({"bigint": pl.Int64, "int": pl.Int32, "double": pl.Float64}[column.type]).alias(column.name)


def read_numbers(cells: pl.DataFrame, numbers: list) -> pl.DataFrame:
    """Applies the complete contract: `text` and `column` with the value as `double` or `whole`, or a `reason`."""
    text, number, kind = pl.col("cell"), pl.col("number"), pl.col("kind")
    grouped = r"^[+-]?[0-9]{1,3}(?:(?:\.[0-9]{3})+(?:,[0-9]*)?|(?:,[0-9]{3})+(?:\.[0-9]*)?)$"
    form = r"^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|[0-9]+(?:[kmb][0-9]{0,3}|\.[0-9]+[kmb]))$"
    kinds = pl.Series([column.kind for column in numbers])
    most = pl.Series([MOST[column.type] for column in numbers])
    two = text.str.count_matches("[.,]") > 1
    pointed = text.str.replace_all(",", ".", literal=True)
    by_point = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    by_comma = text.str.replace_all(",", "", literal=True)
    cells = (
        cells.lazy()
        .with_columns(
            cell=pl.col("text").str.strip_chars(BLANK).str.to_lowercase(),
            kind=pl.lit(kinds).gather(pl.col("column")),
        )
        .filter(~text.is_in(NULL_TOKENS))
        .with_columns(
            number=pl.when(text.str.contains(grouped) & ((kind != "decimal") | two))
            .then(pl.when(text.str.extract("([.,])") == ".").then(by_point).otherwise(by_comma))
            .when((kind != "decimal") & text.str.contains(r"^[+-]?[0-9]*[.,][0-9]{3}$"))
            .then(None)
            .otherwise(pointed)
        )
        .with_columns(number=pl.when(number.str.contains(form)).then(number))
        .with_columns(
            number=number.str.replace(r"([kmb])([0-9]+)", ".${2}${1}")
            .str.replace("k", "e3", literal=True)
            .str.replace("m", "e6", literal=True)
            .str.replace("b", "e9", literal=True)
        )
        .collect()
    )
    # A decimal or an amount is cast. A quantity is its digits, padded with zeros by its exponent.
    negative = number.str.contains(r"^-[0.]*[1-9]")
    doubles = cells.lazy().filter(kind != "quantity").with_columns(double=number.cast(pl.Float64)).with_columns(
        reason=pl.when(number.is_null()).then(pl.lit("not_a_number"))
        .when((kind == "amount") & negative).then(pl.lit("negative"))
        .when(~pl.col("double").is_finite()).then(pl.lit("out_of_range"))
    )  # fmt: skip
    mantissa = number.str.extract("^[+-]?([^e]*)")
    exponent = number.str.extract("e(.*)$").cast(pl.Float64).fill_null(0)
    digits, places = pl.col("digits"), pl.col("places")
    padded = digits.str.pad_end(pl.min_horizontal(places, digits.str.len_bytes() + 20).cast(pl.UInt32), "0")
    wholes = (
        cells.lazy()
        .filter(kind == "quantity")
        .with_columns(
            digits=mantissa.str.replace(".", "", literal=True).str.strip_chars_end("0"),
            places=pl.max_horizontal(0, mantissa.str.extract(r"^([^.]*)").str.len_bytes() + exponent),
            most=pl.lit(most).gather(pl.col("column")),
        )
        .with_columns(whole=(pl.lit("0") + padded).cast(pl.Int64, strict=False))
        .with_columns(
            reason=pl.when(number.is_null()).then(pl.lit("not_a_number"))
            .when(negative).then(pl.lit("negative"))
            .when(digits.str.len_bytes() > places).then(pl.lit("not_whole"))
            .when(pl.col("whole").is_null() | (pl.col("whole") > pl.col("most"))).then(pl.lit("out_of_range"))
        )
    )  # fmt: skip
    columns = ["column", "text", "reason"]
    good = pl.col("reason").is_null()
    doubles = doubles.select(*columns, double=pl.when(good).then("double"), whole=pl.lit(None, pl.Int64))
    wholes = wholes.select(*columns, double=pl.lit(None, pl.Float64), whole=pl.when(good).then("whole"))
    return pl.concat([doubles, wholes]).collect()


if __name__ == "__main__":
    main()
