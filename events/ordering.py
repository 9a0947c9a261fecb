"""A bucket's rows in ROW_ORDER by one sort of whole numbers, instead of one of eight columns.

The place of a row's user among the bucket's users and its time make one number of 63 bits,
where they fit; sorted by it, only rows of one user at one instant are still out of order, and
these few are put right by all columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from events.contract import ROW_ORDER

_KEY = "key"
_KEY_BITS = 63
_UNITS_US = (1, 1_000, 1_000_000, 60_000_000, 86_400_000_000)  # of a log's clock: us to days

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ordered:
    """`rows` in ROW_ORDER; `tied`: the places, ascending, of rows that share user and time with
    a neighbour."""

    rows: pl.DataFrame
    tied: Numbers


def in_row_order(rows: pl.DataFrame) -> Ordered:
    """Rows of the event contract, user and time never null."""
    if not rows.height:
        return Ordered(rows, np.empty(0, np.int64))
    rows = rows.rechunk()  # to gather from many chunks takes ten times as long
    users, times = _users(rows), rows["ts"].to_physical().to_numpy()
    key = _packed(users, times - times.min())
    if key is None:
        order = _plain_order(rows)
        user, time = users[order], times[order]
        same = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
        return Ordered(rows[pl.Series(order)], _runs(same))
    order = np.argsort(key)
    by_key = key[order]
    tied = _runs(by_key[1:] == by_key[:-1])
    if len(tied):
        order[tied] = order[tied][_order_of_ties(rows[pl.Series(order[tied])], by_key[tied])]
    return Ordered(rows[pl.Series(order)], tied)


def _users(rows: pl.DataFrame) -> Numbers:
    """Each row's place of its user among the users in order, from 0."""
    users = rows["user_id"]
    in_order = users.unique().sort()
    return users.cast(pl.Enum(in_order)).to_physical().to_numpy().astype(np.int64)


def _packed(users: Numbers, times: Numbers) -> Numbers | None:
    """users * 2^bits + times, times in the coarsest unit that it takes and that loses nothing;
    None where it does not fit. `times` in microseconds from 0."""
    room = _KEY_BITS - int(users.max()).bit_length()
    last = int(times.max())
    for unit in _UNITS_US:
        if (bits := (last // unit).bit_length()) <= room:
            exact = unit == 1 or not (times % unit).any()
            return (users << bits) | (times // unit) if exact else None
    return None


def _plain_order(rows: pl.DataFrame) -> Numbers:
    return rows.select(pl.arg_sort_by(ROW_ORDER)).to_series().to_numpy().astype(np.int64)


def _order_of_ties(rows: pl.DataFrame, keys: Numbers) -> Numbers:
    """The order of rows of which `keys` stands for user and time."""
    rest = [name for name in ROW_ORDER if name not in ("user_id", "ts")]
    keyed = rows.select(rest).with_columns(pl.Series(_KEY, keys))
    return keyed.select(pl.arg_sort_by(_KEY, *rest)).to_series().to_numpy().astype(np.int64)


def _runs(same: npt.NDArray[np.bool_]) -> Numbers:
    """The places in runs of equal neighbours; `same[i]`: places i and i + 1 are equal."""
    in_run = np.zeros(len(same) + 1, np.bool_)
    in_run[1:] |= same
    in_run[:-1] |= same
    return np.flatnonzero(in_run)
