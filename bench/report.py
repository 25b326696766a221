"""The tables and the picture, generated from the results of all sections."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import arguments
from machine import Sample, median

NAMES = {"pregao": "**pregao etl** (Rust)", "polars": "Polars", "duckdb": "DuckDB", "spark": "Spark SQL, local[2]"}


def write(folder: Path) -> None:
    """Writes `README.md` and `engines.svg` in `folder`."""
    found = [(name, folder / f"{name}.json") for name in arguments.SECTIONS]
    results = {name: json.loads(path.read_text()) for name, path in found if path.exists()}
    head = (
        "# What was measured\n\nMade by `python3 bench`; not to be edited. Medians; a ratio is how many times as much the "
        "other one takes.\n"
    )
    parts = [head]
    for name, result in results.items():
        parts.append(WRITERS[name](result) + _about(result["about"]))
    (folder / "README.md").write_text("\n".join(parts))
    if "engines" in results:
        (folder / "engines.svg").write_text(picture(results["engines"]))


def _about(about: dict) -> str:
    quick = " With `--quick`: only to see that it works." if about["quick"] else ""
    busy = f" **Others used {about['busy']} cores: measure again.**" if about["busy"] > 0.1 else ""
    how = (
        f"{about['day']}, commit {about['commit']}, {about['machine']}; {about['rounds']} rounds, {about['days']} days"
    )
    return f"\n<sub>{how}.{quick}{busy}</sub>\n"


def _table(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows]) + "\n"


def _samples(samples: dict) -> dict[str, Sample]:
    return {name: median(Sample(*sample) for sample in list_) for name, list_ in samples.items()}


def _costs(what: str, samples: dict[str, Sample], cpu: str = "CPU s") -> str:
    """Returns one row per command, with its cost."""
    rows = [[name, f"{m.wall:.2f}", f"{m.cpu:.2f}", _mb(m.peak)] for name, m in samples.items()]
    return _table([what, "wall s", cpu, "peak MB"], rows)


def _mb(count: float) -> str:
    return f"{count / 1e6:,.0f}"


def _spread(samples: list) -> str:
    """Returns the range of the rounds relative to the median."""
    walls = [sample[0] for sample in samples]
    return f"{100 * (max(walls) - min(walls)) / statistics.median(walls):.0f}%"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"


def engines(result: dict) -> str:
    medians = _samples(result["samples"])
    own = medians["pregao"]
    rows = []
    for name in NAMES:
        label = NAMES[name] + (f" {result['versions'][name]}" if name in result["versions"] else "")
        if name in result["wrong"]:
            rows.append([label, f"wrong: {_one_line(result['wrong'][name])}", *["-"] * 6])
        elif name in medians:
            m = medians[name]
            rows.append([
                label, f"{m.wall:.2f}", _times(m.wall / own.wall), f"{m.cpu:.2f}", _times(m.cpu / own.cpu), _mb(m.peak),
                _times(m.peak / own.peak), _mb(result["written"][name]), _spread(result["samples"][name]),
            ])  # fmt: skip
    counts = ", ".join(f"{count:,} {table}" for table, count in result["rows"].items())
    return (
        f"## The same files to the same tables\n\n{_mb(result['bytes'])} MB of raw files become {counts}. Before the clock runs, all "
        "three tables of each are held against the engine's, bit for bit. All are pinned to the same two cores. The engine and "
        "Spark also sort by ticker and time; Polars and DuckDB are let off it.\n\n![wall time, CPU time, peak memory](engines.svg)\n\n"
        + _table(["", "wall s", "ratio", "CPU s", "ratio", "peak MB", "ratio", "Parquet MB", "spread"], rows)
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200].replace("|", "/")


def stages(result: dict) -> str:
    first = result["stages"][0]
    seconds = {
        name: statistics.median(round_["seconds"][name] for round_ in result["stages"]) for name in first["seconds"]
    }
    engine = median(Sample(*sample) for sample in result["engine"])
    floor = sum(seconds[name] for name in ("read", "split", "encode", "write"))
    told = {
        "read": "read the bytes, out of gzip where they are in it",
        "split": "lines, decoded, to fields",
        "parse": "fields to columns: the number contract",
        "sort": "a row group's rows by ticker and time",
        "encode": "columns to pages, snappy",
        "write": "these to files",
    }

    def row(label: str, s: float) -> list[str]:
        share = 100 * s / sum(seconds.values())
        return [
            label,
            f"{s:.3f}",
            f"{first['rows'] / s / 1e6:.2f}",
            f"{first['text_bytes'] / s / 1e6:,.0f}",
            f"{share:.0f}%",
        ]

    rows = [row(f"{name}: {told[name]}", s) for name, s in seconds.items()]
    rows.append(row("all stages", sum(seconds.values())))
    rows.append(row("**floor**: read, split, encode, write", floor))
    rows.append(row("**the engine**, CPU with one thread", engine.cpu))
    return (
        f"## Each stage alone, one core\n\n{first['rows']:,} rows, {_mb(first['text_bytes'])} MB of text ({_mb(first['disk_bytes'])} on disk), "
        f"{_mb(first['parquet_bytes'])} MB of Parquet.\n\n"
        + _table(["", "s", "M rows/s", "MB/s", "share"], rows)
        + f"\nThe engine takes **{engine.cpu / floor:.2f} times** the CPU of the floor.\n"
    )


def scaling(result: dict) -> str:
    rows = []
    for point in result["points"]:
        m = median(Sample(*sample) for sample in point["samples"])
        rows.append([
            f"{point['times']}x", f"{point['files']:,}", f"{_mb(point['bytes'])}", f"{point['rows']:,}", f"{m.wall:.2f}",
            f"{point['rows'] / m.wall / 1e6:.2f}", _mb(m.peak),
        ])  # fmt: skip
    return (
        "## More data\n\nTwo threads. The larger sets are hard links to the files of the smallest under later dates: every byte is read "
        "and every row is written, but the raw files fit into the page cache, as 20 GB of different ones might not.\n\n"
        + _table(["size", "files", "raw MB", "rows", "wall s", "M rows/s", "peak MB"], rows)
    )


def threads(result: dict) -> str:
    medians = _samples(result["samples"])
    ratio = medians["1"].wall / medians["2"].wall
    return "## Threads\n\n" + _costs("threads, cores", medians) + f"\nTwo are **{ratio:.2f} times** as fast as one.\n"


def pipeline(result: dict) -> str:
    medians = _samples(result["samples"])
    ratio = medians["run"].wall / medians["engine"].wall
    return (
        "## The whole run beside the engine\n\nWorkflow, embedded services, both audits and publication included.\n\n"
        + _costs("", {"engine alone": medians["engine"], "`pregao run`": medians["run"]})
        + f"\nThe run takes **{ratio:.2f} times** as long as the engine.\n"
    )


def upload(result: dict) -> str:
    medians = _samples(result["samples"])
    ratio = medians["aws s3 sync"].wall / medians["pregao upload"].wall
    return (
        f"## Upload\n\n{result['files']} files, {_mb(result['bytes'])} MB, to the same embedded endpoint, empty each time. "
        "`pregao upload` also has every file checked and put in its place (`upload_raw_data`).\n\n"
        + _costs("", {f"`{name}`": m for name, m in medians.items()}, cpu="CPU s of the client")
        + f"\n`pregao upload` is **{ratio:.1f} times** as fast.\n"
    )


def query(result: dict) -> str:
    rows = []
    for one in result["queries"]:
        medians = _samples(one["samples"])
        ours, theirs = medians["pregao query"], medians["duckdb"]
        rows.append(
            [
                one["name"],
                f"{1000 * ours.wall:.0f}",
                f"{1000 * theirs.wall:.0f}",
                _times(theirs.wall / ours.wall),
                _mb(ours.peak),
                _mb(theirs.peak),
            ]
        )
    sql = "\n".join(f"- {one['name']}: `{one['sql']}`" for one in result["queries"])
    return (
        f"## Queries\n\n{result['rows']:,} rows, the same published files, the same answers; from the start of "
        "the process to the printed answer.\n\n"
        + _table(["", "`pregao query` ms", "DuckDB ms", "ratio", "peak MB", "DuckDB peak MB"], rows)
        + f"\n{sql}\n"
    )


def functions(result: dict) -> str:
    rows = []
    for one in result["functions"]:
        milliseconds = [f"{1000 * one['cold']:.1f}", f"{1000 * one['cold_95']:.1f}", f"{1000 * one['warm']:.2f}"]
        megabytes = [f"{one['peak'] / 1e6:.0f}", f"{one['zip'] / 1e6:.2f}", f"{one['binary'] / 1e6:.1f}"]
        rows.append([f"`{one['name']}`", *milliseconds, *megabytes])
    return (
        "## Functions\n\nUnmodified binaries on the Lambda Runtime API, with an event that they refuse in words: the function without the services "
        "it calls. Cold is from spawn to answer.\n\n"
        + _table(["", "cold ms", "of 95%", "warm ms", "peak MB", "zip MB", "binary MB"], rows)
    )


WRITERS = {
    function.__name__: function for function in (engines, stages, scaling, threads, pipeline, upload, query, functions)
}

# --- the picture ------------------------------------------------------------------------------------

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .quiet { fill: #59636e } .own { fill: #bc4c00 } .other { fill: #8c959f } .rule { stroke: #d1d9e0 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .quiet { fill: #9198a1 } .own { fill: #f0883e } .other { fill: #656c76 } .rule { stroke: #3d444d }
  }
"""
WIDTH, LABELS, BAR, GAP, PANEL = 720, 150, 18, 8, 34


