"""The command line, for users and scripts."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import pytest

import oracle
import rawfiles
from conftest import Published
from lake import PATIENCE, RAW, ROOT, Lake, Result, assert_same_rows, environment, parquet_rows

# The fixture of an emulated account.
from test_aws_command_line import Account, account, stack  # noqa: F401

PARTITION_PATH = re.compile(r"(quotes|options|rejects)/year=2020/month=4/day=[1-9]/[^./][^/]*\.parquet")


def engine_rows(out: Path, table: str) -> list[dict]:
    return [row for path in sorted((out / table).rglob("*.parquet")) for row in parquet_rows(path)]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "write",
    [rawfiles.write_market, rawfiles.write_adversarial, rawfiles.write_drifted],
    ids=["market", "adversarial", "drifted"],
)
def test_the_engine_alone_writes_every_row(lake: Lake, tmp_path: Path, write, threads: int):
    write(tmp_path / "raw", seed=21 + threads)
    expected = oracle.read_folder(tmp_path / "raw")
    lake.run("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out", "--threads", threads)
    for table in oracle.TABLES:
        assert_same_rows(table, engine_rows(tmp_path / "out", table), expected.rows[table])
    files = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert [name for name in files if not PARTITION_PATH.fullmatch(name)] == []
    for table in oracle.TABLES:
        days = {tuple(int(part) for part in re.findall(r"=(\d+)", name)) for name in files if name.startswith(table)}
        assert days == expected.days[table]


def test_the_engine_writes_the_same_files_with_any_number_of_threads(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=25, days=["20200401", "20200402"])
    outputs = []
    for threads in (1, 2, 5):
        out = tmp_path / f"out-{threads}"
        lake.run("etl", "--raw", tmp_path / "raw", "--out", out, "--threads", threads)
        outputs.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.parquet")})
    assert outputs[0] == outputs[1] == outputs[2] != {}


def test_the_engine_names_the_file_that_it_cannot_read(lake: Lake, tmp_path: Path):
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote()])
    (tmp_path / "raw" / "202004011010_flashpanel.csv").write_bytes(b"no,header\n")
    failed = lake.fails("etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    assert "202004011010_flashpanel.csv" in failed.err and "header" in failed.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["run", "--to", "2020-04-01"],
        ["query"],
        ["run", "--from", "2020-04-01", "--no-such-option"],
        ["query", "SELECT 1", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_refused_with_the_usage(lake: Lake, arguments: list):
    failed = lake.fails(*arguments)
    assert failed.code == 2
    assert "Usage" in failed.err or "possible values" in failed.err
    assert not lake.home.exists(), "an invalid call must create nothing"


SQL = "SELECT ticker, max(max) AS top, count(*) AS n FROM quotes WHERE day = 1 GROUP BY ticker ORDER BY ticker LIMIT 3"


def test_a_query_prints_each_format(published: Published):
    lake = published.lake
    answer = lake.query(SQL)
    assert len(answer) == 3 and [list(row) for row in answer] == [["ticker", "top", "n"]] * 3
    lines = lake.run("query", SQL, "--format", "csv").out.splitlines()
    assert lines[0] in ("ticker,top,n", '"ticker","top","n"') and len(lines) == 4
    table = lake.run("query", SQL).out
    for row in answer:
        assert row["ticker"] in table and str(row["n"]) in table


def test_json_is_exact_about_nulls_text_and_doubles(published: Published):
    sql = """SELECT CAST(NULL AS varchar) AS nothing, 'a "b", ç' AS text, true AS truth, 1e0 / 3e0 AS third"""
    assert published.lake.query(sql) == [{"nothing": None, "text": 'a "b", ç', "truth": True, "third": 1 / 3}]
    assert published.lake.query("SELECT ticker FROM quotes WHERE day = 31") == []


def test_a_closed_pipe_causes_no_panic(published: Published):
    """`pregao query ... | head -1`: the pipe closes while rows are still written."""
    lake = published.lake
    process = subprocess.Popen(
        lake.command(
            "query", "SELECT a.* FROM options a CROSS JOIN (SELECT ticker FROM quotes LIMIT 20) b", "--format", "csv"
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(lake.home.parent),
    )
    assert process.stdout.readline()
    process.stdout.close()
    stderr = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert "panicked" not in stderr, stderr


@pytest.mark.parametrize("command", [["runs"], ["status"]])
def test_a_document_in_a_closed_pipe_is_no_failure(published: Published, command: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    lake = published.lake
    done = subprocess.run(
        lake.command(*command, "--format", "json"),
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(lake.home.parent),
        timeout=PATIENCE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_runs_lists_executions_and_shows_one_in_full(published: Published):
    lake = published.lake
    # Other tests also start executions on this lake.
    listed = lake.run("runs", "--limit", "1000").out
    (run,) = lake.stored_runs()
    assert run in listed
    shown = lake.run("runs", run).out
    for state in ("PlanRun", "LaunchEmrStep", "ValidateStaged", "Publish"):
        assert state in shown
    assert "no-such-run" in lake.fails("runs", "no-such-run").err


def test_the_command_line_is_a_client_while_another_process_owns_the_home(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=27, days=["20200401"])
    expected = oracle.read_folder(tmp_path / "raw")
    with lake.endpoint():
        lake.upload(tmp_path / "raw")
        lake.publish("2020-04-01")
        assert_same_rows("quotes", lake.query("SELECT * FROM quotes"), expected.rows["quotes"])
        second = lake.fails("local")
        assert lake.url() in second.err, "the error must name the owner of the home"
    assert_same_rows("quotes", lake.query("SELECT * FROM quotes"), expected.rows["quotes"])


def test_a_home_can_be_moved(tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=28, days=["20200401"])
    lake = Lake(tmp_path / "first")
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01")
    answer = lake.query(SQL)
    lake.home.rename(tmp_path / "second")
    assert Lake(tmp_path / "second").query(SQL) == answer != []


# --- pregao sample ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    Lake(folder / "home").run("sample", "--out", folder / "raw", "--from", "2020-04-01", "--seed", "7")
    return folder / "raw"


def files_of(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.rglob("*") if path.is_file()}


def test_a_sample_is_the_same_for_the_same_seed_only(sample: Path, lake: Lake, tmp_path: Path):
    for name, seed in (("same", 7), ("other", 8)):
        lake.run("sample", "--out", tmp_path / name, "--from", "2020-04-01", "--seed", seed)
    first = {name: path.read_bytes() for name, path in files_of(sample).items()}
    assert {name: path.read_bytes() for name, path in files_of(tmp_path / "same").items()} == first
    assert {name: path.read_bytes() for name, path in files_of(tmp_path / "other").items()} != first


def test_a_sample_is_a_plausible_day_with_the_errors_of_the_sources(sample: Path, tmp_path: Path):
    """The oracle reads three snapshots of each feed."""
    files = files_of(sample)
    assert all(oracle.NAME.match(name) for name in files), list(files)
    by_feed = {
        feed.name: sorted(name for name in files if f"_{feed.suffix}." in name) for feed in oracle.FEEDS.values()
    }
    # A snapshot every ten minutes from 10:00 to 17:00 or 18:00 would be more: some are missing.
    assert all(20 <= len(names) <= 35 for names in by_feed.values())

    expected = oracle.Expected()
    for names in by_feed.values():
        for name in (names[0], names[len(names) // 2], names[-1]):
            oracle.read_file(name, files[name].read_bytes(), expected)
    quotes, options = expected.rows["quotes"], expected.rows["options"]
    assert 4000 <= len(quotes) / 3 <= 7000 and 2500 <= len(options) / 3 <= 5000

    def share_wrong(rows, columns, holds):
        known = [row for row in rows if all(row[column] is not None for column in columns)]
        assert len(known) > len(rows) / 10, f"few rows have {columns}"
        return sum(not holds(*(row[column] for column in columns)) for row in known) / len(known)

    assert share_wrong(quotes, ["bid", "ask"], lambda bid, ask: bid <= ask) < 0.01
    assert share_wrong(quotes, ["min", "last", "max"], lambda low, last, high: low <= last <= high) < 0.01
    average = lambda low, high, quantity, volume: not quantity or low * 0.999 <= volume / quantity <= high * 1.001  # noqa: E731
    assert share_wrong(quotes, ["min", "max", "qty_total", "total_volume"], average) < 0.01

    total: dict = {}
    falls = 0
    for row in sorted(quotes, key=lambda row: row["intdate"]):
        if row["qty_total"] is not None:
            falls += row["qty_total"] < total.get(row["ticker"], 0)
            total[row["ticker"]] = row["qty_total"]
    assert falls < len(quotes) / 100
    assert sum(total.values()) > 0

    for outcome in ("blank_ticker", "header_repeat", "ragged"):
        assert expected.total("quotes", outcome) + expected.total("options", outcome) > 0, f"no {outcome}"
    rejected = sum(file.rejected_cells for file in expected.files.values())
    assert 0 < rejected < 0.01 * (len(quotes) * 12 + len(options) * 16)

    everything = b"\n".join(path.read_bytes() for name, path in files.items() if not name.endswith(".gz"))
    for style in (
        rb'"\d+,\d+"',
        rb"\d+k\d",
        rb"\d+m\d",
        rb"\d+b\d",
        rb",\d+\.0,",
        rb"\d\.\d{3}[,;]",
        rb"Abe",
        rb"\d[eE][+-]?\d",
    ):
        assert re.search(style, everything.split(b"\n", 1)[1]), f"the style {style} does not occur"
    with pytest.raises(UnicodeDecodeError):
        everything.decode("utf-8")
    tickers = {row["ticker"] for row in quotes}
    assert any(ticker.endswith("F") and ticker[:-1] in tickers for ticker in tickers), (
        "no fractional lot beside its stock"
    )


def test_a_result_of_many_rows_is_complete_and_in_order(published: Published):
    """A page of Athena has a thousand rows; the rest of a long result is read from the result object."""
    text = "IF(b.n % 7 = 0, NULL, IF(b.n % 5 = 0, '', 'a \"b\", c'))"
    rows = published.lake.query(
        f"SELECT a.n * 100 + b.n AS n, {text} AS t FROM UNNEST(sequence(0, 120)) AS a(n) "
        "CROSS JOIN UNNEST(sequence(0, 99)) AS b(n) ORDER BY 1"
    )
    texts = [None if n % 7 == 0 else "" if n % 5 == 0 else 'a "b", c' for n in range(100)]
    assert rows == [{"n": n, "t": texts[n % 100]} for n in range(12_100)]


# --- version, completions, manual pages, help ---------------------------------------------------------


def with_environment(lake: Lake, variables: dict, *arguments: object) -> Result:
    """Runs a command with additional environment variables."""
    command = lake.command(*arguments)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        env={**environment(lake.home.parent), **variables},
        cwd=lake.home.parent,
    )
    return Result(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def listed(help_: str) -> list[str]:
    """Returns the commands in a help text."""
    section = re.search(r"^Commands:\n((?: +.*\n)+)", help_, re.MULTILINE)
    found = re.findall(r"^ {2}([a-z]+)\b", section.group(1), re.MULTILINE) if section else []
    return [name for name in found if name != "help"]


def commands(lake: Lake) -> list[list[str]]:
    """Returns all commands of the help, including subcommands."""
    found = []
    for name in listed(lake.run("--help").out):
        found.append([name])
        found += [[name, below] for below in listed(lake.run(name, "--help").out)]
    return found


def test_the_version_names_the_commit_and_its_date(lake: Lake):
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    printed = lake.run("--version").out
    # The version of a binary that was built outside a repository has no commit.
    commit = r" \([0-9a-f]{7,} \d{4}-\d\d-\d\d\)" if (ROOT / ".git").exists() else ""
    assert re.fullmatch(rf"pregao {re.escape(version)}{commit}\n", printed), printed


def test_bash_completes_commands_options_and_values(lake: Lake, tmp_path: Path):
    script = tmp_path / "completions"
    script.write_text(lake.run("completions", "bash").out)

    def complete(*words: str) -> list[str]:
        line = '''source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pregao "$1" "${@: -1}" "${@: -2:1}"
                  printf "%s\\n" "${COMPREPLY[@]}"'''
        done = subprocess.run(["bash", "-c", line, "bash", str(script), *words], capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout.split()

    assert complete("pregao", "sta") == ["status"]
    assert "--plan" in complete("pregao", "run", "--")
    assert complete("pregao", "runs", "--format", "j") == ["json"]
    assert complete("pregao", "cluster", "sta") == ["start", "status"]


@pytest.mark.parametrize(
    ("shell", "mark"), [("zsh", "#compdef pregao\n"), ("fish", "\ncomplete -c pregao "), ("bash", "_pregao() {\n")]
)
def test_completions_name_every_command(lake: Lake, shell: str, mark: str):
    text = lake.run("completions", shell).out
    assert mark in text
    for word in [command[-1] for command in commands(lake)] + ["plan", "quiet"]:
        assert re.search(rf"\b{word}\b", text), word


def test_there_is_a_manual_page_for_each_command(lake: Lake, tmp_path: Path):
    lake.run("man", "--out", tmp_path / "man1")
    pages = {path.name: path.read_text() for path in (tmp_path / "man1").iterdir()}
    assert set(pages) == {"pregao.1"} | {f"pregao-{'-'.join(command)}.1" for command in commands(lake)}
    for name, text in pages.items():
        assert ".TH " in text and ".SH EXAMPLES\n.nf\npregao " in text and "PREGAO_LOG" in text, name
        assert "EXIT STATUS" in text and "130" in text and "\x1b" not in text, name
    assert lake.run("man").out == pages["pregao.1"]


def test_every_help_has_examples_after_the_global_options(lake: Lake):
    for command in [[], *commands(lake)]:
        help_ = lake.run(*command, "--help").out
        order = [help_.index(heading) for heading in ("\nOptions:", "\nGlobal options:", "\nExamples:\n  pregao ")]
        assert order == sorted(order), help_
        assert help_.index("\nGlobal options:") < help_.index("--home") < help_.index("--color"), help_


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["upolad", "x"], "upload"),
        (["statsu"], "status"),
        (["runs", "--fromat", "json"], "--format"),
        (["run", "--form", "2020-04-01"], "--from"),
        (["runs", "--format", "jsno"], "json"),
        (["completions", "bahs"], "bash"),
        (["cluster", "statu"], "status"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_misspelled_word_gets_a_suggestion(lake: Lake, arguments: list, meant: str):
    failed = lake.fails(*arguments)
    assert failed.code == 2 and re.search(rf"tip: .*'{meant}'", failed.err), failed


def test_only_a_similar_key_is_suggested(lake: Lake):
    failed = lake.fails("--set", "foo=1", "runs")
    assert failed.code == 1 and '"foo"' in failed.err and "did you mean" not in failed.err, failed
    assert "confs/pregao.template.toml" in failed.err
    failed = lake.fails("--set", "quality.max_reject_shar=1", "runs")
    assert 'did you mean "quality.max_reject_share"?' in failed.err, failed


# --- quiet, verbose, colour ---------------------------------------------------------------------------


def test_quiet_leaves_results_and_errors(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=41, days=["20200401"])
    files = len(list((tmp_path / "raw").rglob("*.csv*")))
    done = lake.run("upload", tmp_path / "raw", "-q")
    assert done.err == "" and f"{files} accepted" in done.out, done
    done = lake.run("--quiet", "run", "--from", "2020-04-01")
    assert done.err == "" and "published 2020-04-01" in done.out and "next:" not in done.out, done
    done = lake.run("query", SQL, "--quiet")
    assert done.err == "" and "ticker" in done.out, done
    assert "error: there is no execution" in lake.fails("-q", "runs", "no-such-run").err
    (tmp_path / "raw" / "notes.txt").write_text("no snapshot")
    failed = lake.fails("-q", "etl", "--raw", tmp_path / "raw", "--out", tmp_path / "out")
    assert "warning: " in failed.err and "notes.txt" in failed.err, failed


def test_the_suggested_next_command_repeats_the_options(lake: Lake, tmp_path: Path):
    home = f"pregao --home {lake.home}"
    done = lake.run("sample", "--out", tmp_path / "raw", "--seed", "3")
    assert f"next: {home} upload {tmp_path / 'raw'}" in done.err, done
    assert "54 raw files" in done.out
    assert f"next: {home} run --from 2020-04-01\n" in lake.upload(tmp_path / "raw").err
    assert f"next: {home} query " in lake.publish("2020-04-01").err
    again = lake.upload(tmp_path / "raw")
    assert "uploaded 0 files, 0 B, in " in again.err and "; 54 were there already" in again.err, again
    assert "0 accepted, 54 there already" in again.out
    rawfiles.write_market(tmp_path / "days", seed=42, days=["20200402", "20200403"], snapshots=1)
    assert f"next: {home} run --from 2020-04-02 --to 2020-04-03\n" in lake.upload(tmp_path / "days").err
    assert f"next: {home} upload DIR\n" in lake.publish("2020-04-06").err


def test_the_log_is_written_to_standard_error_when_requested(published: Published):
    lake = published.lake
    plain = lake.run("query", "SHOW TABLES", "-q")
    assert plain.err == ""
    verbose = lake.run("query", "SHOW TABLES", "-q", "-v")
    assert verbose.out == plain.out
    assert re.search(r"DEBUG pregao.*started", verbose.err) and "the query is started" in verbose.err, verbose
    assert "aws_" not in verbose.err
    assert re.search(r"DEBUG .*aws_", lake.run("-vv", "query", "SHOW TABLES").err)

    logged = with_environment(lake, {"PREGAO_LOG": "pregao::endpoint=debug"}, "-q", "query", "SHOW TABLES")
    # Which message it prints depends on whether the endpoint of another test serves the home.
    assert logged.out == plain.out and re.search(r"pregao::endpoint: .*(serving|serves) the home", logged.err), logged
    assert "the query is started" not in logged.err, logged
    failed = with_environment(lake, {"PREGAO_LOG": "pregao=loud"}, "runs")
    assert failed.code == 1 and "PREGAO_LOG=pregao=loud" in failed.err and "hint: " in failed.err, failed


def test_the_log_shows_execution_state_invocation_step_task_and_query(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=43, days=["20200401"], snapshots=2)
    requests = with_environment(lake, {"PREGAO_LOG": "local_aws=trace"}, "upload", tmp_path / "raw", "-q")
    for expected in [
        r'TRACE request{id="[0-9A-F]{16}" service="s3" operation="PutObject" key="\S+" status=200}: .* close',
        r'TRACE request{id="[-0-9a-f]{36}" service="states" operation="StartExecution" status=200}: .* close',
    ]:
        assert re.search(expected, requests.err), f"{expected} in\n{requests}"

    done = with_environment(lake, {"PREGAO_LOG": "debug"}, "run", "--from", "2020-04-01", "-q")
    (run,) = lake.stored_runs()
    execution = rf"execution{{state_machine=create_datalake name={run}}}"
    state = rf'{execution}:state{{name="AuditSlices" kind=Map}}:state{{name="ValidateStaged" kind=Task item=0}}'
    invocation = rf'invocation{{function="validate-partitions" request_id="[-0-9a-f]+" stage="staged" run="{run}"'
    nested = (
        rf'{execution}:state{{name="Publish" kind=Parallel}}:state{{name="[^"]*" kind=Task}}:'
        r"execution{state_machine=athena_update name=[^ }]+}:state"
    )
    step = rf'step{{id="s-\w+" name="pregao-{run}" cluster="j-\w+"}}'
    for expected in [
        rf"DEBUG {execution}: asl::\S+: close time.busy=\S+ time.idle=\S+",
        rf"DEBUG {state}: asl::\S+: close",
        rf" INFO {state}:{invocation} from=2020-04-01 to=2020-04-01}}: lake::\S+: close",
        rf"DEBUG {nested}",
        rf"DEBUG {step}: local_aws::\S+: close",
        rf"DEBUG {step}:task{{feed=quotes day=2020-04-01 number=0 files=2}}: etl::\S+: close",
        rf"DEBUG {step}:task{{feed=quotes [^}}]*}}:file{{name=20200401\S+}}: etl::\S+: close",
        rf" INFO run{{run={run}}}: pregao::\S+: close",
        rf" INFO {state}:{invocation} from=2020-04-01 to=2020-04-01}}.*:day{{day=2020-04-01}}: \S+: close",
        r'DEBUG query{id="[-0-9a-f]+" statement="SELECT" database="\w+"}: local_aws::\S+: the query ended state="SUCC',
    ]:
        assert re.search(expected, done.err), f"{expected} in\n{done}"
    assert "request{" not in done.err, "requests are at level trace"
    with lake.endpoint() as endpoint:
        athena = endpoint.client("athena")
        ids = athena.list_query_executions()["QueryExecutionIds"]
        queries = [one["Query"] for one in athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]]
    selects = [query for query in queries if query.startswith("SELECT")]
    assert selects and all(query.endswith(f"\n-- pregao run {run}") for query in selects)


RED_ERROR = "\x1b[31m\x1b[1merror:\x1b[0m"
ESCAPE = "\x1b["


@pytest.mark.parametrize(
    ("variables", "options", "colour"),
    [
        ({}, [], False),
        ({}, ["--color", "always"], True),
        ({"CLICOLOR_FORCE": "1"}, [], True),
        ({"CLICOLOR_FORCE": "0"}, [], False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, [], False),
        ({"CLICOLOR_FORCE": "1"}, ["--color=never"], False),
        ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ],
)
def test_colour_in_a_pipe(published: Published, variables: dict, options: list, colour: bool):
    lake = published.lake
    failed = with_environment(lake, variables, "runs", "no-such-run", *options)
    assert failed.code == 1 and (RED_ERROR in failed.err) == colour and (ESCAPE in failed.err) == colour, failed
    runs = with_environment(lake, variables, "runs", *options)
    assert ("\x1b[32mSUCCEEDED\x1b[0m" in runs.out) == colour and (ESCAPE in runs.out) == colour, runs
    for arguments in (["--help"], ["run", "-h"], ["runs", "--no-such-option"]):
        output = with_environment(lake, variables, *options, *arguments).output
        assert (ESCAPE in output) == colour, output
    for format in ("json", "csv"):
        answer = with_environment(lake, variables, "query", "SELECT 1 AS one", "--format", format, *options)
        assert ESCAPE not in answer.out, "documents have no colour"


@pytest.mark.parametrize(
    ("variables", "options", "colour"),
    [
        ({"TERM": "xterm"}, [], True),
        ({"TERM": "dumb"}, [], False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, [], False),
        ({"TERM": "xterm"}, ["--color", "never"], False),
    ],
)
def test_colour_on_a_terminal(published: Published, variables: dict, options: list, colour: bool):
    lake = published.lake
    ours, theirs = os.openpty()
    try:
        code = subprocess.call(
            lake.command("runs", "no-such-run", *options),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**environment(lake.home.parent), **variables},
        )
        os.close(theirs)
        output = b""
        # Linux reports the end of a terminal as an error.
        try:
            while data := os.read(ours, 4096):
                output += data
        except OSError:
            pass
    finally:
        os.close(ours)
    assert code == 1 and (RED_ERROR in output.decode()) == colour, output
    assert "no-such-run" in output.decode()


# --- JSON ---------------------------------------------------------------------------------------------


def document(result: Result, schema: str) -> dict:
    """Returns the only document that a command wrote, validated by its schema."""
    found = json.loads(result.out)
    text = (ROOT / "docs" / "schemas" / f"{schema}.json").read_text()
    jsonschema.Draft7Validator.check_schema(json.loads(text))
    jsonschema.validate(found, json.loads(text), jsonschema.Draft7Validator)
    return found


def failure(result: Result, schema: str) -> dict:
    """Returns the document of a failed command; it must have the same error as standard error."""
    found = document(result, schema)
    assert result.code == 1, result
    assert f"error: {found['error']['message']}" in result.err, result
    for hint in found["error"]["hints"]:
        assert f"hint: {hint}" in result.err, result
    return found


def test_upload_run_and_status_write_complete_json(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=43, days=["20200401", "20200403"], snapshots=4)
    paths = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    uploaded = document(lake.run("upload", tmp_path / "raw", "--format", "json"), "upload")
    assert uploaded["files"] == uploaded["sent_files"] == uploaded["accepted"] == len(paths) == 16
    assert uploaded["bytes"] == uploaded["sent_bytes"] == sum(path.stat().st_size for path in paths)
    assert uploaded["days"] == {"from": "2020-04-01", "to": "2020-04-03"}
    assert uploaded["coverage"]["days_without_files"] == {"count": 1, "first": ["2020-04-02"]}
    missing = uploaded["coverage"]["missing_snapshots"]
    assert missing["count"] == 4 and missing["first"][0]["times"]["count"] == 42 - 4

    ran = document(lake.run("run", "--from", "2020-04-01", "--to", "2020-04-03", "--format", "json"), "run")
    assert lake.stored_runs() == {ran["run"]} and ran["files"] == 16
    expected = oracle.read_folder(tmp_path / "raw")
    assert {table["table"]: table["rows"] for table in ran["published"]} == {
        table: len(expected.rows[table]) for table in oracle.TABLES
    }
    for table in ran["published"]:
        assert table["partitions"] == len(expected.days[table["table"]])
        assert table["checks"] and all(check["passed"] for check in table["checks"])
        assert (table["records"] is None) == (table["table"] == "rejects")
    assert ran["coverage"] == uploaded["coverage"]

    status = document(lake.run("status", "--format", "json"), "status")
    # By default a day needs ten snapshots of each feed.
    states = {day["day"]: day["state"] for day in status}
    assert states == {"2020-04-01": "incomplete", "2020-04-02": "missing", "2020-04-03": "incomplete"}
    rows = {table: sum(day["rows"][table] or 0 for day in status if day["rows"]) for table in oracle.TABLES}
    assert rows == {table: len(expected.rows[table]) for table in oracle.TABLES}
    nothing = document(lake.run("run", "--from", "2020-04-06", "--format", "json"), "run")
    assert nothing["files"] == 0 and nothing["published"] == []


def test_runs_writes_complete_json(published: Published):
    lake = published.lake
    runs = document(lake.run("runs", "--limit", "1000", "--format", "json"), "runs")["executions"]
    assert [run["started"] for run in runs] == sorted((run["started"] for run in runs), reverse=True)
    assert {"upload_raw_data", "create_datalake", "athena_update"} <= {run["workflow"] for run in runs}
    (name,) = lake.stored_runs()
    (listed_,) = [run for run in runs if run["name"] == name]
    assert listed_["status"] == "SUCCEEDED" and listed_["stopped"] > listed_["started"] and listed_["seconds"] > 0
    shown = document(lake.run("runs", name, "--format", "json"), "runs")
    assert shown["execution"] == listed_
    assert shown["input"] == {"from": "2020-04-01", "to": "2020-04-09"} and shown["output"]["run"] == name
    states = [state["name"] for state in shown["states"]]
    assert states[:3] == ["PlanRun", "CatalogBehind?", "NothingToDo?"] and "Publish" in states
    nested = [below for state in shown["states"] for below in state["executions"]]
    assert len(nested) == 3 and all(one["states"][0]["name"] == "CreateAthenaTable" for one in nested)
    found = failure(lake.fails("runs", "no-such-run", "--format", "json"), "runs")
    assert "no-such-run" in found["error"]["message"] and found["error"]["hints"]


def test_a_run_that_fails_writes_the_error_as_json(lake: Lake, tmp_path: Path):
    rows = [rawfiles.quote(f"TST{letter}3", Ult="12a") for letter in "ABCDEFGH"]
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", rows)
    lake.upload(tmp_path / "raw")
    found = failure(lake.fails("run", "--from", "2020-04-01", "--format", "json"), "run")
    assert found["error"]["name"] == "QualityError" and "rejected_cells" in found["error"]["message"]
    execution = found["execution"]
    assert execution["workflow"] == "create_datalake" and execution["status"] == "FAILED"
    shown = document(lake.run("runs", execution["name"], "--format", "json"), "runs")
    assert shown["failure"]["error"] == "QualityError" and shown["output"] is None
    assert any(state["failed"] and state["failures"] for state in shown["states"])
    found = failure(lake.fails("run", "--from", "2020-04-02", "--to", "2020-04-01", "--format", "json"), "run")
    assert "execution" not in found and found["error"]["hints"] == ["pregao run --from FIRST --to LAST"]
    wrong = lake.fails("run", "--from", "yesterday", "--format", "json")
    assert wrong.code == 2 and wrong.out == "", "an invalid command line writes no document"


def test_an_upload_with_refused_files_writes_complete_json(lake: Lake, tmp_path: Path):
    rawfiles.write(tmp_path / "raw", "quotes", "202004011000", [rawfiles.quote()])
    (tmp_path / "raw" / "notes.txt").write_text("no snapshot")
    found = failure(lake.fails("upload", tmp_path / "raw", "--format", "json"), "upload")
    assert found["accepted"] == 1 and found["quarantined"]["count"] == 1
    assert found["quarantined"]["first"][0]["name"] == "notes.txt"
    found = failure(lake.fails("upload", tmp_path / "nowhere", "--format", "json"), "upload")
    assert set(found) == {"error"} and "nowhere" in found["error"]["message"]


def test_the_engine_writes_its_counts_as_json(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=44, days=["20200401"])
    expected = oracle.read_folder(tmp_path / "raw")
    arguments = ["etl", "--raw", tmp_path / "raw", "--format", "json", "--out"]
    found = document(lake.run(*arguments, tmp_path / "out"), "etl")
    assert found["parquet_files"] == len(list((tmp_path / "out").rglob("*.parquet")))
    for table in found["tables"]:
        assert table["published"] == len(expected.rows[table["table"]])
        assert table["records"] == sum(table[name] for name in ("published", "blank_ticker", "header_repeat", "ragged"))
    (tmp_path / "raw" / "notes.txt").write_text("no snapshot")
    found = failure(lake.fails(*arguments, tmp_path / "other"), "etl")
    assert [Path(path).name for path in found["left_out"]] == ["notes.txt"] and len(found["tables"]) == 2


def test_cluster_status_writes_json(stack: Account):  # noqa: F811
    assert document(stack.run("--aws", "cluster", "status", "--format", "json"), "cluster-status") == {"clusters": []}
    id = stack.run("--aws", "cluster", "start").out.split()[0]
    (found,) = document(stack.run("--aws", "cluster", "status", "--format", "json"), "cluster-status")["clusters"]
    assert found["id"] == id and found["state"] in ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
    stack.run("--aws", "cluster", "stop")
    failed = stack.fails("--aws", "--set", "aws.stack=another", "cluster", "status", "--format", "json")
    assert "another" in failure(failed, "cluster-status")["error"]["message"]


# --- pregao status ------------------------------------------------------------------------------------


# Three snapshots of each feed are enough for a day of these tests.
FEW = ["--set", "quality.min_snapshots=3"]


def days_of(lake: Lake, *options: str) -> dict[str, dict]:
    """Returns the days of `pregao status`."""
    return {day["day"]: day for day in document(lake.run(*FEW, "status", "--format", "json", *options), "status")}


def test_the_states_of_days(lake: Lake, tmp_path: Path):
    empty = lake.run("status")
    assert "nothing here yet" in empty.out
    assert document(lake.run("status", "--format", "json"), "status") == []
    days = ["20200401", "20200402", "20200403", "20200406", "20200409"]
    rawfiles.write_market(tmp_path / "raw", seed=45, days=days, snapshots=3)
    # A day on which one feed has no file, and a Saturday.
    rawfiles.write(tmp_path / "raw", "quotes", "202004141000", [rawfiles.quote()])
    rawfiles.write(tmp_path / "raw", "quotes", "202004111003", [rawfiles.quote()])
    lake.upload(tmp_path / "raw")
    lake.publish("2020-04-01", "2020-04-03")
    first = lake.stored_runs()
    lake.publish("2020-04-02", "2020-04-02")
    lake.publish("2020-04-14")
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        prefix = "date=2020-04-03/"
        for feed in ("quotes", "options"):
            for object in s3.list_objects_v2(Bucket=RAW, Prefix=f"{feed}/{prefix}")["Contents"]:
                s3.delete_object(Bucket=RAW, Key=object["Key"])
        s3.put_object(Bucket=RAW, Key="landing/202004091650_options.csv", Body=b"x")
        s3.put_object(Bucket=RAW, Key="quarantine/202004071000_options.csv.9e10", Body=b"x")
        s3.put_object(Bucket=RAW, Key="quarantine/202004071000_options.csv.9e10.reason.json", Body=b"{}")
        found = days_of(lake)

    assert {date: day["state"] for date, day in found.items()} == {
        "2020-04-01": "published",
        "2020-04-02": "published",
        # Its raw files were removed.
        "2020-04-03": "stale",
        "2020-04-06": "unpublished",
        "2020-04-07": "missing",
        "2020-04-08": "missing",
        "2020-04-09": "unpublished",
        # The tenth is Good Friday.
        "2020-04-11": "unpublished",
        "2020-04-13": "missing",
        "2020-04-14": "incomplete",
    }
    assert [date for date, day in found.items() if not day["attention"]] == ["2020-04-01", "2020-04-02"]
    assert found["2020-04-01"]["raw_files"] == {
        "quotes": {"files": 3, "present": 3, "expected": 42},
        "options": {"files": 3, "present": 3, "expected": 42},
        "quarantined": 0,
        "landing": 0,
    }
    assert found["2020-04-01"]["missing"]["quotes"]["count"] == 39
    assert found["2020-04-11"]["raw_files"]["quotes"] == {"files": 1, "present": 0, "expected": 0}
    assert not found["2020-04-11"]["business_day"] and found["2020-04-07"]["business_day"]
    assert found["2020-04-07"]["raw_files"]["quarantined"] == 1
    assert found["2020-04-03"]["stale"]["removed"]["count"] == 6
    assert found["2020-04-14"]["rows"]["quotes"] == 1 and found["2020-04-14"]["rows"]["options"] is None
    assert {found["2020-04-01"]["run"]} == first
    assert found["2020-04-02"]["run"] not in first, "the last run of the day"
    assert found["2020-04-02"]["published_at"] > found["2020-04-01"]["published_at"]
    assert found["2020-04-06"]["run"] is None and found["2020-04-06"]["rows"] is None
    next = {date: day["next"] and day["next"].split(str(lake.home), 1)[-1].strip() for date, day in found.items()}
    assert next["2020-04-01"] is None
    assert next["2020-04-06"] == "run --stale --from 2020-04-06 --to 2020-04-06"
    # No run processes a day without files, or a day with files in landing/.
    assert [next[date] for date in ("2020-04-03", "2020-04-07", "2020-04-09")] == ["upload DIR"] * 3

    printed = lake.run(*FEW, "status", "--from", "2020-04-02", "--to", "2020-04-07").out
    lines = printed.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["2020-04-02", "2020-04-03", "2020-04-06", "2020-04-07"]
    assert "3/42" in lines[2] and found["2020-04-02"]["run"] in lines[2] and "missing" in lines[5], printed
    assert "4 days: 1 stale, 1 unpublished, 1 missing, 1 published" in printed
    assert f"next: pregao --home {lake.home} run --stale " in printed and "upload DIR " in printed, printed
    failed = lake.fails("status", "--from", "2020-04-02", "--to", "2020-04-01", "--format", "json")
    assert "reversed" in failure(failed, "status")["error"]["message"]


def test_a_check_has_its_own_exit_code(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=48, days=["20200401"], snapshots=3)
    lake.upload(tmp_path / "raw")
    span = ["--from", "2020-04-01", "--to", "2020-04-01"]
    unpublished = lake.run(*FEW, "status", "--check", *span, check=False)
    assert unpublished.code == 3 and "unpublished" in unpublished.out and not unpublished.err, unpublished
    lake.publish("2020-04-01")
    assert lake.run(*FEW, "status", "--check", *span).code == 0
    # By default a day needs ten snapshots of each feed.
    incomplete = lake.run("status", "--check", "--format", "json", *span, check=False)
    assert incomplete.code == 3 and document(incomplete._replace(code=0), "status")[0]["state"] == "incomplete"
    # No newer files arrive: without --to, the check covers all days up to yesterday, and prints only problems.
    assert lake.run(*FEW, "status").code == 0
    stopped = lake.run(*FEW, "status", "--check", check=False)
    assert stopped.code == 3 and "2020-04-02" in stopped.out and "missing" in stopped.out
    # A check that cannot read the lake is an error; its exit code differs from that of a day with a problem.
    assert lake.fails("status", "--check", "--from", "2020-04-02", "--to", "2020-04-01").code == 1


def test_status_shows_all_days(lake: Lake, tmp_path: Path):
    for time in ("202001151000", "202006301000"):
        rawfiles.write(tmp_path / "raw", "quotes", time, [rawfiles.quote()])
    lake.upload(tmp_path / "raw")
    found = days_of(lake)
    assert (min(found), max(found)) == ("2020-01-15", "2020-06-30") and len(found) > 100
    assert "status --from 2020-07-01 --to" in lake.run("status").err, "the days without any file"
    (only,) = days_of(lake, "--from", "2020-01-15", "--to", "2020-01-15").values()
    assert only["state"] == "unpublished"


# --- pregao run --plan --------------------------------------------------------------------------------


def test_a_plan_starts_nothing(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=46, days=["20200401", "20200403"], snapshots=4)
    lake.upload(tmp_path / "raw")
    before = lake.run("runs", "--format", "json").out
    arguments = ["run", "--from", "2020-04-01", "--to", "2020-04-06", "--plan"]
    plan = document(lake.run(*arguments, "--format", "json"), "run")
    size = sum(path.stat().st_size for path in (tmp_path / "raw").rglob("*") if path.is_file())
    assert plan == {
        "days": {"from": "2020-04-01", "to": "2020-04-06"},
        "business_days": 4,
        "days_with_files": 2,
        "days_without_files": {"count": 2, "first": ["2020-04-02", "2020-04-06"]},
        "files": 16,
        "bytes": size,
        "engine": "embedded",
        "seconds": None,
        "usd": 0,
        "costs": [],
    }
    printed = lake.run(*arguments).out
    assert "4 business days, 2 days with raw files" in printed and "16 raw files" in printed, printed
    assert "nothing: it runs on this machine" in printed and "nothing was started" in printed, printed
    assert "1 business day, 0 days" in lake.run("run", "--from", "2020-04-06", "--plan").out
    # The engine need not be installed.
    assert "engine   spark" in lake.run(*arguments, "--engine", "spark").out
    assert lake.run("runs", "--format", "json").out == before and lake.stored_runs() == set()
    yesterday = document(lake.run("run", "--plan", "--format", "json"), "run")
    assert yesterday["files"] == 0 and yesterday["days"]["from"] == yesterday["days"]["to"]


def test_a_plan_for_an_account_has_its_price(stack: Account, tmp_path: Path):  # noqa: F811
    rawfiles.write_market(tmp_path / "raw", seed=47, days=["20200401"], snapshots=4)
    stack.run("--aws", "upload", tmp_path / "raw")
    (day,) = document(stack.run("--aws", "status", "--format", "json"), "status")
    assert day["state"] == "unpublished" and day["raw_files"]["quotes"]["files"] == 4
    arguments = ["run", "--from", "2020-04-01", "--plan"]
    plan = document(stack.run("--aws", *arguments, "--format", "json"), "run")
    assert plan["engine"] == "emr" and {cost["service"] for cost in plan["costs"]} >= {
        "EMR",
        "Lambda",
        "Step Functions",
    }
    # The costs of a day in the documentation, without the upload.
    arithmetic = {cost["service"]: cost["arithmetic"] for cost in plan["costs"]}
    assert arithmetic["EMR"] in (ROOT / "docs" / "aws.md").read_text(), arithmetic
    assert plan["usd"] == pytest.approx(0.110, abs=0.001)
    assert plan["usd"] == pytest.approx(sum(cost["usd"] for cost in plan["costs"]))
    assert plan["seconds"] == 12 * 60
    printed = stack.run("--aws", *arguments).out
    assert "about 0.11 USD" in printed and "engine   emr, about 12m00s" in printed, printed
    cheap = document(stack.run("--aws", *arguments, "--engine", "auto", "--format", "json"), "run")
    assert cheap["engine"] == "lambda" and cheap["seconds"] < 60 and cheap["usd"] < plan["usd"] / 10, cheap
    larger = ["--set", "emr.instance_types=r6i.4xlarge", "--set", "emr.core_instances=12"]
    dear = document(stack.run("--aws", *larger, *arguments, "--format", "json"), "run")
    assert dear["usd"] > 20 * plan["usd"]
    unknown = document(
        stack.run("--aws", "--set", "emr.instance_types=x9.metal", *arguments, "--format", "json"), "run"
    )
    assert unknown["usd"] is None
    assert (
        document(stack.run("--aws", "runs", "--format", "json"), "runs")["executions"][0]["workflow"]
        == "upload_raw_data"
    )
    stack.run("--aws", "run", "--from", "2020-04-01")
    (day,) = document(stack.run("--aws", "--set", "quality.min_snapshots=4", "status", "--format", "json"), "status")
    assert day["state"] == "published" and day["run"]


# --- exit codes ---------------------------------------------------------------------------------------


@pytest.fixture
def endless_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `spark-sql` that never ends, so that the run is in progress when it is interrupted."""
    program = tmp_path / "spark" / "spark-sql"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_interrupted_is_stopped(lake: Lake, tmp_path: Path, endless_spark, number: int, code: int):
    rawfiles.write_market(tmp_path / "raw", seed=48, days=["20200401"], snapshots=2)
    lake.upload(tmp_path / "raw")
    with lake.started("run", "--from", "2020-04-01", "--engine", "spark", "--format", "json") as process:
        process.wait_for_line(lambda line: "LaunchEmrStep" in line)
        process.popen.send_signal(number)
        assert process.wait() == code, process
    assert any("stopping the execution" in line for line in process.lines), process
    # The lines have both streams; the document begins at the first brace.
    text = "\n".join(process.lines)
    found = json.loads(text[text.index("\n{\n") :])
    assert found["error"]["name"] == "Interrupted" and found["execution"]["status"] == "ABORTED"
    runs = document(lake.run("runs", "--format", "json"), "runs")["executions"]
    assert runs[0]["name"] == found["execution"]["name"] and runs[0]["status"] == "ABORTED"


