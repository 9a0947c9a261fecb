"""What is told of many rows: kinds of reasons for which they are refused, keys not looked up."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import polars as pl

from events.staging import Staged
from events.store import CPU
from runtime.collect import collect
from runtime.errors import InputError
from runtime.progress import say

TOLD_FROM = 0.03  # of a source's rows
# What in a reason is of its row alone: a value, or how many fields it has.
_OWN = (
    (r"(?s)^([a-z][a-z ]* )'.*' in '", "${1}'…' in '"),
    (r"(?s)^user id .* in '", "user id … in '"),
    (r"(?s)^not JSON: .*", "not JSON: …"),
    (r"^\d+ fields ", "… fields "),
    (r"^a line of [\d,]+ ", "a line of … "),
)
# What of [[source]] may be at fault, by how a kind of reason begins.
_REMEDIES = {
    r"(amount|quantity) '": "decimal, null_values or the column",
    r"(the time|time|arrival|unreadable) ": "time_format, null_values or the column",
    r"(the )?user id ": "null_values or the column",
    r"the event ": "constants.event",
    r"… fields ": "delimiter",
    r"not UTF-8": "encoding",
}


def kinds_of(rejects: pl.LazyFrame) -> pl.DataFrame:
    """Of rows with source, file and reason: source, reason (of the kind, "…" for what is a row's
    own), example (one of its reasons), rows, files; the most frequent first."""
    kind = pl.col("reason")
    for own, instead in _OWN:
        kind = kind.str.replace(own, instead)
    grouped = rejects.group_by("source", kind.alias("kind")).agg(
        example=pl.col("reason").min(),
        rows=pl.len().cast(pl.Int64),
        files=pl.col("file").n_unique().cast(pl.Int64),
    )
    found = collect(grouped.rename({"kind": "reason"}), CPU)
    return found.sort("rows", "source", "reason", descending=[True, False, False])


def say_refused(staged: Sequence[Staged]) -> None:
    """A line for each source of which more than TOLD_FROM was refused in these files."""
    for source in dict.fromkeys(one.new.plan.source.name for one in staged):
        files = [one for one in staged if one.new.plan.source.name == source]
        rows = sum(one.summary.rows for one in files)
        refused = sum(one.summary.rejected for one in files)
        if refused <= TOLD_FROM * rows:
            continue
        parts = [
            pl.scan_parquet(part).with_columns(
                source=pl.lit(source), file=pl.lit(one.new.file.shown)
            )
            for one in files
            for part in one.reject_parts
        ]
        most = kinds_of(pl.concat(parts)).row(0, named=True)
        say(
            f"source '{source}': {refused / rows:.1%} of its rows ({refused:,} of {rows:,}) are in "
            f"quarantine, {most['rows']:,} of them like: {most['example']}; see "
            f"{remedy(most['reason'])} of this [[source]], then ingest into a new store (a file "
            "is taken once)"
        )


def say_unmatched(staged: Sequence[Staged], known: Collection[str]) -> None:
    """A line for each lookup by which more than TOLD_FROM of a source's rows find nothing.
    Raises InputError where none does, of a source that is not among the `known`: a later file may
    have new articles alone."""
    for source in {one.new.plan.source.name: one.new.plan.source for one in staged}.values():
        files = [one.summary for one in staged if one.new.plan.source.name == source.name]
        rows = sum(summary.rows for summary in files)
        for lookup in source.lookup:
            missing = rows - sum(summary.matched[lookup.name] for summary in files)
            called = f"source '{source.name}', lookup '{lookup.name}'"
            keys = ", ".join(f"'{ours}'" for ours in lookup.keys)
            if missing == rows and source.name not in known:
                raise InputError(
                    f"{called}: none of {rows:,} rows has a {keys} that is in it; correct 'on' or "
                    "'path'"
                )
            if missing > TOLD_FROM * rows:
                say(
                    f"{called}: {missing / rows:.1%} of the rows ({missing:,} of {rows:,}) have no "
                    f"{keys}, or one that is not in it"
                )


def remedy(reason: str) -> str:
    """The keys of [[source]] to look at, for a kind of reason."""
    found = (keys for start, keys in _REMEDIES.items() if re.match(start, reason))
    return next(found, "the layout")
