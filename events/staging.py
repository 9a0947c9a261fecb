"""Files of a source on their way into the store: normalised, hashed, parted by bucket.

A staged file is a summary beside the folder of parts that it names. The summary comes last and
is called after all that its content depends on, so that a run that was killed takes up the
finished files. Columns that are the same in every row of the file are said in the summary and
left out of the parts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import polars as pl
import polars_hash as plh

from events.batches import Batch
from events.bucketed import Bucketed, Compression, open_bucketed, write_bucketed
from events.columns import no_column
from events.erased import Erased
from events.lookup_tables import added_columns, check_keys
from events.lookups import looked_up
from events.mapping import (
    ROW_COLUMNS,
    Constants,
    SourcePlan,
    constant_columns,
    mapped_columns,
)
from events.money import currencies_in
from events.normalise import normalise
from events.readers import InputFile, fixed_columns, read
from runtime.buckets import map_work
from runtime.cluster import Cluster
from runtime.errors import InputError
from runtime.files import digest_of, make_folder, remove_folder, write_atomic
from runtime.progress import note

STAGING_VERSION = 7
SUMMARY = ".json"
FLUSH_ROWS = 1 << 20
FLUSH_BYTES = 1 << 29


@dataclass
class Summary:
    """`rows`: all that were read; `first_reason`: the first rejected row's, by line;
    `first`, `last`: the instants of the usable rows, ISO 8601;
    `constants`: what every usable row has in a column that the parts leave out; `folder`: the
    name of the one that the parts lie in; `currencies`: those that amounts name, each with the
    first text that does; `matched`: how many rows each lookup has the key of."""

    folder: str
    rows: int = 0
    usable: int = 0
    rejected: int = 0
    erased: int = 0
    columns: list[str] = field(default_factory=list)
    first_reason: str | None = None
    first_line: int | None = None
    first: str | None = None
    last: str | None = None
    constants: Constants = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    matched: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NewFile:
    """One whose contents the store has not, by the SHA-256 `digest`."""

    plan: SourcePlan
    file: InputFile
    digest: str


@dataclass(frozen=True)
class Staged:
    """One file's rows (EVENTS' columns but bucket and constants) and rejects (batches.REJECTS),
    as Parquet parts."""

    new: NewFile
    folder: Path
    summary: Summary

    def row_parts(self) -> list[Bucketed]:
        return [open_bucketed(path) for path in sorted(self.folder.glob("rows-*.parquet"))]

    @property
    def reject_parts(self) -> list[Path]:
        return sorted(self.folder.glob("rejects-*.parquet"))


def bucket_of(buckets: int) -> pl.Expr:
    """The bucket of a user: xxhash64 (seed 0) of the id's UTF-8 text, modulo the number."""
    hashed = plh.col("user_id").nchash.xxhash64()
    return (hashed % buckets).cast(pl.Int32()).alias("bucket")


def stage(
    files: Sequence[NewFile], buckets: int, staging: Path, erased: Erased, cluster: Cluster
) -> list[Staged]:
    """The files staged, in their order; rows of `erased` users are left out.

    Memory: FLUSH_ROWS rows of a file for each that is read at once. Raises InputError where no
    row of a file can be used, and what `map_work` raises.
    """
    named = {staged_name(new.plan, new.digest, buckets): new for new in files}
    _keep_only(staging, named)
    work = partial(_stage_one, named, buckets, staging, erased)
    done = map_work(work, list(named), staging, SUMMARY, "reading", cluster, "file", "rows")
    summaries = [Summary(**json.loads(path.read_text(encoding="utf-8"))) for path in done]
    return [
        Staged(new, staging / summary.folder, summary)
        for new, summary in zip(named.values(), summaries, strict=True)
    ]


def staged_name(plan: SourcePlan, digest: str, buckets: int) -> str:
    depends = {
        "version": STAGING_VERSION,
        "source": plan.source.model_dump(mode="json", exclude={"path"}),
        "time_formats": [plan.time_format, plan.received_format],
        "bounds": [plan.earliest, plan.latest],
        "tables": [table.digest for table in plan.tables],
        "buckets": buckets,
    }
    return f"{digest_of(depends)}-{digest}"


def _keep_only(staging: Path, names: Iterable[str]) -> None:
    """Removes what runs with other settings or files have staged, and folders of parts that no
    summary names."""
    summaries = [path for path in staging.glob(f"*{SUMMARY}") if path.stem in set(names)]
    kept = {json.loads(path.read_text(encoding="utf-8"))["folder"] for path in summaries}
    for summary in set(staging.glob(f"*{SUMMARY}")) - set(summaries):
        summary.unlink()
    for folder in staging.glob("*/"):
        if folder.name not in kept:
            remove_folder(folder)