def test_a_command_that_waits_for_another_is_interrupted(lake: Lake, tmp_path: Path, endless_spark):
    rawfiles.write_market(tmp_path / "raw", seed=49, days=["20200401"], snapshots=2)
    lake.upload(tmp_path / "raw")
    with lake.started("run", "--from", "2020-04-01", "--engine", "spark") as first:
        first.wait_for_line(lambda line: "LaunchEmrStep" in line)
        with lake.started("upload", tmp_path / "raw") as second:
            second.wait_for_line(lambda line: "waiting for another command" in line)
            second.popen.send_signal(signal.SIGINT)
            assert second.wait() == 130, second
        first.popen.send_signal(signal.SIGINT)
        assert first.wait() == 130, first


def test_a_second_signal_ends_a_run_that_cannot_be_stopped(lake: Lake, tmp_path: Path, endless_spark):
    rawfiles.write_market(tmp_path / "raw", seed=50, days=["20200401"], snapshots=2)
    lake.upload(tmp_path / "raw")
    with lake.started("local", "--engine", "spark") as server:
        server.wait_for_line(lambda line: "http://" in line)
        with lake.started("run", "--from", "2020-04-01") as process:
            process.wait_for_line(lambda line: "LaunchEmrStep" in line)
            # The endpoint no longer answers, so the execution cannot be stopped.
            server.popen.send_signal(signal.SIGSTOP)
            try:
                process.popen.send_signal(signal.SIGINT)
                process.wait_for_line(lambda line: "stopping the execution" in line)
                process.popen.send_signal(signal.SIGINT)
                assert process.wait() == 130, process
            finally:
                server.popen.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("command", ["local", "explore"])
