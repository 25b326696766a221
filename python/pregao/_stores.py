"""Where a lake is: the home of a machine, or a bucket of S3. Lists and reads objects, and opens Parquet files for DuckDB."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ._errors import NoLakeError, PublishedFileError, RecordError
from ._optional import require
from ._tables import COLUMNS, text_literal, with_all_columns

if TYPE_CHECKING:
    import duckdb

    from ._records import PublishedFile

HOME = ".pregao"
HOME_VARIABLE = "PREGAO_HOME"
BUCKET = "pregao-lake"
# The output of the stack with the names of its resources.
RESOURCES = "Resources"
_AT_ONCE = 32
_AWS = (".amazonaws.com", ".amazonaws.com.cn")

Item = TypeVar("Item")
Value = TypeVar("Value")


class Store(Protocol):
    """The objects of a lake."""

    # Whether each request takes a round trip.
    remote: bool

    def name(self, key: str) -> str:
        """Returns what messages call an object."""
        ...

    def versions(self, prefix: str) -> dict[str, str]:
        """Returns the keys below a prefix, each with a text that changes when the object does."""
        ...

    def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        """Returns the bytes of objects; None for those that are not there."""
        ...

    def differences(self, files: Sequence[PublishedFile]) -> list[str]:
        """Returns what is wrong with published files: those that are missing or have another size."""
        ...

    def source(self, connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[PublishedFile]) -> str:
        """Returns SQL of a table that reads its files, with `year`, `month` and `day`. `name` is free for a view."""
        ...


class HomeStore:
    """A home: objects are plain files, `HOME/s3/BUCKET/KEY`. Needs no program that runs."""

    remote = False

    def __init__(self, home: Path, bucket: str) -> None:
        self.home = home.absolute()
        self._root = self.home / "s3" / bucket
        if any("=" in part for part in self.home.parts):
            raise NoLakeError(f"{self.home}: DuckDB takes a folder named NAME=VALUE for a partition, rename it")
        if not self._root.is_dir():
            others = sorted(path.parent.name for path in (self.home / "s3").glob("*/published"))
            also = f"; the home has {', '.join(others)}: name it with bucket=" if others else ""
            raise NoLakeError(f"{self.home} is no home with a lake: {self._root} is no folder{also}")

        self._known: dict[tuple[str, str, str], frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"home={str(self.home)!r}"

    def name(self, key: str) -> str:
        return str(self._root / key)

    def versions(self, prefix: str) -> dict[str, str]:
        found = {}
        for folder, _, names in os.walk(self._root / prefix):
            if Path(folder).name == "history":
                continue
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # A record is replaced by a rename.
                    seen = path.stat()
                    version = f"{seen.st_mtime_ns} {seen.st_size} {seen.st_ino}"
                    found[path.relative_to(self._root).as_posix()] = version
        return found

    def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        return {key: self._read(key) for key in keys}

    def _read(self, key: str) -> bytes | None:
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RecordError(f"cannot read {self.name(key)}: {error.strerror}") from error

    def path(self, file: PublishedFile) -> Path:
        """Returns the path of a published file."""
        return self.home / "s3" / file.bucket / file.key

    def differences(self, files: Sequence[PublishedFile]) -> list[str]:
        return [wrong for file in files if (wrong := self._difference(file))]

    def _difference(self, file: PublishedFile) -> str | None:
        path = self.path(file)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        return None if size == file.bytes else f"{path} has {size:,} bytes, and its record says {file.bytes:,}"

    def source(self, connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[PublishedFile]) -> str:
        options = ["hive_partitioning = true", "hive_types = {'year': INT, 'month': INT, 'day': INT}"]
        columns = self._columns(connection, files)
        if len(columns) > 1:
            # Opens all files first, so only where columns were added.
            options.append("union_by_name = true")
        # DuckDB skips the files of other days by the partitions in their paths.
        read = f"SELECT * EXCLUDE (run, year, month, day), year, month, day FROM read_parquet({self._list(files)}, {', '.join(options)})"
        table = files[0].table
        return f"({read})" if columns == {frozenset(COLUMNS[table])} else with_all_columns(table, f"({read})")

    def _columns(self, connection: duckdb.DuckDBPyConnection, files: Sequence[PublishedFile]) -> set[frozenset[str]]:
        """Returns the sets of columns that files have. All files of a run have the same, as one program wrote them."""
        of_runs = {file.run: file for file in files}
        new = [file for run, file in of_runs.items() if (run, file.table, file.etag) not in self._known]
        if new:
            schemas = f"SELECT file_name, list(name) FROM parquet_schema({self._list(new)}) WHERE type IS NOT NULL GROUP BY ALL"
            found = dict(connection.sql(schemas).fetchall())
            for file in new:
                self._known[file.run, file.table, file.etag] = frozenset(found[str(self.path(file))])
        return {self._known[run, file.table, file.etag] for run, file in of_runs.items()}

    def _list(self, files: Sequence[PublishedFile]) -> str:
        return "[" + ", ".join(text_literal(str(self.path(file))) for file in files) + "]"


class BucketStore:
    """A bucket of S3, with the credentials that boto3 finds.

    Records are read by boto3. Parquet files are read by pyarrow with the same credentials, by ranges: only the columns and
    row groups that a query needs. DuckDB's own reader of S3 is an extension, which it would download.
    """

    remote = True

    def __init__(self, session: Any, bucket: str, endpoint_url: str | None) -> None:
        self._session, self.bucket = session, bucket
        config = require("botocore.config", "aws").Config(max_pool_connections=_AT_ONCE)
        self._s3 = session.client("s3", endpoint_url=endpoint_url, config=config)
        self._errors = require("botocore.exceptions", "aws")
        with self._named(f"s3://{bucket}"):
            self._s3.list_objects_v2(Bucket=bucket, Prefix="published/", MaxKeys=1)

    def __repr__(self) -> str:
        return f"bucket={self.bucket!r}"

    def name(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def versions(self, prefix: str) -> dict[str, str]:
        return {key: found["ETag"].strip('"') for key, found in self._objects(self.bucket, prefix).items()}

    def read(self, keys: Sequence[str]) -> dict[str, bytes | None]:
        return dict(zip(keys, _at_once(self._read, keys), strict=True))

    def _read(self, key: str) -> bytes | None:
        try:
            return bytes(self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            return None

    def _objects(self, bucket: str, prefix: str) -> dict[str, dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {found["Key"]: found for page in pages for found in page.get("Contents", [])}

    def differences(self, files: Sequence[PublishedFile]) -> list[str]:
        # One listing for each run and table, as a run has a folder of its own.
        folders = sorted({(file.bucket, file.key.partition("/year=")[0] + "/year=") for file in files})
        listings = _at_once(lambda folder: self._objects(*folder), folders)
        there = {
            (bucket, key): found
            for (bucket, _), each in zip(folders, listings, strict=True)
            for key, found in each.items()
        }
        return [wrong for file in files if (wrong := _difference(file, there.get((file.bucket, file.key))))]

    def source(self, connection: duckdb.DuckDBPyConnection, name: str, files: Sequence[PublishedFile]) -> str:
        arrow, parquet = require("pyarrow", "arrow"), require("pyarrow.dataset", "arrow")
        field, filesystem = parquet.field, self._filesystem()
        paths = [f"{file.bucket}/{file.key}" for file in files]
        newest, oldest = (parquet.dataset(paths[at], filesystem=filesystem).schema for at in (-1, 0))
        partition = arrow.schema([(part, arrow.int32()) for part in ("year", "month", "day")])
        schema = arrow.unify_schemas([newest.remove_metadata(), oldest.remove_metadata(), partition])
        form = parquet.ParquetFileFormat()
        fragments = [
            form.make_fragment(
                path,
                filesystem,
                (field("year") == file.day.year) & (field("month") == file.day.month) & (field("day") == file.day.day),
            )
            for path, file in zip(paths, files, strict=True)
        ]
        connection.register(name, parquet.FileSystemDataset(fragments, schema, form, filesystem))
        return with_all_columns(files[0].table, name)

    def _filesystem(self) -> Any:
        """Returns pyarrow's S3 with the credentials of boto3, which are renewed with each query."""
        keys = self._session.get_credentials()
        frozen = keys.get_frozen_credentials() if keys else None
        scheme, _, host = self._s3.meta.endpoint_url.partition("://")
        settings = {"region": self._s3.meta.region_name, "scheme": scheme}
        if not host.endswith(_AWS):  # Another endpoint than that of the region.
            settings["endpoint_override"] = host
        if frozen:
            settings |= {"access_key": frozen.access_key, "secret_key": frozen.secret_key}
            settings |= {"session_token": frozen.token} if frozen.token else {}
        return require("pyarrow.fs", "arrow").S3FileSystem(**settings)

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Turns the refusal of a request into an error that names the lake."""
        try:
            yield
        except (self._errors.ClientError, self._errors.BotoCoreError) as error:
            raise NoLakeError(f"cannot read {what}: {error}") from error


def find_home(home: str | os.PathLike[str] | None) -> Path:
    """Returns the home: as named, of PREGAO_HOME, or `.pregao` of this folder or the nearest one above that has one."""
    if home is not None:
        return Path(home).expanduser()
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / HOME / "s3").is_dir():
            return folder / HOME
    raise NoLakeError(
        f"there is no {HOME} in {here} or a folder above: name it, pregao.connect(home=...), or set {HOME_VARIABLE}"
    )


def find_bucket(session: Any, stack: str) -> str:
    """Returns the lake bucket of a stack, from its outputs."""
    errors = require("botocore.exceptions", "aws")
    try:
        stacks = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except (errors.ClientError, errors.BotoCoreError) as error:
        raise NoLakeError(f"cannot find the stack {stack}: {error}") from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
    if RESOURCES not in outputs:
        raise NoLakeError(
            f"the stack {stack} has no output {RESOURCES}: it is none of pregao's, or it has not been created to its end"
        )
    return str(json.loads(outputs[RESOURCES])["buckets"]["lake"])


def check(store: Store, files: Sequence[PublishedFile]) -> None:
    """Raises PublishedFileError if a published file is missing or has another size."""
    wrong = store.differences(files)
    if not wrong:
        return
    first, rest = wrong[0], f", and {len(wrong) - 1:,} more like it" if len(wrong) > 1 else ""
    names = {file.key: file for file in files}
    file = next((file for key, file in names.items() if key in first), files[0])
    aws = " --aws" if store.remote else ""
    raise PublishedFileError(
        f"{first}{rest}. It is published of {file.day} by the run {file.run}, and an answer without it would be wrong. "
        f"If a vacuum has just removed a replaced run, read again. Otherwise pregao{aws} verify --deep names all that is "
        f"damaged, and pregao{aws} run --from {file.day} publishes the day again"
    )


def _difference(file: PublishedFile, found: dict[str, Any] | None) -> str | None:
    if found is None:
        return f"{file.uri} is missing"
    if found["Size"] != file.bytes:
        return f"{file.uri} has {found['Size']:,} bytes, and its record says {file.bytes:,}"
    etag = found["ETag"].strip('"')
    return None if etag == file.etag else f"{file.uri} has the ETag {etag}, and its record says {file.etag}"


def _at_once(call: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(call, items))
