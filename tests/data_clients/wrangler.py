"""Writes and reads tables with awswrangler, and prints what it found as JSON."""

import json

import awswrangler as wr
import pandas as pd

PATH = "s3://pregao-lake/frames/quotes/"

frame = pd.DataFrame(
    {
        "ticker": ["PETR4", "VALE3", "PETR4"],
        "last": [15.5, 43.2, None],
        "day": pd.to_datetime(["2020-04-01", "2020-04-01", "2021-04-02"]),
        "year": [2020, 2020, 2021],
    }
)
found: dict[str, object] = {}


def write(mode: str, rows: pd.DataFrame) -> None:
    wr.s3.to_parquet(
        rows, path=PATH, dataset=True, database="frames", table="quotes", partition_cols=["year"], mode=mode
    )


def read(sql: str, **settings) -> list[list]:
    rows = wr.athena.read_sql_query(sql, database="frames", **settings)
    return json.loads(rows.to_json(orient="values", date_format="iso"))


wr.catalog.create_database("frames", exist_ok=True)
write("overwrite", frame)
found["types"] = wr.catalog.get_table_types(database="frames", table="quotes")
every = "SELECT ticker, last, day, year FROM quotes ORDER BY day, ticker"
found["by default"] = read(every)
found["without CTAS"] = read(every, ctas_approach=False)
found["by UNLOAD"] = read(every, ctas_approach=False, unload_approach=True, s3_output="s3://pregao-results/unloaded/")
write("append", frame)
found["appended"] = read("SELECT count(*) AS n FROM quotes")
write("overwrite_partitions", frame[frame.year == 2021])
found["one year replaced"] = read("SELECT year, count(*) AS n FROM quotes GROUP BY year ORDER BY year")
found["partitions"] = sorted(wr.catalog.get_partitions(database="frames", table="quotes").values())
wr.athena.create_ctas_table("SELECT * FROM quotes", database="frames", ctas_table="copied", wait=True)
found["copied"] = read("SELECT count(*) AS n FROM copied")
found["deleted"] = wr.catalog.delete_table_if_exists("frames", "copied")
found["tables"] = sorted(wr.catalog.tables(database="frames")["Table"])
found["there"] = [wr.catalog.does_table_exist("frames", name) for name in ("quotes", "copied")]
print(json.dumps(found))
