"""The slices of many cutoffs at once: what `index_plan` finds for one, in a pass over the rows.

Numpy beside the plan, held equal to it by a test. A row becomes known in one segment between the
sorted cutoffs, so it is looked at once however many cutoffs there are; a further cutoff costs a
few operations over the users of the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.sequences import SECOND_US, micros
from features.time import Cutoff

Ints = NDArray[np.int64]
Gaps = NDArray[np.float32]
NEVER = int(np.iinfo(np.int64).min)  # the instant of what has not happened
NOWHERE = -1


@dataclass(frozen=True)
class Slices:
    """The sequences at one cutoff, one of everyone of whom a row is known, by number.

    users, begin, end    shape (n_sequences,): number of the user, and the slice [begin, end)
    latest               microseconds, shape (n_sequences,): the latest known row that is
                         `active`, that is an `end`, that is an active `other`; NEVER for none
    """

    users: Ints
    begin: Ints
    end: Ints
    latest: Mapping[str, Ints]


class SliceFinder:
    """Finds the slices of rows sorted as `sequence_plan` gives them.

    arrays     number, ts, known, active and ends, each of shape (n_rows,)
    cutoffs    sorted, each once
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], cutoffs: Sequence[Cutoff], length: int
    ) -> None:
        at = np.array([micros(cutoff.at) for cutoff in cutoffs], np.int64)
        if (np.diff(at) <= 0).any():
            raise ValueError("the cutoffs are sorted and differ")
        self.number: Ints = arrays["number"]
        self.ts: Ints = arrays["ts"]
        active, ends = arrays["active"] == 1, arrays["ends"] == 1
        self.marks = {"active": active, "end": ends, "other": active & ~ends}
        self.length, self.n_cutoffs, self.n_rows = length, len(at), len(self.ts)
        self.n_users = int(self.number[-1]) + 1 if self.n_rows else 0
        self.starts: Ints = np.searchsorted(self.number, np.arange(self.n_users))
        small = np.int16 if len(at) < np.iinfo(np.int16).max else np.int64
        # The first cutoff, by its place, at which a row is known; and after which it happened.
        self.known: NDArray[np.signedinteger[Any]] = np.searchsorted(
            at, arrays["known"], side="right"
        ).astype(small)
        happened: Ints = np.searchsorted(at, self.ts, side="right")
        self.late: Ints = np.flatnonzero(self.known > happened)
        self.late_happened = happened[self.late]
        self.late_of_user = np.bincount(self.number[self.late], minlength=self.n_users)
        self.copied: list[Ints] = []
        self.copied_gaps: list[Gaps] = []
        self.n_copied = 0

    def slices(self) -> Iterator[Slices]:
        """One a cutoff, in their order. A slice that lies beyond the rows is one of `copies`."""
        order = np.argsort(self.known, kind="stable")
        counts = np.bincount(self.known, minlength=self.n_cutoffs + 1)
        bounds = np.concatenate(([0], np.cumsum(counts)))
        last = np.zeros(self.n_users, np.int64)  # 1 + place of the latest known row, 0 for none
        latest = {name: last.copy() for name in self.marks}
        copies = np.full((2, self.n_users), NOWHERE, np.int64)
        for cutoff in range(self.n_cutoffs):
            rows: Ints = order[bounds[cutoff] : bounds[cutoff + 1]]
            self._advance(last, rows)
            for name, mark in self.marks.items():
                self._advance(latest[name], rows[mark[rows]])
            # Of whom nothing new is known the copy for the cutoff before still holds.
            copies[:, self.number[rows]] = NOWHERE
            self._copy(cutoff, last, copies)
            yield self._slices(last, latest, copies)

    def copies(self) -> tuple[Ints, Gaps]:
        """The rows, and their gaps, that the copies so far consist of, shape (n_copied,) each.

        The first of them has the place n_rows, as they are written after the rows.
        """
        rows = np.concatenate([np.empty(0, np.int64), *self.copied])
        return rows, np.concatenate([np.empty(0, np.float32), *self.copied_gaps])

    def _advance(self, last: Ints, rows: Ints) -> None:
        """`rows` are in order, so of a user's the last one is what is kept."""
        found = np.zeros(self.n_users, np.int64)
        found[self.number[rows]] = rows + 1
        np.maximum(last, found, out=last)

    def _slices(self, last: Ints, latest: Mapping[str, Ints], copies: Ints) -> Slices:
        users: Ints = np.flatnonzero(last)
        begin, end = np.maximum(self.starts[users], last[users] - self.length), last[users]
        in_place = copies[0, users] == NOWHERE
        instants = {
            name: np.where(place[users] > 0, self.ts[place[users] - 1], NEVER)
            for name, place in latest.items()
        }
        begin = np.where(in_place, begin, copies[0, users])
        return Slices(users, begin, np.where(in_place, end, copies[1, users]), instants)

    def _copy(self, cutoff: int, last: Ints, copies: Ints) -> None:
        """Copies the known rows of those whose slice holds, or follows upon, an unknown one."""
        missing = self.late[(self.late_happened <= cutoff) & (self.known[self.late] > cutoff)]
        user = self.number[missing]
        begin = np.maximum(self.starts[user], last[user] - self.length)
        within = (missing < last[user]) & (missing >= begin - 1) & (copies[0, user] == NOWHERE)
        broken: Ints = np.unique(user[within])
        if not len(broken):
            return
        # So many rows hold a sequence, the row before it and whatever is not known.
        reach = self.length + 1 + self.late_of_user[broken]
        first = np.maximum(self.starts[broken], last[broken] - reach)
        rows, owner = _ranges(first, last[broken])
        known = self.known[rows] <= cutoff
        rows, owner = rows[known], owner[known]
        counts = np.bincount(owner, minlength=len(broken))
        kept = np.cumsum(counts)[owner] - np.arange(len(rows)) <= self.length
        self.copied.append(rows[kept])
        self.copied_gaps.append(self._gaps(rows, owner)[kept])
        end = self.n_rows + self.n_copied + np.cumsum(np.minimum(counts, self.length))
        copies[:, broken] = end - np.minimum(counts, self.length), end
        self.n_copied += int(kept.sum())

    def _gaps(self, rows: Ints, owner: Ints) -> Gaps:
        """Seconds since the row before of the same owner, NaN without one: as the plan does."""
        gaps = np.full(len(rows), np.nan)
        follows = np.flatnonzero(owner[1:] == owner[:-1]) + 1
        gaps[follows] = (self.ts[rows[follows]] - self.ts[rows[follows - 1]]) / SECOND_US
        return gaps.astype(np.float32)


def _ranges(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """All whole numbers of the ranges [begin, end), one after another, and whose each is."""
    lengths = end - begin
    owner = np.repeat(np.arange(len(begin)), lengths)
    shift = begin - (np.cumsum(lengths) - lengths)
    return np.arange(len(owner)) + shift[owner], owner
