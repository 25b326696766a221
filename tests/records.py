"""Publication records of what the catalog has, and the lists of files that are derived from them."""

from __future__ import annotations

import json
import re

from lake import LAKE, Lake
from old_layout import location
from oracle import TABLES

TIME = "2020-04-10T00:00:00Z"


def write_records(lake: Lake) -> None:
    records: dict[str, dict] = {}
    lists = {table: {"version": 1, "table": table, "files": []} for table in TABLES}
    for table in TABLES:
        for row in lake.query(f"SHOW PARTITIONS `{table}`"):
            (value,) = row.values()
            year, month, day = map(int, re.findall(r"\d+", value))
            date = f"{year}-{month:02}-{day:02}"
            folder = location(lake, table, f"PARTITION ({value.replace('/', ', ')})")
            manifest = json.loads(lake.objects(LAKE, folder)[f"{folder}_manifest.json"])
            files = [{name: file[name] for name in ("name", "bytes", "etag", "rows")} for file in manifest["files"]]
            run = re.search(r"run=([^/]+)", folder)[1]
            record = records.setdefault(value, {
                "version": 1, "day": date, "number": 1, "cause": "published", "written_at": TIME, "actor": "test",
                "published": {"run": run, "published_at": TIME, "tables": {}, "raw_files": []},
            })  # fmt: skip
            record["published"]["tables"][table] = {
                "location": f"s3://{LAKE}/{folder}",
                "report": f"s3://{LAKE}/quality/run={run}/{table}.json",
                "rows": sum(file["rows"] for file in files),
                "bytes": sum(file["bytes"] for file in files),
                "files": files,
            }
            lists[table]["files"] += [
                {"day": date, "uri": f"s3://{LAKE}/{folder}{file['name']}", "rows": file["rows"], "bytes": file["bytes"], "etag": file["etag"]}
                for file in files
            ]  # fmt: skip
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        for value, record in records.items():
            s3.put_object(Bucket=LAKE, Key=f"published/{value}.json", Body=json.dumps(record).encode())
        for table, files in lists.items():
            files["files"].sort(key=lambda file: (file["day"], file["uri"]))
            s3.put_object(Bucket=LAKE, Key=f"catalog/files/{table}.json", Body=json.dumps(files).encode())
