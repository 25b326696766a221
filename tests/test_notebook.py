"""The notebook runs unmodified, and its numbers are those of the lake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

import oracle
import rawfiles
from conftest import Published
from lake import PATIENCE, ROOT, Lake, environment
from records import age

NOTEBOOK = ROOT / "notebooks" / "market.ipynb"
CHARTS = ["quotes-chart", "spread-chart", "options-chart", "smile-chart", "snapshots"]
# A cell that runs after all others and prints their variables. JSON keeps every bit of a double.
PROBE = """
import json

def rows_of(frame):
    rows = [[time.strftime("%Y%m%d%H%M%S"), *row] for time, row in zip(frame.index, frame.to_numpy(object).tolist())]
    return [[None if pd.isna(value) else value for value in row] for row in rows]

print(json.dumps({
    "columns": {table: columns[table].dropna().to_numpy().tolist() for table in there},
    "day": day.isoformat(),
    "days": [each.isoformat() for each in days],
    "quotes": rows_of(quotes[["bid", "ask", "qty_bid", "qty_ask", "last", "micro_price"]]),
    "line": rows_of(with_gaps(quotes)[["ticker"]]),
    "spread": rows_of(spread),
    "chain": rows_of(chain[["ticker", "type", "strike", "bid", "ask", "bid_volimp", "ask_volimp", "bid_volcone"]]),
    "missing": {feed: rows_of(pd.DataFrame(index=slots)) for feed, slots in missing_slots.items()},
    "rejected": int(rejects["cells"].sum()),
    "quality": quality.iloc[0].astype(int).to_dict(),
}))
"""


class Executed(NamedTuple):
    """The notebook with its outputs, and the values of its variables."""

    notebook: nbformat.NotebookNode
    variables: dict

    def outputs(self, cell: str) -> list[dict]:
        return next(each for each in self.notebook.cells if each.id == cell).outputs

    def printed(self, cell: str) -> str:
        return "".join(output.text for output in self.outputs(cell) if output.output_type == "stream")

    def images(self, cell: str) -> int:
        return sum("image/png" in output.get("data", {}) for output in self.outputs(cell))


def execute(lake: Lake, choices: str = "") -> Executed:
    """Runs the notebook on a lake. `choices` is appended to its first cell."""
    folder = lake.home.parent
    env = {**environment(folder), "PREGAO_HOME": str(lake.home), "PYTHONPATH": str(ROOT / "python")}
    # Builds the font list of matplotlib now. On a slow machine, the first chart would print to stderr that it builds it.
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], env=env, check=True, timeout=PATIENCE)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if cell.id == "parameters")
    parameters.source += f"\n{choices}"
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE, id="probe"))
    NotebookClient(notebook, timeout=PATIENCE, resources={"metadata": {"path": str(folder)}}).execute(env=env)
    executed = Executed(notebook, {})
    return executed._replace(variables=json.loads(executed.printed("probe")))


def assert_ran(executed: Executed, warned: tuple[str, ...] = ()) -> None:
    """Asserts that every cell has run in order, and that only the cells in `warned` have output on stderr."""
    cells = [cell for cell in executed.notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        wrong = [output for output in cell.outputs if output.output_type == "error" or output.get("name") == "stderr"]
        assert not wrong or cell.id in warned, f"cell {cell.id}: {wrong}"


def micro_price(row: dict) -> float | None:
    bid, ask, qty_bid, qty_ask = (row[name] for name in ("bid", "ask", "qty_bid", "qty_ask"))
    if None in (bid, ask, qty_bid, qty_ask) or qty_bid + qty_ask == 0:
        return None
    return (qty_bid * ask + qty_ask * bid) / (qty_bid + qty_ask)


def partition(day: str) -> str:
    year, month, day_ = map(int, day.split("-"))
    return f"(year = {year} AND month = {month} AND day = {day_})"


# --- as it is in the repository -----------------------------------------------------------------------


def test_the_notebook_is_stored_without_outputs_and_in_a_canonical_form():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) + "\n" == text, "save it as nbformat does: indented by one, keys in order"
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z][a-z-]+", id) for id in ids), ids
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == [], "clear the outputs"
    assert [cell.id for cell in code if "parameters" in cell.metadata.get("tags", [])] == ["parameters"]


def test_the_requirements_of_the_notebook_are_installed():
    """The tests use the versions that a reader installs."""
    lines = (NOTEBOOK.parent / "requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    assert [f"{pin.name}=={version(pin.name)}" for pin in here] == [f"{pin.name}{pin.specifier}" for pin in here]
    assert len(here) == len({pin.name for pin in pins})


# --- on a sample, unchanged ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three days at the real size of the market."""
    folder = tmp_path_factory.mktemp("sample")
    lake = Lake(folder / "home")
    lake.run("sample", "--out", folder / "raw", "--days", "3")
    lake.upload(folder / "raw")
    lake.publish("2020-04-01", "2020-04-03")
    return lake


