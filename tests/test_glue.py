"""The embedded Glue and moto's return the same results and error messages for one script.

Not compared: what moto lacks (pages, limits of batches, members that it generates or ignores), and its messages for
the partitions of a batch, which vary.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import botocore.exceptions
import pytest

from lake import LAKE, Endpoint, Lake
from moto_server import Moto, table_input

NAME, TABLE = "judged", "trades"
KEYS = "`year` int, `feed` string"


@pytest.fixture
def moto() -> Iterator[Moto]:
    with contextlib.closing(Moto()) as server:
        server.reset()
        yield server


def table(name: str = TABLE, **changes: object) -> dict:
    described = table_input(name, "`ticker` string, `price` double", KEYS, f"s3://{LAKE}/{name}/")
    return {**described, **changes}


def partition(year: int, feed: str, folder: str, **changes: object) -> dict:
    descriptor = {**table()["StorageDescriptor"], "Location": f"s3://{LAKE}/{TABLE}/{folder}/"}
    return {"Values": [str(year), feed], "StorageDescriptor": descriptor, **changes}


def entry(year: int, feed: str, new: dict) -> dict:
    return {"PartitionValueList": [str(year), feed], "PartitionInput": new}


def script(glue) -> Iterator[tuple[str, object]]:
    """Makes the calls of the script. Yields each operation with its result or error."""
    of_table = {"DatabaseName": NAME, "TableName": TABLE}

    def do(operation: str, **arguments: object) -> tuple[str, object]:
        method: Callable = getattr(glue, operation)
        try:
            response = method(**arguments)
        except botocore.exceptions.ClientError as error:
            details = error.response["Error"]
            return operation, (details["Code"], details["Message"])
        response.pop("ResponseMetadata")
        return operation, common(response)

    yield do("get_database", Name=NAME)
    yield do("get_tables", DatabaseName=NAME)
    yield do("create_database", DatabaseInput={"Name": NAME, "Description": "of a test", "LocationUri": "s3://x/y/"})
    yield do("create_database", DatabaseInput={"Name": NAME})
    yield do("get_database", Name=NAME)
    yield do("get_table", DatabaseName=NAME, Name=TABLE)
    yield do("get_partitions", **of_table)
    yield do("create_table", DatabaseName="nowhere", TableInput=table())
    yield do("create_table", DatabaseName=NAME, TableInput=table(Parameters={"EXTERNAL": "TRUE", "comment": "a b"}))
    yield do("create_table", DatabaseName=NAME, TableInput=table())
    yield do("create_table", DatabaseName=NAME, TableInput=table("others"))
    yield do("get_table", DatabaseName=NAME, Name=TABLE)
    yield do("get_tables", DatabaseName=NAME)
    yield do("get_partitions", **of_table)
    yield do("get_partition", **of_table, PartitionValues=["2020", "a"])

    yield do("create_partition", **of_table, PartitionInput=partition(2020, "a", "first"))
    yield do("create_partition", **of_table, PartitionInput=partition(2020, "a", "second"))
    yield do("get_partition", **of_table, PartitionValues=["2020", "a"])
    batch = [partition(2020, "a", "third"), partition(2021, "a", "b1"), partition(2022, "ç/=", "b2")]
    yield do("batch_create_partition", **of_table, PartitionInputList=batch)
    yield do("batch_create_partition", **of_table, PartitionInputList=batch)
    yield do("get_partitions", **of_table)
    yield do("update_partition", **of_table, **entry(2020, "a", partition(2020, "a", "moved")))
    yield do("update_partition", **of_table, **entry(2020, "x", partition(2020, "x", "moved")))
    moves = [entry(2021, "a", partition(2021, "a", "moved")), entry(1999, "a", partition(1999, "a", "moved"))]
    yield do("batch_update_partition", **of_table, Entries=moves)
    yield do("batch_update_partition", **of_table, Entries=[entry(2020, "a", partition(2020, "z", "renamed"))])
    yield do("get_partitions", **of_table)
    wanted = [{"Values": ["2020", "z"]}, {"Values": ["1999", "z"]}]
    yield do("batch_get_partition", **of_table, PartitionsToGet=wanted)
    yield do("batch_delete_partition", **of_table, PartitionsToDelete=wanted)
    yield do("delete_partition", **of_table, PartitionValues=["2020", "z"])
    yield do("delete_partition", **of_table, PartitionValues=["2021", "a"])
    yield do("get_partitions", **of_table)
    for operation, more in [
        ("get_partitions", {}),
        ("batch_create_partition", {"PartitionInputList": batch}),
        ("batch_update_partition", {"Entries": moves[:1]}),
    ]:
        for names in ({"DatabaseName": NAME, "TableName": "none"}, {"DatabaseName": "none", "TableName": TABLE}):
            yield do(operation, **names, **more)
    yield do("delete_table", DatabaseName=NAME, Name="others")
    yield do("delete_table", DatabaseName=NAME, Name="others")
    yield do("delete_database", Name=NAME)
    yield do("delete_database", Name=NAME)
    yield do("get_partitions", **of_table)


def common(response: object) -> object:
    """Removes members that only one implementation returns: times, versions, and empty members."""
    left_out = {"CreateTime", "CreationTime", "UpdateTime", "VersionId", "CatalogId", "Retention", "UnprocessedKeys"}
    left_out |= {"IsRegisteredWithLakeFormation", "SkewedInfo", "ErrorMessage"}
    if isinstance(response, dict):
        kept = {name: common(value) for name, value in response.items() if name not in left_out}
        return {name: value for name, value in kept.items() if value not in (None, {}, [])}
    if isinstance(response, list):
        return sorted((common(value) for value in response), key=repr)
    return response


@pytest.fixture
def running(lake: Lake) -> Iterator[Endpoint]:
    """An endpoint with an empty catalog."""
    with lake.endpoint() as endpoint:
        yield endpoint


def test_results_and_errors_are_those_of_moto(running: Endpoint, moto: Moto):
    both = zip(script(running.client("glue")), script(moto.client("glue")), strict=True)
    for number, (ours, theirs) in enumerate(both):
        assert ours == theirs, f"call {number + 1}"


def test_the_calls_of_data_clients_are_answered(running: Endpoint):
    """What awswrangler's catalog functions, dbt and Spark call, through boto3: awswrangler itself needs an older pyarrow."""
    identity = running.client("sts").get_caller_identity()
    assert (identity["Account"], identity["Arn"].split(":")[4]) == ("000000000000", "000000000000")
    with pytest.raises(botocore.exceptions.ClientError) as refusal:
        running.client("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/x", RoleSessionName="abc")
    error = refusal.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("InvalidAction", "AssumeRole is not an operation of this endpoint")

    glue = running.client("glue")
    glue.create_database(DatabaseInput={"Name": NAME})
    glue.update_database(Name=NAME, DatabaseInput={"Name": NAME, "Description": "of a test"})
    assert glue.get_database(Name=NAME)["Database"]["Description"] == "of a test"
    new = table(Parameters={"classification": "parquet", "compressionType": "snappy"})
    new["StorageDescriptor"] |= {"Compressed": True, "Parameters": {"typeOfData": "file"}}
    glue.create_table(DatabaseName=NAME, TableInput=new)
    of_table = {"DatabaseName": NAME, "TableName": TABLE}
    glue.batch_create_partition(**of_table, PartitionInputList=[partition(2020, "a", "first")])
    new["StorageDescriptor"]["Columns"].append({"Name": "volume", "Type": "bigint"})
    glue.update_table(DatabaseName=NAME, TableInput={**new, "Description": "with volumes"})
    described = glue.get_table(DatabaseName=NAME, Name=TABLE)["Table"]
    assert (described["VersionId"], described["Description"]) == ("1", "with volumes")
    assert described["StorageDescriptor"]["Parameters"] == {"typeOfData": "file"}
    pages = glue.get_paginator("get_table_versions").paginate(**of_table, PaginationConfig={"PageSize": 1})
    assert [found["VersionId"] for page in pages for found in page["TableVersions"]] == ["1", "0"]
    assert [found["Name"] for found in glue.search_tables(SearchText="trade")["TableList"]] == [TABLE]
    assert [found["Name"] for found in glue.get_tables(DatabaseName=NAME, Expression="*rad*")["TableList"]] == [TABLE]
    assert glue.get_partition_indexes(**of_table)["PartitionIndexDescriptorList"] == []
    assert glue.get_user_defined_functions(DatabaseName=NAME, Pattern="*")["UserDefinedFunctions"] == []
    assert glue.get_column_statistics_for_table(**of_table, ColumnNames=["price"])["ColumnStatisticsList"] == []
    result = glue.batch_delete_table(DatabaseName=NAME, TablesToDelete=[TABLE, "none"])
    assert [(error["TableName"], error["ErrorDetail"]["ErrorCode"]) for error in result["Errors"]] == [
        ("none", "EntityNotFoundException")
    ]


