"""Turns a lake into one of a version whose tables had fewer columns: the last ones are missing in the files of all runs, and in
the catalog.
"""

from __future__ import annotations

import io
import json
import re
import zlib

import pyarrow.parquet

import oracle
from lake import LAKE, Endpoint, Lake

BLOCK = 16 << 10  # of the checksums in a manifest
FOLDER = re.compile(r"runs/run=[^/]+/([a-z]+)/year=\d+/month=\d+/day=\d+/")


def make_older(lake: Lake, lacking: dict[str, int]) -> None:
    """Removes the last columns of tables; `lacking` has their number by table."""
    with lake.endpoint() as endpoint:
        keys = list(lake.objects(LAKE))
        for key in keys:
            found = FOLDER.match(key)
            if found and lacking.get(found[1]) and key.endswith(".parquet"):
                _rewrite(endpoint, lake, key, lacking[found[1]])
        for key in keys:
            found = FOLDER.match(key)
            if found and lacking.get(found[1]) and key.endswith("/_manifest.json"):
                _rewrite_manifest(endpoint, key)
        for key in keys:
            if (key.startswith("published/") and "/day=" in key) or key.startswith("quality/"):
                _rewrite_sizes(endpoint, key)
            # Derived from the records, and created again.
            if key.startswith("catalog/files/"):
                endpoint.client("s3").delete_object(Bucket=LAKE, Key=key)
        for table, number in lacking.items():
            _create_again(lake, table, number)


def _rewrite(endpoint: Endpoint, lake: Lake, key: str, lacking: int) -> None:
    rows = pyarrow.parquet.ParquetFile(io.BytesIO(lake.objects(LAKE, key)[key])).read()
    kept = rows.select(rows.column_names[:-lacking])
    body = io.BytesIO()
    pyarrow.parquet.write_table(kept, body, compression="snappy")
    endpoint.client("s3").put_object(Bucket=LAKE, Key=key, Body=body.getvalue())


def _get(endpoint: Endpoint, key: str) -> bytes:
    return endpoint.client("s3").get_object(Bucket=LAKE, Key=key)["Body"].read()


def _put(endpoint: Endpoint, key: str, document: object) -> None:
    endpoint.client("s3").put_object(Bucket=LAKE, Key=key, Body=json.dumps(document).encode())


def _etag(endpoint: Endpoint, key: str) -> str:
    return endpoint.client("s3").head_object(Bucket=LAKE, Key=key)["ETag"].strip('"')


def _rewrite_manifest(endpoint: Endpoint, key: str) -> None:
    manifest = json.loads(_get(endpoint, key))
    for file in manifest["files"]:
        body = _get(endpoint, manifest["folder"] + file["name"])
        blocks = (body[at : at + BLOCK] for at in range(0, len(body), BLOCK))
        assert file["checksums"]["block_bytes"] == BLOCK
        file["bytes"], file["etag"] = len(body), _etag(endpoint, manifest["folder"] + file["name"])
        file["checksums"]["crc32"] = "".join(f"{zlib.crc32(block):08x}" for block in blocks)
    _put(endpoint, key, manifest)


def _rewrite_sizes(endpoint: Endpoint, key: str) -> None:
    """Corrects the sizes and ETags of files in a publication record or a quality report."""
    document = json.loads(_get(endpoint, key))
    s3 = endpoint.client("s3")

    def sizes(folder: str) -> int:
        listed = s3.list_objects_v2(Bucket=LAKE, Prefix=folder).get("Contents", [])
        return sum(item["Size"] for item in listed if item["Key"].endswith(".parquet"))

    for table in ((document.get("published") or {}).get("tables") or {}).values():
        folder = table["location"].removeprefix(f"s3://{LAKE}/")
        table["bytes"] = sizes(folder)
        for file in table["files"]:
            file["bytes"] = s3.head_object(Bucket=LAKE, Key=folder + file["name"])["ContentLength"]
            file["etag"] = _etag(endpoint, folder + file["name"])
    if key.startswith("quality/"):
        for day in document["days"]:
            year, month, number = map(int, day["date"].split("-"))
            folder = f"runs/run={document['run']}/{document['table']}/year={year}/month={month}/day={number}/"
            day["parquet_bytes"] = sizes(folder)
    _put(endpoint, key, document)


def _create_again(lake: Lake, table: str, lacking: int) -> None:
    """Creates a table again, with fewer columns, over the same partitions."""
    partitions = lake.query(f"SHOW PARTITIONS {table}")
    specs = ["PARTITION ({})".format(row["partition"].replace("=", " = ").replace("/", ", ")) for row in partitions]
    locations = {spec: _location(lake, table, spec) for spec in specs}
    columns = ", ".join(f"`{column.name}` {column.type}" for column in oracle.TABLES[table][:-lacking])
    lake.run("query", f"DROP TABLE {table}")
    lake.run(
        "query",
        f"CREATE EXTERNAL TABLE {table} ({columns}) PARTITIONED BY (`year` int, `month` int, `day` int) STORED AS PARQUET "
        f"LOCATION 's3://{LAKE}/{table}/' TBLPROPERTIES ('pregao.manifest' = '_manifest.json')",
    )
    for spec, location in locations.items():
        lake.run("query", f"ALTER TABLE {table} ADD {spec} LOCATION '{location}'")


def _location(lake: Lake, table: str, spec: str) -> str:
    text = lake.run("query", f"DESCRIBE FORMATTED {table} {spec}", "--format", "csv").out
    return re.search(r"Location:\W+(s3://[^\s\",]*)", text)[1].rstrip("/") + "/"
