"""The same conversion in DuckDB: `python duckdb_etl.py RAW OUT THREADS`.

Written as an experienced user of DuckDB would: SQL only, which Python assembles from the columns of the
contract. DuckDB's CSV reader reads lines and splits the regular ones (all but a few in a thousand);
expressions do the rest. A number is a plain cast if that is correct; otherwise the complete number
contract rewrites it as text, which is cast once and never computed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tables import BLANK, FEEDS, MOST, NULL_TOKENS, Feed, utf8

RAW, OUT, THREADS = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
# A character that occurs in no file: with it as the separator, a line is one field.
NO_SEPARATOR = (
    r"delim = '\x1E', quote = '', escape = '', header = false, auto_detect = false, columns = {'line': 'VARCHAR'}"
)

MACROS = rf"""
-- Few cells have anything to trim, and the test is cheaper than trimming several kinds of characters.
CREATE MACRO trimmed(text) AS CASE
  WHEN regexp_matches(text, '^[\t-\r \x{{A0}}]|[\t-\r \x{{A0}}]$')
  THEN trim(text, {"||".join(f"chr({ord(character)})" for character in BLANK)}) ELSE text END;
-- With IN, DuckDB would plan a join for each column.
CREATE MACRO is_null_token(cell) AS regexp_full_match(cell, '{"|".join(map(re.escape, NULL_TOKENS))}');
CREATE MACRO pointed(cell) AS replace(cell, ',', '.');
CREATE MACRO suffix(number) AS replace(replace(replace(number, 'k', 'e3'), 'm', 'e6'), 'b', 'e9');
CREATE MACRO groups(cell) AS
  regexp_full_match(cell, '[+-]?[0-9]{{1,3}}(?:(?:\.[0-9]{{3}})+(?:,[0-9]*)?|(?:,[0-9]{{3}})+(?:\.[0-9]*)?)');
-- Rewrites a trimmed cell in lower case as a number that a cast reads; NULL if it is not a number.
CREATE MACRO number(cell, is_decimal) AS CASE
  WHEN regexp_full_match(cell, '[+-]?[0-9]+[kmb][0-9]{{0,3}}') THEN CASE
    WHEN contains(cell, 'k') THEN replace(cell, 'k', '.') || 'e3'
    WHEN contains(cell, 'm') THEN replace(cell, 'm', '.') || 'e6'
    ELSE replace(cell, 'b', '.') || 'e9' END
  WHEN regexp_full_match(cell, '[0-9]+[.,][0-9]{{1,2}}') THEN pointed(cell)
  WHEN regexp_full_match(cell, '[+-]?[0-9]+[.,][0-9]+[kmb]') THEN suffix(pointed(cell))
  WHEN groups(cell) AND (NOT is_decimal OR regexp_matches(cell, '[.,].*[.,]')) THEN CASE
    WHEN regexp_extract(cell, '[.,]') = '.' THEN pointed(replace(cell, '.', '')) ELSE replace(cell, ',', '') END
  WHEN NOT is_decimal AND regexp_full_match(cell, '[+-]?[0-9]*[.,][0-9]{{3}}') THEN NULL
  WHEN regexp_full_match(cell, '[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:e[+-]?[0-9]+)?') THEN pointed(cell) END;
CREATE MACRO is_negative(number) AS regexp_matches(number, '^-[0.]*[1-9]');

-- A quantity is its digits without trailing zeros, padded with zeros according to its exponent.
CREATE MACRO mantissa(number) AS ltrim(split_part(number, 'e', 1), '+-');
CREATE MACRO digits(number) AS rtrim(replace(mantissa(number), '.', ''), '0');
CREATE MACRO places(number) AS
  greatest(0, length(split_part(mantissa(number), '.', 1)) + coalesce(try_cast(split_part(number, 'e', 2) AS DOUBLE), 0));
CREATE MACRO whole(number) AS try_cast(
  '0' || rpad(digits(number), least(places(number), length(digits(number)) + 20)::INTEGER, '0') AS BIGINT);

-- Numbers of up to 15 digits are distinct as doubles, and whole numbers below 2^53 are exact.
CREATE MACRO short_whole(number, most) AS CASE
  WHEN length(number) <= 15 AND NOT contains(number, '-') AND number::DOUBLE <= least(most, 9e15)
    AND number::DOUBLE = floor(number::DOUBLE)
  THEN number::DOUBLE::BIGINT END;

CREATE MACRO reason_decimal(number) AS CASE
  WHEN number IS NULL THEN 'not_a_number'
  WHEN NOT isfinite(number::DOUBLE) THEN 'out_of_range' END;
CREATE MACRO reason_amount(number) AS CASE
  WHEN is_negative(number) THEN 'negative' ELSE reason_decimal(number) END;
CREATE MACRO reason_quantity(number, most) AS CASE
  WHEN number IS NULL THEN 'not_a_number'
  WHEN is_negative(number) THEN 'negative'
  WHEN length(digits(number)) > places(number) THEN 'not_whole'
  WHEN whole(number) IS NULL OR whole(number) > most THEN 'out_of_range' END;