def test_statements_and_glue_change_one_catalog(lake: Lake, running: Endpoint):
    glue = running.client("glue")
    glue.create_database(DatabaseInput={"Name": NAME})
    columns = [{"Name": "ticker", "Type": "string", "Comment": "it's"}, {"Name": "levels", "Type": "array<double>"}]
    new = table()
    new["StorageDescriptor"]["Columns"] = columns
    glue.create_table(DatabaseName=NAME, TableInput=new)
    described = glue.get_table(DatabaseName=NAME, Name=TABLE)["Table"]
    assert described["StorageDescriptor"]["Columns"] == columns
    of_table = {"DatabaseName": NAME, "TableName": TABLE}
    copied = {**described["StorageDescriptor"], "Location": f"s3://{LAKE}/{TABLE}/1/"}
    batch = [{"Values": [str(year), "a"], "StorageDescriptor": copied} for year in range(1990, 2090)]
    assert glue.batch_create_partition(**of_table, PartitionInputList=batch)["Errors"] == []
    pages = glue.get_paginator("get_partitions").paginate(**of_table, PaginationConfig={"PageSize": 33})
    found = [tuple(each["Values"]) for page in pages for each in page["Partitions"]]
    assert sorted(found) == sorted((str(year), "a") for year in range(1990, 2090))
    for statement, count in [
        (f"ALTER TABLE {NAME}.{TABLE} DROP PARTITION (year < 2000)", 90),
        (f"ALTER TABLE {NAME}.{TABLE} ADD PARTITION (year = 1990, feed = 'b')", 91),
    ]:
        lake.run("query", statement)
        assert len(glue.get_partitions(**of_table)["Partitions"]) == count
    with pytest.raises(botocore.exceptions.ClientError, match="InvalidInputException"):
        glue.create_partition(**of_table, PartitionInput={**batch[0], "Parameters": {"numRows": "7"}})
    listed = running.aws_json("glue", "get-tables", "--database-name", NAME)
    assert [each["Name"] for each in listed["TableList"]] == [TABLE]
    glue.delete_database(Name=NAME)
    assert NAME not in lake.run("query", "SHOW DATABASES", "--format", "csv").out
