"""Who is fitted, calibrated and tested on: by time with an embargo, by users where need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl
import polars_hash as plh

from features.time import Cutoff
from runtime.clock import show

STAGES = ("fit", "calibrate", "test")
FIT_SHARE = 0.6
HELD_SHARE = 0.8
FOLDS = 5


@dataclass(frozen=True)
class Slice:
    """Rows at `cutoffs` (newest first) of the users whose share lies in `[low, high)`; of their
    labels those known before `until`, all where it is None."""

    cutoffs: tuple[Cutoff, ...]
    low: float = 0.0
    high: float = 1.0
    until: datetime | None = None

    def rows(self, frame: pl.DataFrame, seed: int) -> pl.DataFrame:
        """The rows of `frame` (columns cutoff, user_id, ...) that lie in this slice."""
        inside = pl.col("cutoff").is_in([c.at for c in self.cutoffs])
        share = user_share(seed)
        return frame.filter(inside & (share >= self.low) & (share < self.high))

    def __str__(self) -> str:
        at = ", ".join(show(c.at) for c in self.cutoffs)
        if (self.low, self.high) == (0.0, 1.0):
            return at
        return f"{at} (users {self.low:.0%} to {self.high:.0%} by hash)"


@dataclass(frozen=True)
class Split:
    """Roles for the honest evaluation, and the roles moved forward for the model that serves.

    `served_fit`: all that is known before the test cutoff; `last_fit`: all that is known.
    """

    fit: Slice
    calibrate: Slice
    test: Slice
    served_fit: Slice
    served_calibrate: Slice
    last_fit: Slice
    notes: tuple[str, ...] = ()

    @property
    def in_one_stage(self) -> bool:
        """No two cutoffs lie an embargo apart, so the roles are those of different users."""
        return self.calibrate.cutoffs[0] == self.test.cutoffs[0]

    @property
    def cutoffs(self) -> tuple[Cutoff, ...]:
        """Every cutoff of any role, newest first."""
        served = (self.served_fit, self.served_calibrate, self.last_fit)
        roles = (self.fit, self.calibrate, self.test, *served)
        return tuple(sorted({c for role in roles for c in role.cutoffs}, reverse=True))


def plan_split(cutoffs: list[Cutoff], embargo: timedelta, most: int = 12) -> Split:
    """Roles of matured cutoffs, the newest, at most `most` for those of the evaluation and for the
    last fit. `embargo`: gap plus the longest horizon.

    Three stages, each a whole embargo apart, where the history holds them: no label of a stage
    reaches into the next one's cutoff. Two stages: calibration on users held apart. One: all
    three roles by users; the notes say so, since such metrics know nothing of change over time.
    """
    newest_first = sorted(set(cutoffs), reverse=True)
    test = newest_first[0]
    earlier = _before(newest_first, test, embargo)
    oldest = _before(earlier, earlier[0], embargo) if earlier else []
    held = 1 + bool(earlier) + bool(oldest)
    few = f"training.cutoffs is {most}, and the history holds {held} stages; give it {held} or more"
    last, known = Slice(tuple(newest_first[:most])), earlier[: most - 1]
    if most >= len(STAGES) and oldest:
        return _three_stages(test, known, oldest[: most - 2], last)
    if known:
        why = few if oldest else "the history holds two stages an embargo apart"
        return _two_stages(test, known, last, why)
    return _one_stage(last, few if earlier else "no two matured cutoffs lie an embargo apart")


def _before(cutoffs: list[Cutoff], anchor: Cutoff, embargo: timedelta) -> list[Cutoff]:
    return [cutoff for cutoff in cutoffs if cutoff.at + embargo <= anchor.at]


def _three_stages(test: Cutoff, earlier: list[Cutoff], oldest: list[Cutoff], last: Slice) -> Split:
    return Split(
        fit=Slice(tuple(oldest)),
        calibrate=Slice((earlier[0],)),
        test=Slice((test,)),
        served_fit=Slice(tuple(earlier)),
        served_calibrate=Slice((test,)),
        last_fit=last,
    )


def _two_stages(test: Cutoff, earlier: list[Cutoff], last: Slice, why: str) -> Split:
    return Split(
        fit=Slice(tuple(earlier), 0.0, HELD_SHARE),
        calibrate=Slice((earlier[0],), HELD_SHARE, 1.0),
        test=Slice((test,)),
        served_fit=Slice(tuple(earlier)),
        served_calibrate=Slice((test,)),
        last_fit=last,
        notes=(
            f"{why}: tested on the later of two "
            f"({show(test.at)}), calibrated on {1 - HELD_SHARE:.0%} of the users held apart "
            f"at {show(earlier[0].at)}",
        ),
    )


def _one_stage(last: Slice, why: str) -> Split:
    cutoffs, newest = last.cutoffs, last.cutoffs[0]
    return Split(
        fit=Slice(cutoffs, 0.0, FIT_SHARE),
        calibrate=Slice((newest,), FIT_SHARE, HELD_SHARE),
        test=Slice((newest,), HELD_SHARE, 1.0),
        served_fit=Slice(cutoffs, 0.0, HELD_SHARE),
        served_calibrate=Slice((newest,), HELD_SHARE, 1.0),
        last_fit=last,
        notes=(
            f"{why} (newest {show(newest.at)}): split by "
            "users 60/20/20, so the metrics know nothing of change over time",
        ),
    )


def with_recent(
    split: Split, cutoffs: Sequence[Cutoff], first_known: timedelta, most: int
) -> Split:
    """The split with the cutoffs whose first step is known in time, though not the horizon.

    `cutoffs`: those with a label of the first step, which is known `first_known` after each.
    Every slice is closed at the cutoff of the stage after it: no later label is read, however
    short. At most `most` are added to a slice, the newest.
    """
    test, calibrate = split.test.cutoffs[0].at, split.calibrate.cutoffs[0].at
    staged = split.fit.cutoffs[0].at < calibrate < test
    by_users = calibrate == test
    fit_until = calibrate if staged else None if by_users else test
    later_until = None if by_users else test

    def wider(slice_: Slice, until: datetime | None) -> Slice:
        newest = slice_.cutoffs[0].at
        known = [c for c in cutoffs if until is None or c.at + first_known <= until]
        added = [c for c in sorted(known, reverse=True) if c.at > newest][:most]
        return replace(slice_, cutoffs=(*added, *slice_.cutoffs), until=until)

    return replace(
        split,
        fit=wider(split.fit, fit_until),
        calibrate=wider(split.calibrate, later_until),
        served_fit=wider(split.served_fit, later_until),
        served_calibrate=wider(split.served_calibrate, None),
        last_fit=wider(split.last_fit, None),
    )


def user_share(seed: int, purpose: str = "share") -> pl.Expr:
    """A number in [0, 1) that depends on `user_id`, the seed and the purpose alone, not on the
    bucket."""
    return _salted(purpose, seed).cast(pl.Float64) / 2.0**64


def user_fold(seed: int) -> pl.Expr:
    """A fold 0..FOLDS-1 of each user, independent of the share."""
    return (_salted("fold", seed) % FOLDS).cast(pl.Int64)


def _salted(purpose: str, seed: int) -> pl.Expr:
    # Salted because the plain hash of the id already decides the bucket.
    salted = plh.concat_str(pl.lit(f"{purpose}-{seed}:"), pl.col("user_id"))
    hashed: pl.Expr = salted.nchash.xxhash64()
    return hashed