"""


def main() -> None:
    stem = re.compile(r"[0-9]{12}_(flashpanel|options)\.csv(?:\.gz)?")
    found = [(stem.fullmatch(path.name), path) for path in RAW.rglob("*")]
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as scratch, duckdb.connect(f"{scratch}/scratch.db") as database:
        database.execute(f"SET threads = {THREADS}; SET preserve_insertion_order = false")
        database.execute(MACROS)
        for feed in FEEDS:
            read_lines(database, [str(path) for match, path in found if match and match[1] == feed.stem], Path(scratch))
            split(database, feed, Path(scratch))
            clean(database, feed)
        database.execute(
            f"COPY ({' UNION ALL '.join(f'FROM rejects_{feed.name}' for feed in FEEDS)}) "
            f"TO '{OUT}/rejects' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY (year, month, day))"
        )


def read_lines(database: duckdb.DuckDBPyConnection, files: list[str], scratch: Path) -> None:
    """Creates the view `lines`. A file with lines that are not UTF-8 is read again, from a copy in UTF-8.

    DuckDB supports Latin-1, but not the additional characters of Windows-1252.
    """
    # DuckDB reads `\r\n` as two line ends, and the line between them as NULL.
    database.execute(
        f"""
        DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans;
        CREATE OR REPLACE TEMP TABLE utf8 AS
        SELECT parse_filename(filename) AS source_file, line
        FROM read_csv(?, {NO_SEPARATOR}, new_line = '\\n', filename = true, strict_mode = false,
          ignore_errors = true, store_rejects = true)
        WHERE line IS NOT NULL
        """,
        [files],
    )
    others = database.sql(
        "SELECT DISTINCT error_type FROM reject_errors WHERE error_type <> 'INVALID ENCODING'"
    ).fetchall()
    if others:
        raise ValueError(f"lines could not be read: {others}")
    found = "SELECT DISTINCT file_path FROM reject_errors JOIN reject_scans USING (scan_id, file_id)"
    latin = [path for (path,) in database.sql(found).fetchall()]
    copies = [scratch / f"{Path(path).name}.utf8" for path in latin]
    for path, copy in zip(latin, copies, strict=True):
        copy.write_bytes(utf8(Path(path)))
    names = ", ".join(f"'{Path(path).name}'" for path in ["", *latin])
    again = f"""
        UNION ALL
        SELECT parse_filename(filename, true), line
        FROM read_csv({list(map(str, copies))}, {NO_SEPARATOR}, new_line = '\\n', filename = true, strict_mode = false)
        WHERE line IS NOT NULL"""
    database.execute(
        f"CREATE OR REPLACE TEMP VIEW lines AS FROM utf8 WHERE source_file NOT IN ({names}) {again if latin else ''}"
    )


def split(database: duckdb.DuckDBPyConnection, feed: Feed, scratch: Path) -> None:
    """Creates the views `cells` (of all published records, regular or not) and `ragged`."""
    separator, count = feed.separator, len(feed.raw) + 1
    field = rf'(?:"[^"\r]*"|[^"\r{separator}]*)'
    # A possible repeated header counts as irregular too.
    regular = (
        rf"regexp_full_match(line, '{field}(?:{separator}{field}){{{count - 1}}}') "
        f"AND NOT contains(line, '{feed.raw[-1]}')"
    )
    names = [f"f{at}" for at in range(count)]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in ["source_file", *names])
    pattern = rf"""'{separator}(?:"((?:[^"]|"")*)(?:"|$))?([^{separator}]*)'"""
    raw = ", ".join(f"'{name}'" for name in feed.raw)
    database.execute(
        rf"""
        CREATE OR REPLACE TEMP TABLE classified AS SELECT *, {regular} AS regular FROM lines;

        COPY (SELECT source_file || '{separator}' || line FROM classified WHERE regular)
        TO '{scratch}/{feed.name}.csv' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '\x1E');

        CREATE OR REPLACE TEMP TABLE odd AS
        WITH found AS (
          SELECT source_file, line,
            regexp_extract_all('{separator}' || line, {pattern}) AS fields,
            regexp_extract_all('{separator}' || line, {pattern}, 1) AS quoted,
            regexp_extract_all('{separator}' || line, {pattern}, 2) AS rest
          FROM classified WHERE NOT regular
        ), fields AS (
          SELECT source_file, line,
            list_transform(list_zip(quoted, rest),
              lambda field: coalesce(replace(field[1], '""', '"'), '') || coalesce(field[2], '')) AS fields,
            NOT regexp_full_match(fields[-1], '{separator}"(?:[^"]|"")*') AS closed
          FROM found
        )
        SELECT *, trimmed(fields[1]) AS ticker, length(fields) = {count} AS fits
        FROM fields
        WHERE ticker <> '' AND list_transform(fields[2:], lambda name: trimmed(name)) <> [{raw}];

        CREATE OR REPLACE TEMP VIEW cells AS
        SELECT * FROM read_csv('{scratch}/{feed.name}.csv', delim = '{separator}', quote = '"', escape = '"', header = false,
          auto_detect = false, new_line = '\n', columns = {{{columns}}})
        UNION ALL
        SELECT source_file, {", ".join(f"fields[{at + 1}]" for at in range(count))} FROM odd WHERE fits AND closed;
        """
    )


def clean(database: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Writes the feed's table; its rejects remain as the table `rejects_<feed>`."""
    at = {column.name: f"f{feed.raw.index(column.raw) + 1}" for column in feed.columns}
    numbers = [column for column in feed.columns if column.kind != "text"]
    values, texts, shorts, results, reasons = [], [], [], [], []
    for column in numbers:
        name, cell, kind = column.name, at[column.name], column.kind
        number, most = f"{name}_number", MOST[column.type]
        plain = {
            "decimal": f"CASE WHEN isfinite(try_cast(pointed({cell}) AS DOUBLE)) "
            f"AND NOT contains({cell}, '_') AND NOT contains({cell}, '+') "
            f"THEN try_cast(pointed({cell}) AS DOUBLE) END",
            "amount": f"CASE WHEN regexp_full_match({cell}, '[0-9]{{1,15}}') THEN {cell}::DOUBLE END",
            "quantity": f"CASE WHEN regexp_full_match({cell}, '[0-9]{{1,9}}') THEN {cell}::BIGINT END",
        }[kind]
        values.append(f"{plain} AS {name}_plain")
        texts.append(
            f"CASE WHEN {name}_plain IS NULL AND NOT is_null_token(lower(trimmed({cell}))) "
            f"THEN lower(trimmed({cell})) END AS {name}_cell"
        )
        arguments = f"{number}, {most}" if kind == "quantity" else number
        short = f"short_whole({number}, {most})" if kind == "quantity" else "NULL"
        shorts.append(f"{short} AS {name}_short")
        reasons.append(
            f"CASE WHEN {name}_cell IS NOT NULL AND {name}_short IS NULL THEN reason_{kind}({arguments}) END AS {name}_reason"
        )
        value = f"coalesce({name}_short, whole({number}))" if kind == "quantity" else f"{number}::DOUBLE"
        results.append(
            f"CASE WHEN {name}_cell IS NULL THEN {name}_plain WHEN {name}_reason IS NULL THEN {value} END::{column.type} AS {name}"
        )
    words = [f"nullif(trimmed({at[c.name]}), '') AS {c.name}" for c in feed.columns if c.kind == "text"]
    numbered = [f"number({c.name}_cell, {c.kind == 'decimal'}) AS {c.name}_number" for c in numbers]
    rejected = " OR ".join(f"{column.name}_reason IS NOT NULL" for column in numbers)
    kept = ", ".join(f"{{'column_name': '{c.raw}', 'text': {at[c.name]}, 'reason': {c.name}_reason}}" for c in numbers)
    day = "left(source_file, 4)::INTEGER AS year, source_file[5:6]::INTEGER AS month, source_file[7:8]::INTEGER AS day"
    database.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE rows AS
        WITH plain AS (SELECT *, trimmed(f0) AS ticker, {", ".join(values)} FROM cells WHERE ticker <> ''),
        texts AS (SELECT *, {", ".join(texts)} FROM plain),
        numbers AS (SELECT *, {", ".join(numbered)} FROM texts),
        shorts AS (SELECT *, {", ".join(shorts)} FROM numbers),
        reasons AS (SELECT *, {", ".join(reasons)} FROM shorts)
        SELECT source_file, ticker, {", ".join(words + results)},
          CASE WHEN {rejected} THEN list_filter([{kept}], lambda cell: cell.reason IS NOT NULL) END AS rejects
        FROM reasons;

        COPY (
          SELECT left(source_file, 12)::BIGINT AS intdate, ticker, {", ".join(c.name for c in feed.columns)}, {day} FROM rows
        ) TO '{OUT}/{feed.name}' (FORMAT parquet, COMPRESSION snappy, PARTITION_BY (year, month, day));

        CREATE TEMP TABLE rejects_{feed.name} AS
        WITH rejected AS (
          SELECT source_file, ticker, unnest(rejects) AS cell FROM rows WHERE rejects IS NOT NULL
          UNION ALL
          SELECT source_file, ticker,
            {{'column_name': '', 'text': line, 'reason': CASE WHEN closed THEN 'field_count' ELSE 'unclosed_quote' END}}
          FROM odd WHERE NOT (fits AND closed)
        )
        SELECT left(source_file, 12)::BIGINT AS intdate, source_file, '{feed.name}' AS table_name, ticker,
          cell.column_name, cell.text, cell.reason, {day}
        FROM rejected;
        """
    )


if __name__ == "__main__":
    main()
