"""Creates a lake of many published days without any run, by writing raw files and publication records."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from lake import LAKE, RAW, client

FEEDS = {"quotes": "flashpanel", "options": "options"}


def weekdays(first: datetime.date) -> Iterator[datetime.date]:
    while True:
        if first.weekday() < 5:
            yield first
        first += datetime.timedelta(days=1)


def times(count: int) -> list[str]:
    """Returns times of snapshots, ten minutes apart."""
    return [f"{10 + at // 6:02}{at % 6 * 10:02}" for at in range(count)]


def publish(url: str, count: int, snapshots: int = 1, late: int = 100) -> list[str]:
    """Adds days with snapshots of each feed. Returns the days. One day in `late` has one more snapshot that is not published."""
    s3 = client(url, "s3")

    def put(at: int, day: datetime.date) -> str:
        files = []
        for feed, stem in FEEDS.items():
            for time in times(snapshots + (at % late == 0 and feed == "quotes")):
                body = f"{day}{time}".encode()
                name = f"{day:%Y%m%d}{time}_{stem}.csv"
                s3.put_object(Bucket=RAW, Key=f"{feed}/date={day}/{name}", Body=body)
                digest = hashlib.md5(body).hexdigest()
                files.append({"name": name, "bytes": len(body), "etag": digest, "last_modified": f"{day}T22:00:00Z"})
        published = [file for file in files if f"{day:%Y%m%d}{times(snapshots + 1)[-1]}" not in file["name"]]
        folder = f"year={day.year}/month={day.month}/day={day.day}"
        tables = {
            table: {
                "location": f"s3://{LAKE}/runs/run=many/{table}/{folder}/",
                "report": f"s3://{LAKE}/quality/run=many/{table}.json",
                "rows": at,
                "bytes": 1,
                "files": [{"name": "part-0.parquet", "bytes": 1, "etag": "e", "rows": at}],
            }
            for table in ("quotes", "options", "rejects")
        }
        record = {
            "version": 1,
            "day": day.isoformat(),
            "number": 1,
            "cause": "published",
            "written_at": f"{day}T23:00:00Z",
            "actor": "run many",
            "published": {"run": "many", "published_at": f"{day}T23:00:00Z", "tables": tables, "raw_files": published},
        }
        s3.put_object(Bucket=LAKE, Key=f"published/{folder}.json", Body=json.dumps(record, indent=2).encode())
        return day.isoformat()

    days = weekdays(datetime.date(2010, 1, 4))
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(put, range(count), (next(days) for _ in range(count))))


def derive(url: str, days: list[str]) -> None:
    """Derives catalog, lists of files and copies of records from the records of these days, as each run does."""
    functions = client(url, "lambda")
    for year in sorted({day[:4] for day in days}):
        request = json.dumps({"from": f"{year}-01-01", "to": f"{year}-12-31"})
        response = functions.invoke(FunctionName="create-athena-table", Payload=request)
        assert "FunctionError" not in response, response["Payload"].read()