@pytest.fixture(scope="module")
def unchanged(sample: Lake) -> Executed:
    return execute(sample)


def test_the_notebook_runs_unchanged_on_a_sample(unchanged: Executed):
    assert_ran(unchanged)
    for cell in CHARTS:
        assert unchanged.images(cell) == 1, f"cell {cell} has to draw one figure"
    assert unchanged.variables["day"] == "2020-04-03"
    assert unchanged.variables["days"] == ["2020-04-01", "2020-04-02", "2020-04-03"]
    for cell in ("quotes", "spread", "options"):
        assert not re.search(r"^no |no rows", unchanged.printed(cell), re.MULTILINE), unchanged.printed(cell)


def test_its_schema_is_that_of_the_tables(unchanged: Executed):
    types = {"string": "VARCHAR", "int": "INTEGER", "bigint": "BIGINT", "double": "DOUBLE"}
    for table, columns in oracle.TABLES.items():
        expected_rows = [(column.name, types[column.type]) for column in columns]
        partition = [(name, "INTEGER") for name in oracle.PARTITION]
        described = [tuple(row) for row in unchanged.variables["columns"][table]]
        assert described == [("time", "TIMESTAMP"), *expected_rows, *partition]


def test_its_quotes_and_its_spread_are_those_of_the_same_sql(unchanged: Executed, sample: Lake):
    day, days = unchanged.variables["day"], unchanged.variables["days"]
    # If an instrument occurs twice in a snapshot, the record with more trades counts.
    latest = f"""SELECT intdate, ticker, bid, ask, qty_bid, qty_ask, last,
        (qty_bid * ask + qty_ask * bid) / nullif(qty_bid + qty_ask, 0) AS micro_price,
        row_number() OVER (PARTITION BY intdate, ticker ORDER BY num_trades DESC NULLS LAST) AS place
        FROM quotes WHERE {" OR ".join(map(partition, days))}"""
    rows = sample.query(latest_of(latest, "PETR4"))
    rows = [row for row in rows if str(row["intdate"]).startswith(day.replace("-", ""))]
    names = ("bid", "ask", "qty_bid", "qty_ask", "last", "micro_price")
    assert len(rows) > 20 and sum(row["micro_price"] is not None for row in rows) > 10
    assert unchanged.variables["quotes"] == [[f"{row['intdate']}00", *(row[name] for name in names)] for row in rows]

    answers = [sample.query(latest_of(latest, ticker)) for ticker in ("ITUB4", "BBDC4")]
    legs = [{row["intdate"]: row["micro_price"] for row in answer} for answer in answers]
    both = [time for time in sorted(legs[0]) if None not in (legs[0][time], legs[1].get(time))]
    assert len(both) > 60
    expected_rows = [[f"{time}00", legs[0][time], legs[1][time], legs[0][time] - legs[1][time]] for time in both]
    assert unchanged.variables["spread"] == expected_rows


def latest_of(latest: str, ticker: str) -> str:
    return f"SELECT * FROM ({latest}) WHERE place = 1 AND ticker = '{ticker}' ORDER BY intdate"


def test_its_chain_is_the_last_snapshot_of_the_day(unchanged: Executed, sample: Lake):
    day = partition(unchanged.variables["day"])
    last = sample.query(f"SELECT max(intdate) AS n FROM options WHERE {day} AND optn_ua = 'PETR4'")[0]["n"]
    rows = sample.query(
        f"""SELECT DISTINCT ticker, optn_tp, optn_strike, optn_mkt_bid, optn_mkt_ask, bid_volimp, ask_volimp, bid_volcone
        FROM options WHERE {day} AND optn_ua = 'PETR4' AND intdate = {last}"""
    )
    chain = unchanged.variables["chain"]
    assert {time for time, *_ in chain} == {f"{last}00"}
    assert len({ticker for _, ticker, *_ in chain}) == len(chain) == len({row["ticker"] for row in rows}) > 100
    assert {tuple(row) for _, *row in chain} <= {tuple(row.values()) for row in rows}


def test_its_quality_is_that_of_the_day(unchanged: Executed, sample: Lake):
    day = partition(unchanged.variables["day"])
    assert [{"n": unchanged.variables["rejected"]}] == sample.query(f"SELECT count(*) AS n FROM rejects WHERE {day}")
    (expected_rows,) = sample.query(
        f"""SELECT count(*) AS records, count(DISTINCT intdate) AS snapshots,
        count(CASE WHEN bid IS NOT NULL AND ask IS NOT NULL THEN 1 END) AS bid_ask_rows FROM quotes WHERE {day}"""
    )
    assert {name: unchanged.variables["quality"][name] for name in expected_rows} == expected_rows