def test_two_signals_end_a_server_with_open_requests(lake: Lake, command: str):
    with lake.started(command) as process, ExitStack() as clients:
        line = process.wait_for_line(lambda line: "http://" in line)
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", line)[1])
        # Requests that never end: a graceful shutdown waits for them.
        for _ in range(3):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"PUT /pregao-raw/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
        # Both signals are pending before the program handles one. The kernel chooses the order.
        process.popen.send_signal(signal.SIGSTOP)
        process.popen.send_signal(signal.SIGINT)
        process.popen.send_signal(signal.SIGTERM)
        process.popen.send_signal(signal.SIGCONT)
        assert process.wait() in (130, 143), process


def test_an_upload_is_interrupted(lake: Lake, tmp_path: Path):
    rawfiles.write_market(tmp_path / "raw", seed=51, days=["20200401"], snapshots=2)
    with lake.started("local") as server:
        server.wait_for_line(lambda line: "http://" in line)
        server.popen.send_signal(signal.SIGSTOP)
        try:
            with lake.started("-v", "upload", tmp_path / "raw") as process:
                process.wait_for_line(lambda line: "another process serves the home" in line)
                process.popen.send_signal(signal.SIGINT)
                assert process.wait() == 130, process
        finally:
            server.popen.send_signal(signal.SIGCONT)


