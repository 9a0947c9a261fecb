"""Which properties are days named in advance.

A day that is filled in afterwards is never beyond the end of the log; one that was fixed when its
row was written is there as often as it is so far ahead elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from events.in_advance import named_in_advance
from events.propose_column import Column
from events.propose_look import Look
from events.propose_plan import Plan, SourcePlan
from events.propose_words import listed, words_of
from events.timestamps import counts_since

DAY = timedelta(days=1)
FROM_EARLIER = {  # words of what has happened, more often than of what was fixed
    *("end", "ends", "close", "finish", "stop", "return", "ship", "shipping", "logout", "last"),
    *("server", "birth", "dob", "exit", "left"),
}
_MOSTLY = 0.9
_OFTEN = 0.5  # of how often it should be
_LEAST_ROWS = 10  # that should be beyond the end


@dataclass(frozen=True)
class Ahead:
    """Names of properties. `sure`: by their names, or by the end of the log; `unsure`: by the end
    of the log, with a name of what has happened."""

    sure: tuple[str, ...]
    unsure: tuple[str, ...]


def days_ahead(plan: Plan, end: datetime) -> Ahead:
    """`end`: of the log. None where names alone would find the same."""
    found = [_of_source(source, end) for source in plan.sources]
    named = [name for names, _ in found for name in names]
    told = [name for _, told in found for name in told if name not in named]
    sure = [name for name in told if not _from_earlier(name)]
    unsure = tuple(dict.fromkeys(name for name in told if _from_earlier(name)))
    return Ahead(tuple(dict.fromkeys([*named, *sure])) if sure else (), unsure)


def deadlines_section(ahead: Ahead) -> str:
    if not ahead.sure and not ahead.unsure:
        return ""
    unsure = [
        f"# Beyond the log's end lies {listed(ahead.unsure)} too: name it if it was fixed when the",
        "# row was written, and has not been filled in since.",
    ]
    lines = ["[features]", *(unsure if ahead.unsure else [])]
    if ahead.sure:
        said = "named in advance: they lie beyond the log's end, or are called so"
        lines.append(f"deadlines = {listed(ahead.sure)} # days {said}")
    else:
        lines.append("# deadlines = []")
    return "\n".join([*lines, ""])


def _of_source(source: SourcePlan, end: datetime) -> tuple[list[str], list[str]]:
    """Those with a name that says so, and those that the end of the log tells."""
    extra = [source.first.column(name) for name in source.roles.extra]
    times = [column for column in extra if column.times is not None and column.known]
    named = [column.name for column in times if named_in_advance(column.name)]
    named += [f"{one.name}.next_day" for one in source.lookups if one.next and one.sure]
    told = [
        column.name
        for column in times
        if not counts_since(column.time_format or "")
        and any(_reaches_beyond(look, source, column.name, end) for look in source.looks)
    ]
    return named, told


def _from_earlier(name: str) -> bool:
    words = words_of(name)
    return bool(FROM_EARLIER.intersection(words)) or any(word.endswith("ed") for word in words)


def _reaches_beyond(look: Look, source: SourcePlan, name: str, end: datetime) -> bool:
    known = _times(look.column(source.roles.ts or "")), _times(look.column(name))
    if known[0] is None or known[1] is None:
        return False
    rows = pl.DataFrame({"at": known[0], "day": known[1]}).filter(pl.col("at") <= end)
    ahead = (rows["day"] - rows["at"]).cast(pl.Int64).to_numpy().astype(np.float64)
    told = ahead[np.isfinite(ahead)]
    day = DAY / timedelta(microseconds=1)
    if not len(told) or np.mean(told > -day) < _MOSTLY or np.median(told) < day:
        return False
    left = (end - rows["at"]).cast(pl.Int64).to_numpy().astype(np.float64)
    late = left < min(float(np.quantile(told, _MOSTLY)), float(left.max()) / 4)
    if late.all():
        return False
    elsewhere = np.sort(np.where(np.isfinite(ahead), ahead, -np.inf)[~late])
    share = 1 - np.searchsorted(elsewhere, left[late], side="right") / len(elsewhere)
    beyond = int((ahead[late] > left[late]).sum())
    return bool(share.sum() >= _LEAST_ROWS and beyond >= _OFTEN * share.sum())


def _times(column: Column) -> pl.Series | None:
    return None if column.times is None else column.times.cast(pl.Datetime("us", "UTC"))
