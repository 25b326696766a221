"""Runs the statements of an SQL file in Spark: run_sql.py s3://BUCKET/FILE.sql NAME=VALUE ...

It does what `spark-sql -f FILE -d NAME=VALUE ...` does, for services that take a Python program. A statement ends with a
semicolon at the end of a line. Spark replaces ${NAME} by the value.
"""

import re
import sys

from pyspark.sql import SparkSession


def main(uri: str, *definitions: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    for definition in definitions:
        name, _, value = definition.partition("=")
        spark.conf.set(name, value)
    [row] = spark.read.text(uri, wholetext=True).collect()
    for statement in re.split(r";[ \t]*$", row.value, flags=re.MULTILINE):
        if statement.strip():
            # A SELECT is executed when its rows are read: those of the job are checks.
            spark.sql(statement).collect()


if __name__ == "__main__":
    main(*sys.argv[1:])
