"""The raw files of the benchmark: generated once by `pregao sample`, and kept in cargo's target directory."""

from __future__ import annotations

import datetime
import gzip
import itertools
import os
import shutil
import subprocess
from pathlib import Path

# As many days as the real data set: 1.5 million rows.
REAL_DAYS = 6
FIRST = datetime.date(2020, 4, 1)


def sample(pregao: Path, folder: Path, days: int) -> Path:
    """Returns a folder with files of `days` days, for `pregao upload` and `pregao etl`."""
    done = folder / f"days-{days}"
    if not done.exists():
        partial = folder / f"partial-{days}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        command = [pregao, "sample", "--days", str(days), "--from", str(FIRST), "--out", partial]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        partial.rename(done)
    return done


def as_bucket(raw: Path, bucket: Path) -> Path:
    """Links the same files in the layout of the Spark job: `quotes/date=2020-04-01/`."""
    shutil.rmtree(bucket, ignore_errors=True)
    for path in files(raw):
        feed = "quotes" if "_flashpanel" in path.name else "options"
        day = f"{path.name[:4]}-{path.name[4:6]}-{path.name[6:8]}"
        link = bucket / feed / f"date={day}" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
    return bucket


def multiplied(raw: Path, folder: Path, times: int) -> Path:
    """Multiplies the days by `times`, with links to the same files under later dates.

    Every byte is read, split, parsed and written for each link, so the work is the same as for different days.
    The difference is that all raw files are in the page cache if one set of them fits into it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    days = sorted({path.name[:8] for path in files(raw)})
    for repetition in range(times):
        for number, day in enumerate(days):
            date = (FIRST + datetime.timedelta(days=repetition * len(days) + number)).strftime("%Y%m%d")
            (folder / date).mkdir(parents=True)
            for path in files(raw):
                if path.name.startswith(day):
                    os.link(path, folder / date / (date + path.name[8:]))
    return folder


def enlarged(raw: Path, folder: Path, times: int) -> Path:
    """Writes the same files with the records of each repeated `times` times."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in files(raw):
        content = path.read_bytes()
        # A gzip file may have several members.
        is_gzip = path.suffix == ".gz"
        header, records = (gzip.decompress(content) if is_gzip else content).split(b"\n", 1)
        end = b"" if records.endswith(b"\n") else b"\n"
        again = gzip.compress(records + end, 6) if is_gzip else records + end
        first = gzip.compress(header + b"\n", 6) if is_gzip else header + b"\n"
        with open(folder / path.name, "wb") as file:
            file.write(first)
            file.writelines(itertools.repeat(again, times))
    return folder


def files(raw: Path) -> list[Path]:
    return sorted(path for path in raw.rglob("*") if path.is_file())


def size(raw: Path) -> int:
    return sum(path.stat().st_size for path in files(raw))


def warm(raw: Path) -> None:
    """Reads all files once, so that no measurement waits for the disk."""
    for path in files(raw):
        path.read_bytes()


def day_range(raw: Path) -> tuple[str, str]:
    days = sorted({path.name[:8] for path in files(raw)})
    return tuple(f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in (days[0], days[-1]))


def days_glob(first: str, last: str) -> str:
    """Returns the glob of all days of a range, for the Spark job."""
    start, end = datetime.date.fromisoformat(first), datetime.date.fromisoformat(last)
    days = (start + datetime.timedelta(days=number) for number in range((end - start).days + 1))
    return "{" + ",".join(map(str, days)) + "}"