def test_gaps_are_not_drawn(unchanged: Executed, sample: Lake):
    """A line is interrupted at a gap, and the slots without a snapshot are those that the files lack."""
    times = [datetime.strptime(time, "%Y%m%d%H%M%S") for time, *_ in unchanged.variables["quotes"]]
    far = [one for one, next in pairwise(times) if next - one > timedelta(minutes=15)]
    line = [(datetime.strptime(time, "%Y%m%d%H%M%S"), ticker) for time, ticker in unchanged.variables["line"]]
    assert [time for time, ticker in line if ticker is not None] == times
    assert [before for (before, _), (_, ticker) in pairwise(line) if ticker is None] == far and far

    day = unchanged.variables["day"].replace("-", "")
    names = [path.name for path in (sample.home.parent / "raw").rglob(f"{day}*")]
    for feed, suffix in (("quotes", "flashpanel"), ("options", "options")):
        slots = {name[:11] for name in names if suffix in name}
        every = {f"{day}{hour}{minute}" for hour in range(10, 17) for minute in range(6)}
        missing = {time[:11] for (time,) in unchanged.variables["missing"][feed]}
        assert missing == every - slots and missing, feed


def test_every_read_names_its_days():
    """Without days, all files of the lake would be read."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    calls = re.findall(r"lake\.(?:quotes|options|sql)\((?:[^()]|\([^()]*\))*\)", code)
    assert len(calls) == code.count("lake.quotes(") + code.count("lake.options(") + code.count("lake.sql(") >= 6
    assert [call for call in calls if "on=day" not in call and "days[0], days[-1]" not in call] == []


# --- on a market that the oracle has read -------------------------------------------------------------


def test_its_numbers_are_those_of_the_raw_files(published: Published):
    executed = execute(published.lake, 'PAIR, RATIO, DAYS = ("ITUB4", "WEGE3"), 0.75, 4')
    assert_ran(executed)
    quotes = sorted(published.expected.rows["quotes"], key=lambda row: row["intdate"])
    names = ("bid", "ask", "qty_bid", "qty_ask", "last")
    expected_rows = [
        [f"{row['intdate']}00", *(row[name] for name in names), micro_price(row)]
        for row in quotes
        if row["ticker"] == "PETR4" and (row["month"], row["day"]) == (4, 9)
    ]
    assert len(expected_rows) == 5 and executed.variables["quotes"] == expected_rows

    days = {(4, 3), (4, 6), (4, 7), (4, 9)}
    assert executed.variables["days"] == [f"2020-{month:02}-{day:02}" for month, day in sorted(days)]
    legs = [
        {
            row["intdate"]: micro_price(row)
            for row in quotes
            if row["ticker"] == ticker and (row["month"], row["day"]) in days
        }
        for ticker in ("ITUB4", "WEGE3")
    ]
    both = [time for time in sorted(legs[0]) if None not in (legs[0][time], legs[1].get(time))]
    expected_rows = [[f"{time}00", legs[0][time], legs[1][time], legs[0][time] - 0.75 * legs[1][time]] for time in both]
    assert len(expected_rows) == 20 and executed.variables["spread"] == expected_rows


# --- with little data -------------------------------------------------------------------------------


def test_the_notebook_reports_missing_data(tmp_path: Path):
    lake = Lake(tmp_path / "home")
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote("ITUB4")])
    rawfiles.write(tmp_path / "raw", "options", "202004011000", [rawfiles.option("VALED50", Underlying="VALE3")])
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    executed = execute(lake, 'DAY = "2020-04-02"')
    assert_ran(executed, warned=("quotes", "spread", "options"))
    for cell, message in (
        ("days", "2020-04-02 is not there with quotes and options: the last day that is, 2020-04-01"),
        ("quotes", "no rows of PETR4 in quotes on 2020-04-01"),
        ("spread", "no rows of BBDC4 in quotes on 2020-04-01"),
        ("spread", "no spread: ITUB4 and BBDC4 have no snapshot with both sides of both books"),
        ("options", "no rows of PETR4 in options on 2020-04-01"),
        ("quality", "0 cells and records of 2020-04-01 could not be read"),
    ):
        assert message in executed.printed(cell), executed.printed(cell)
    assert [executed.images(cell) for cell in CHARTS] == [0, 0, 0, 0, 1]


def test_the_notebook_shows_the_tables_of_an_earlier_time(tmp_path: Path):
    lake = Lake(tmp_path / "home")
    for name, time in (("first", "202004011000"), ("late", "202004011010")):
        rawfiles.write(tmp_path / name, "quotes", time, [rawfiles.quote("PETR4"), rawfiles.quote("ITUB4")])
        rawfiles.write(tmp_path / name, "options", time, [rawfiles.option("PETRD50", Underlying="PETR4")])
    shown = []
    for name in ("first", "late"):
        lake.upload(tmp_path / name)
        lake.publish("2020-04-01")
        shown.append(execute(lake).variables)
    assert shown[0] != shown[1]
    age(lake, 30)
    (old, _) = json.loads(lake.run("history", "2020-04-01", "--format", "json").out)["records"]
    executed = execute(lake, f"AS_OF = {old['written_at']!r}")
    assert_ran(executed, warned=("spread",))
    assert executed.variables == shown[0]