def _stage_one(
    named: Mapping[str, NewFile],
    buckets: int,
    staging: Path,
    erased: Erased,
    name: str,
    done: Path,
) -> None:
    """The parts in a folder of this attempt's own: another may be at the same file, where a
    cluster has taken its worker for dead. Then the summary at `done`, which names the folder."""
    new = named[name]
    folder = make_folder(staging / f"{name}.{uuid4().hex}")
    fixed = fixed_columns(new.file.path, new.plan.source)
    found = None if fixed is None else [*fixed, *added_columns(new.plan.tables)]
    constants = constant_columns(new.plan, found)
    try:
        summary = _write(_Writer(folder, buckets, constants), new, erased)
        _check(summary, new.plan, new.file)
    except BaseException:
        remove_folder(folder)
        raise
    done.write_text(json.dumps(asdict(summary)), encoding="utf-8")


def _write(writer: _Writer, new: NewFile, erased: Erased) -> Summary:
    summary = Summary(writer.folder.name)
    columns: dict[str, None] = {}
    matched: Counter[str] = Counter()
    for came in read(new.file.path, new.plan.source):
        known = looked_up(came, new.plan)
        batch = known.batch
        matched.update(known.matched)
        columns |= dict.fromkeys(batch.rows.columns)
        found = normalise(batch, new.plan)
        rows = erased.rows(found.rows)
        rejects = erased.rejects(found.rejects, new.plan.source.columns.user_id)
        summary.erased += found.rows.height + found.rejects.height - rows.height - rejects.height
        _count(summary, batch, found.rejects)
        _note_times(summary, rows)
        amount = new.plan.source.columns.amount
        if amount in batch.rows.columns and batch.rows.schema[amount] == pl.String():
            summary.currencies = currencies_in(batch.rows[amount]) | summary.currencies
        summary.rejected -= found.rejects.height - rejects.height
        writer.add(rows, rejects)
        note(batch.rows.height)
    writer.flush()
    summary.columns = list(columns)
    summary.constants, summary.matched = writer.constants, dict(matched)
    return summary


def _note_times(summary: Summary, rows: pl.DataFrame) -> None:
    """ISO 8601 in UTC with all its digits sorts as time does."""
    if not rows.height:
        return
    first, last = rows.select(pl.col("ts").min().alias("a"), pl.col("ts").max().alias("b")).row(0)
    low, high = (at.isoformat(timespec="microseconds") for at in (first, last))
    summary.first = min(summary.first or low, low)
    summary.last = max(summary.last or high, high)


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
    check_keys(plan.source, seen, plan.called)


class _Writer:
    """Gathers batches and writes them in parts, each by bucket."""

    def __init__(self, folder: Path, buckets: int, constants: Constants) -> None:
        self.folder, self.buckets, self.constants = folder, buckets, constants
        self.columns = [name for name in ROW_COLUMNS if name not in constants]
        self.rows: list[pl.DataFrame] = []
        self.rejects: list[pl.DataFrame] = []
        self.held_rows = self.held_bytes = self.parts = 0

    def add(self, rows: pl.DataFrame, rejects: pl.DataFrame) -> None:
        self.rows.append(rows.select(self.columns))
        self.rejects.append(rejects)
        self.held_rows += rows.height + rejects.height
        self.held_bytes += int(self.rows[-1].estimated_size() + rejects.estimated_size())
        if self.held_rows >= FLUSH_ROWS or self.held_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        if self.held_rows:
            rows, rejects = pl.concat(self.rows), pl.concat(self.rejects)
            self.rows, self.rejects = [], []  # the batches can go
            if rows.height:
                bucket = rows.select(bucket_of(self.buckets)).to_series()
                # Without long texts to compress saves little space and costs a fifth more time.
                compression: Compression = "lz4" if "properties" in self.columns else "uncompressed"
                write_bucketed(self._path("rows"), rows, bucket, self.buckets, compression)
            if rejects.height:
                write_atomic(
                    self._path("rejects"),
                    lambda path: rejects.write_parquet(path, compression="lz4"),
                )
            self.parts += 1
        self.rows, self.rejects, self.held_rows, self.held_bytes = [], [], 0, 0

    def _path(self, kind: str) -> Path:
        return self.folder / f"{kind}-{self.parts:06d}.parquet"
