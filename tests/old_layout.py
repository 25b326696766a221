"""Converts a lake to the layout of older versions: runs below the tables, `quotes/year=Y/month=M/day=D/run=R/`, and no
publication records.
"""

from __future__ import annotations

import json
import re

from lake import LAKE, Lake

FOLDER = re.compile(r"runs/run=(?P<run>[^/]+)/(?P<table>[a-z]+)/(?P<day>year=(\d+)/month=(\d+)/day=(\d+))/")


def make_old(lake: Lake) -> None:
    """Moves the files of all runs to the locations of an older version, and updates the catalog."""
    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=LAKE)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        folders = set()
        for key in keys:
            found = FOLDER.match(key)
            if found:
                folders.add(found)
                body = s3.get_object(Bucket=LAKE, Key=key)["Body"].read()
                if key.endswith("/_manifest.json"):
                    body = json.dumps({**json.loads(body), "folder": old_folder(found)}).encode()
                s3.put_object(Bucket=LAKE, Key=old_folder(found) + key[found.end() :], Body=body)
            # Besides these files, older versions wrote only reports.
            if not key.startswith("quality/"):
                s3.delete_object(Bucket=LAKE, Key=key)
        lake.run("query", "DROP TABLE IF EXISTS published")
        for table, day in {(found["table"], found[3]) for found in folders}:
            _set_location(lake, table, day, {found[0]: found for found in folders})


def old_folder(found: re.Match) -> str:
    return f"{found['table']}/{found['day']}/run={found['run']}/"


def _set_location(lake: Lake, table: str, day: str, folders: dict[str, re.Match]) -> None:
    """Sets a partition to the location of its run in the old layout."""
    partition = "PARTITION ({})".format(day.replace("=", " = ").replace("/", ", "))
    current = location(lake, table, partition)
    if current in folders:
        moved = f"s3://{LAKE}/{old_folder(folders[current])}"
        lake.run("query", f"ALTER TABLE `{table}` {partition} SET LOCATION '{moved}'")


def location(lake: Lake, table: str, partition: str = "") -> str:
    """Returns the folder of a table or of one of its partitions, by its key."""
    text = lake.run("query", f"DESCRIBE FORMATTED `{table}` {partition}", "--format", "csv").out
    return re.search(rf"Location:\W+s3://{LAKE}/([^\s\",]*)", text)[1].rstrip("/") + "/"
