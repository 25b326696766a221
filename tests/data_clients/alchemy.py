"""Creates and reads a table with SQLAlchemy and pandas, and prints what it found as JSON."""

import json

import pandas as pd
from sqlalchemy import create_engine, inspect, text

engine = create_engine(
    "awsathena+rest://:@athena.us-east-1.amazonaws.com:443/alchemy"
    "?s3_staging_dir=s3://pregao-results/alchemy/&location=s3://pregao-lake/alchemy/&file_format=PARQUET"
)
with engine.connect() as connection:
    connection.execute(text("CREATE DATABASE alchemy"))
before = inspect(engine).has_table("prices")
frame = pd.DataFrame({"ticker": ["PETR4", "VALE3"], "last": [15.5, None]})
frame.to_sql("prices", engine, schema="alchemy", index=False, method="multi")
rows = pd.read_sql("SELECT ticker, last FROM prices ORDER BY ticker", engine)
names = inspect(engine).get_table_names()
found = {"before": before, "after": inspect(engine).has_table("prices"), "tables": names}
print(json.dumps({**found, "rows": json.loads(rows.to_json(orient="values"))}))