LONG = (
    "SELECT count(*) FROM UNNEST(sequence(1, 10000)) AS a(n) CROSS JOIN UNNEST(sequence(1, 10000)) AS b(n) "
    "CROSS JOIN UNNEST(sequence(1, 10000)) AS c(n) WHERE (a.n * b.n + c.n) % 7 = 3"
)
MANY = "SELECT a.n, b.n FROM UNNEST(sequence(1, 9000)) AS a(n) CROSS JOIN UNNEST(sequence(1, 100)) AS b(n)"


def test_a_query_that_is_interrupted_is_cancelled(lake: Lake):
    with lake.started("-v", "query", LONG) as process:
        process.wait_for_line(lambda line: "the query is started" in line)
        process.popen.send_signal(signal.SIGINT)
        assert process.wait() == 130, process


def test_a_result_that_is_being_written_is_interrupted(lake: Lake):
    command = lake.command("query", MANY, "--format", "csv")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(lake.home.parent)) as process:
        # Reading stops until the signal: the result is larger than the pipe buffer, so the command is still writing.
        assert process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 130
    assert rest.count(b"\n") < 900_000


@pytest.mark.parametrize("arguments", [["demo"], ["-v", "sample", "--out", "raw", "--days", "2000"]], ids=" ".join)
def test_a_command_that_generates_files_is_interrupted(lake: Lake, arguments: list):
    with lake.started(*arguments) as process:
        process.wait_for_line(lambda line: "pregao sample" in line or "started" in line)
        process.popen.send_signal(signal.SIGINT)
        assert process.wait() == 130, process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["explore", "local"])
def test_a_server_that_is_ended_by_a_signal_exits_with_0(lake: Lake, command: str, number: int):
    with lake.started(command) as process:
        process.wait_for_line(lambda line: "http://" in line)
        process.popen.send_signal(number)
        assert process.wait() == 0, process


def test_the_error_about_an_empty_lake_names_the_commands_to_fill_it(lake: Lake):
    for sql in ("SHOW TABLES", "SELECT * FROM quotes"):
        failed = lake.fails("query", sql)
        assert "pregao upload DIR, then pregao run --from DATE" in failed.err, failed
        assert "lists the tables" not in failed.err, failed


def test_the_documentation_of_the_commands_names_all_of_them(lake: Lake):
    text = (ROOT / "docs" / "cli.md").read_text()
    headings = re.findall(r"^## `pregao (.+)`$", text, re.MULTILINE)
    assert headings == [" ".join(command) for command in commands(lake)]
    for link in re.findall(r"\]\((schemas/[^)]+)\)", text):
        assert (ROOT / "docs" / link).is_file(), link
