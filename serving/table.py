"""The scores table: one row per (as-of, user), with the lineage of its model and data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import polars as pl

from events.contract import TIME
from runtime.clock import show
from runtime.errors import StoreError
from runtime.settings import Settings
from runtime.tables import Table, TableKind, open_table

SCORES = TableKind(
    name="scores",
    version=2,
    schema={
        "user_id": pl.String(),  # as in the source
        "as_of": TIME,
        "churn_probability": pl.Float64(),  # calibrated, of churn within the horizon
        "churn_low": pl.Float64(),  # 90 % interval of that probability
        "churn_high": pl.Float64(),
        "expected_value": pl.Float64(),  # money in the value horizon; null without amounts
        "median_value": pl.Float64(),  # as likely to be exceeded as not; null with the former
        "value_low": pl.Float64(),  # 90 % interval of what the user will bring
        "value_high": pl.Float64(),
        "reason_1": pl.String(),  # null where no feature moves the score
        "reason_2": pl.String(),
        "reason_3": pl.String(),
        "model_kind": pl.String(),
        "model_version": pl.Int64(),  # in the registry
        "model_run_id": pl.String(),
        "snapshot_digest": pl.String(),  # of the definitions and versions the features came from
        "as_of_key": pl.String(),
        "bucket": pl.Int32(),
    },
    partition_by=("as_of_key", "bucket"),
    remedy="delete that folder and run 'holdfast score' again",
)


@dataclass(frozen=True)
class Scores:
    """The scores as of one instant, in one version of the table."""

    table: Table
    as_of: datetime

    @property
    def key(self) -> str:
        return as_of_key(self.as_of)

    def scan(self) -> pl.LazyFrame:
        """SCORES' columns but those it is partitioned by."""
        return self.table.scan(as_of_key=self.key)


def scores_path(settings: Settings) -> Path:
    return settings.store / "scores"


def as_of_key(as_of: datetime) -> str:
    """An instant as a part of a path: no colons, and in the order of time when sorted as text."""
    as_of = as_of.astimezone(UTC)
    if as_of.time() == time():
        return as_of.date().isoformat()
    return as_of.replace(tzinfo=None).isoformat(timespec="microseconds").replace(":", "") + "Z"


def open_scores(settings: Settings, as_of: datetime | None = None) -> Scores:
    """The scores as of `as_of`, by default the newest ones. Raises StoreError."""
    table = open_table(scores_path(settings), SCORES)
    keys = table.partitions("as_of_key")
    if as_of is not None and as_of_key(as_of) not in keys:
        known = ", ".join(show(instant_of_key(key)) for key in keys[-5:])
        raise StoreError(
            f"{table.path}: no scores as of {show(as_of)}, the newest are as of {known}; "
            f"run 'holdfast score --as-of {show(as_of)}' first"
        )
    return Scores(table, as_of or instant_of_key(keys[-1]))


def instant_of_key(key: str) -> datetime:
    return datetime.fromisoformat(key).replace(tzinfo=UTC)