def picture(result: dict) -> str:
    """Draws bars of wall time, CPU time and peak memory, each with its own scale, to show the ratios."""
    medians = _samples(result["samples"])
    panels = [
        ("Wall time, seconds", lambda m: m.wall, lambda v: f"{v:.2f}"),
        ("CPU time, seconds", lambda m: m.cpu, lambda v: f"{v:.2f}"),
        ("Peak memory, MB", lambda m: m.peak / 1e6, lambda v: f"{v:,.0f}"),
    ]
    plain = {name: NAMES[name].replace("*", "") for name in NAMES}
    parts, y = [], 0
    for title, value, text in panels:
        parts.append(f'<text class="title" x="0" y="{y + 16}">{title}</text>')
        y += PANEL - 8
        longest = max(value(m) for m in medians.values())
        for name, m in medians.items():
            length = max(2, (WIDTH - LABELS - 150) * value(m) / longest)
            ratio = "" if name == "pregao" else f"({_times(value(m) / value(medians['pregao']))})"
            middle = y + BAR - 5
            parts += [
                f'<text x="{LABELS - 10}" y="{middle}" text-anchor="end">{plain[name]}</text>',
                f'<rect class="{"own" if name == "pregao" else "other"}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
                f'<text x="{LABELS + length + 8:.1f}" y="{middle}">{text(value(m))}<tspan class="quiet" dx="5">{ratio}</tspan></text>',
            ]
            y += BAR + GAP
        parts.append(
            f'<line class="rule" x1="{LABELS - 0.5}" x2="{LABELS - 0.5}" y1="{y - len(medians) * (BAR + GAP) - 3}" y2="{y - GAP + 3}"/>'
        )
        y += PANEL - 18
    alt = "; ".join(
        f"{plain[name]} {m.wall:.2f} s wall, {m.cpu:.2f} s CPU, {m.peak / 1e6:.0f} MB" for name, m in medians.items()
    )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-label="{alt}">\n'
        f"<title>{alt}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )
