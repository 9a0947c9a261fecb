"""Files of a source on their way into the store: normalised, hashed, parted by bucket.

A staged file is a folder of parts, whole once its summary is there; it is named after all that
its content depends on, so that a run that was killed takes up the finished ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl
import polars_hash as plh

from events.batches import Batch
from events.columns import no_column
from events.contract import EVENTS
from events.erased import Erased
from events.normalise import SourcePlan, mapped_columns, normalise
from events.readers import InputFile, read
from runtime.errors import InputError
from runtime.files import digest_of, make_folder, remove_folder, write_atomic, write_json

STAGING_VERSION = 1
FLUSH_ROWS = 1 << 20
LEAST_ROW_GROUP = 1 << 14


@dataclass
class Summary:
    """`rows`: all that were read; `first_reason`: the first rejected row's, by line."""

    rows: int = 0
    usable: int = 0
    rejected: int = 0
    erased: int = 0
    columns: list[str] = field(default_factory=list)
    first_reason: str | None = None
    first_line: int | None = None


@dataclass(frozen=True)
class Staged:
    """One file's rows (EVENTS' columns) and rejects (batches.REJECTS), as Parquet parts."""

    plan: SourcePlan
    file: InputFile
    digest: str
    folder: Path
    summary: Summary

    @property
    def row_parts(self) -> list[Path]:
        return sorted(self.folder.glob("rows-*.parquet"))

    @property
    def reject_parts(self) -> list[Path]:
        return sorted(self.folder.glob("rejects-*.parquet"))


def bucket_of(buckets: int) -> pl.Expr:
    """The bucket of a user: xxhash64 (seed 0) of the id's UTF-8 text, modulo the number."""
    hashed = plh.col("user_id").nchash.xxhash64()
    return (hashed % buckets).cast(pl.Int32()).alias("bucket")


def staged_name(plan: SourcePlan, digest: str, buckets: int) -> str:
    depends = {
        "version": STAGING_VERSION,
        "source": plan.source.model_dump(mode="json", exclude={"path"}),
        "time_format": plan.time_format,
        "bounds": [plan.earliest, plan.latest],
        "buckets": buckets,
    }
    return f"{digest_of(depends)}-{digest}"


def stage(
    plan: SourcePlan,
    file: InputFile,
    digest: str,
    buckets: int,
    staging: Path,
    advance: Callable[[float], None],
    erased: Erased,
) -> Staged:
    """`advance` is told the rows read; those of `erased` users are left out. Raises InputError
    where no row of the file can be used."""
    folder = staging / staged_name(plan, digest, buckets)
    done = folder / "summary.json"
    if done.exists():
        summary = Summary(**json.loads(done.read_text(encoding="utf-8")))
        advance(summary.rows)
    else:
        remove_folder(folder)
        writer = _Writer(make_folder(folder), buckets)
        summary = _write(writer, plan, file, advance, erased)
        write_json(done, asdict(summary))
    _check(summary, plan, file)
    return Staged(plan, file, digest, folder, summary)


def _write(
    writer: _Writer,
    plan: SourcePlan,
    file: InputFile,
    advance: Callable[[float], None],
    erased: Erased,
) -> Summary:
    summary = Summary()
    columns: dict[str, None] = {}
    for batch in read(file.path, plan.source):
        columns |= dict.fromkeys(batch.rows.columns)
        found = normalise(batch, plan)
        rows = erased.rows(found.rows)
        rejects = erased.rejects(found.rejects, plan.source.columns.user_id)
        summary.erased += found.rows.height + found.rejects.height - rows.height - rejects.height
        _count(summary, batch, found.rejects)
        summary.rejected -= found.rejects.height - rejects.height
        writer.add(rows, rejects)
        advance(batch.rows.height)
    writer.flush()
    summary.columns = list(columns)
    return summary


def _count(summary: Summary, batch: Batch, rejects: pl.DataFrame) -> None:
    rows = batch.rows.height + batch.rejects.height
    summary.rows += rows
    summary.rejected += rejects.height
    summary.usable += rows - rejects.height
    if rejects.height and summary.first_reason is None:
        first = rejects.sort("line").row(0, named=True)
        summary.first_reason, summary.first_line = first["reason"], first["line"]


def _check(summary: Summary, plan: SourcePlan, file: InputFile) -> None:
    if summary.rows == 0:
        raise InputError(
            f"{file.shown}: holds no row; remove it from {plan.called} or fetch it again"
        )
    for column in (plan.source.columns.user_id, plan.source.columns.ts):
        if column not in summary.columns and summary.columns:
            called = f"{plan.called}, {file.shown}"
            raise no_column(called, column, summary.columns, "source.columns")
    if summary.usable == 0:
        raise InputError(
            f"{file.shown}: none of its {summary.rows:,} rows can be used; line "
            f"{summary.first_line}: {summary.first_reason}; correct {plan.called} or the file"
        )


def check_columns_seen(plan: SourcePlan, staged: Sequence[Staged]) -> None:
    """A mapped column that no line of no file has is a slip, not an absence; raises SchemaError."""
    seen = list(dict.fromkeys(c for file in staged for c in file.summary.columns))
    for column in mapped_columns(plan.source):
        if column not in seen:
            raise no_column(plan.called, column, seen, "source.columns")


class _Writer:
    """Gathers batches and writes them in parts, each sorted by bucket: a reader of one bucket
    skips the row groups of the others."""

    def __init__(self, folder: Path, buckets: int) -> None:
        self.folder, self.buckets, self.parts = folder, buckets, 0
        self.rows: list[pl.DataFrame] = []
        self.rejects: list[pl.DataFrame] = []
        self.held = 0

    def add(self, rows: pl.DataFrame, rejects: pl.DataFrame) -> None:
        self.rows.append(rows)
        self.rejects.append(rejects)
        self.held += rows.height + rejects.height
        if self.held >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self.held:
            rows = pl.concat(self.rows).with_columns(bucket_of(self.buckets)).sort("bucket")
            rejects = pl.concat(self.rejects)
            group = max(LEAST_ROW_GROUP, FLUSH_ROWS // self.buckets)
            self._put(f"rows-{self.parts:06d}.parquet", rows.select(list(EVENTS.schema)), group)
            if rejects.height:
                self._put(f"rejects-{self.parts:06d}.parquet", rejects, FLUSH_ROWS)
            self.parts += 1
        self.rows, self.rejects, self.held = [], [], 0

    def _put(self, name: str, frame: pl.DataFrame, group: int) -> None:
        write_atomic(
            self.folder / name,
            lambda path: frame.write_parquet(path, compression="lz4", row_group_size=group),
        )
