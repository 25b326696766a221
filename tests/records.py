"""Shifts the times of publication records."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta

from lake import LAKE, Lake


def moment(text: str, after: timedelta = timedelta()) -> str:
    """Returns a time in the form of records, optionally later by `after`."""
    return (datetime.fromisoformat(text) + after).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(lake: Lake, days: int) -> None:
    """Makes all records older by `days`: each query about a recent time would create a temporary database."""

    def older(value: object) -> object:
        if isinstance(value, dict):
            return {
                name: moment(text, -timedelta(days=days)) if name in ("written_at", "published_at") else older(text)
                for name, text in value.items()
            }
        return [older(item) for item in value] if isinstance(value, list) else value

    with lake.endpoint() as endpoint:
        s3 = endpoint.client("s3")
        for key, text in lake.objects(LAKE, "published/").items():
            if re.fullmatch(r"published/year=\d+/month=\d+/day=\d+(/history/\d+)?\.json", key):
                s3.put_object(Bucket=LAKE, Key=key, Body=json.dumps(older(json.loads(text))).encode())
