"""The event contract: what one row of the log is, whatever source it came from."""

from __future__ import annotations

import polars as pl

from runtime.tables import TableKind

TIME = pl.Datetime("us", "UTC")

# Rows that are equal in all of these are one event, whenever each of them became known.
IDENTITY = ("user_id", "ts", "event", "amount", "channel", "source", "event_id", "properties")

# The order in which a bucket's rows lie; total but for rows that are equal in all of it, so
# that nothing computed from a bucket depends on the order of files or rows.
ROW_ORDER = (*IDENTITY, "received")

EVENTS = TableKind(
    name="events",
    version=2,
    schema={
        "user_id": pl.String(),  # as text, exactly as it came
        "ts": TIME,
        "event": pl.String(),  # the source's name where the source has no event names
        "amount": pl.Float64(),  # finite or null
        "channel": pl.String(),  # null where the log has no channels
        "event_id": pl.String(),
        "source": pl.String(),
        "properties": pl.String(),  # a JSON object of the extra columns, or null
        "received": TIME,  # when the event became known; null: at once
        "bucket": pl.Int32(),
    },
    partition_by=("bucket",),
    sorted_by=ROW_ORDER,
)

QUARANTINE = TableKind(
    name="quarantine",
    version=1,
    schema={
        "source": pl.String(),
        "file": pl.String(),
        "file_digest": pl.String(),
        "line": pl.Int64(),  # 1-based line (CSV, NDJSON) or row (Parquet) of the file
        "reason": pl.String(),
        "raw": pl.String(),  # the row as JSON or as text, cut at 4,096 characters
    },
)
