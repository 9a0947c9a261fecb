"""What the users of a group are like, beside everyone: sizes, shares, medians, effect sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from features.dictionary import dictionary
from features.spec import FeatureSpec
from training.groups_engines import Whole
from training.groups_space import columns_of
from training.metrics import Floats
from training.rows import matrix

READABLE = 12
TELLING = 5
# Cliff's delta, in the steps of Romano et al. 2006.
SMALL, MEDIUM = 0.147, 0.33
LESS_IS_MORE = ("recency_days", "purchase_recency_days", "gap_burstiness", "gap_mean_days")


@dataclass(frozen=True)
class Typical:
    """One feature in one group. Medians are of those for whom it is known, None where it is for
    nobody; `others`: of the users outside the group; `known`: their share of the group.

    `effect`: Cliff's delta (Cliff 1993), the chance that a user of the group has more of it than
    another user, less the chance of having less: -1 to 1, 0 where neither.
    """

    feature: str
    median: float | None
    everyone: float | None
    others: float | None
    effect: float
    known: float
    high: float  # the upper quartile of the group; 0 where known of nobody


@dataclass(frozen=True)
class Profile:
    """Of one group of the users at a cutoff. `behaviour`: the lead feature of each behaviour."""

    number: int
    share: float
    value_share: float | None
    activity_share: float | None
    typical: tuple[Typical, ...]
    telling: tuple[Typical, ...]
    behaviour: dict[str, Typical]
    bought: Typical | None
    active: Typical | None


def profile_columns(spec: FeatureSpec) -> tuple[str, ...]:
    """Everything a profile reads: the space's columns, sums, and shares of kinds and channels."""
    names = [name for of in columns_of(spec).values() for name in of]
    names += [name for name in (value_column(spec), activity_column(spec), *ONCE) if name]
    there = dictionary(spec)
    return tuple(dict.fromkeys(n for n in (*names, *_mix(spec)) if n in there))


ONCE = ("purchases_total", "active_days_total")


def value_column(spec: FeatureSpec) -> str | None:
    """Money of the longest window, as far back as the catalogue looks."""
    return _first(spec, (f"amount_{_longest(spec)}", "amount_total"))


def activity_column(spec: FeatureSpec) -> str | None:
    return _first(spec, (f"events_{_longest(spec)}", "events_total", "active_days_total"))


def _longest(spec: FeatureSpec) -> str:
    return str(max(spec.windows, key=lambda w: w.days, default="total"))


def _first(spec: FeatureSpec, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in dictionary(spec)), None)


def _mix(spec: FeatureSpec) -> list[str]:
    """Shares of kinds of events and of channels: told where they tell, not grouped by."""
    kinds = [f"event_share_{slug}" for slug in spec.event_slugs.values()]
    return kinds + [f"channel_share_{slug}" for slug in spec.channel_slugs.values()]


def readable(spec: FeatureSpec) -> tuple[str, ...]:
    """A dozen: of each behaviour the lead, then the next of each."""
    blocks = list(columns_of(spec).values())
    deepest = max(len(block) for block in blocks)
    turns = [block[i] for i in range(deepest) for block in blocks if i < len(block)]
    return tuple(dict.fromkeys(turns))[:READABLE]


def profiles(
    frame: pl.DataFrame, labels: Whole, numbers: Sequence[int], spec: FeatureSpec
) -> list[Profile]:
    """One a group, of the users of `frame`, which holds `profile_columns`."""
    names = profile_columns(spec)
    x = matrix(frame, names).astype(np.float64)
    leads = {behaviour: of[0] for behaviour, of in columns_of(spec).items()}
    shown, mix = readable(spec), [name for name in _mix(spec) if name in names]
    place = {name: i for i, name in enumerate(names)}
    wanted = dict.fromkeys([*shown, *leads.values(), *mix, *(n for n in ONCE if n in place)])
    found = []
    for number in numbers:
        mine = labels == number
        typical = {n: _typical(n, x[:, place[n]], mine) for n in wanted}
        candidates = {n: typical[n] for n in (*shown, *mix)}
        found.append(
            Profile(
                number=number,
                share=float(mine.mean()) if len(mine) else 0.0,
                value_share=_share(x, place, value_column(spec), mine),
                activity_share=_share(x, place, activity_column(spec), mine),
                typical=tuple(typical[n] for n in shown),
                telling=_telling(list(candidates.values())),
                behaviour={b: typical[n] for b, n in leads.items()},
                bought=typical.get("purchases_total"),
                active=typical.get("active_days_total"),
            )
        )
    return found


def _typical(name: str, column: Floats, mine: np.ndarray) -> Typical:
    known = ~np.isnan(column)
    inside = column[known & mine]
    return Typical(
        feature=name,
        median=_median(inside),
        everyone=_median(column[known]),
        others=_median(column[known & ~mine]),
        effect=cliffs_delta(inside, column[known & ~mine]),
        known=float(known[mine].mean()) if mine.any() else 0.0,
        high=float(np.quantile(inside, 0.75)) if len(inside) else 0.0,
    )


def oriented(typical: Typical) -> float:
    return -typical.effect if typical.feature in LESS_IS_MORE else typical.effect


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if len(values) else None


def cliffs_delta(inside: Floats, outside: Floats) -> float:
    """P(inside > outside) - P(inside < outside), from ranks; 0 where either is empty."""
    if not len(inside) or not len(outside):
        return 0.0
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left")
    above = len(ordered) - np.searchsorted(ordered, inside, "right")
    return float((below - above).sum() / (len(inside) * len(outside)))


def _telling(typical: list[Typical]) -> tuple[Typical, ...]:
    """The features in which the group stands out most, at least a little."""
    outstanding = [one for one in typical if abs(one.effect) >= SMALL]
    return tuple(sorted(outstanding, key=lambda one: -round(abs(one.effect), 6))[:TELLING])


def _share(x: Floats, place: dict[str, int], name: str | None, mine: np.ndarray) -> float | None:
    if name is None or name not in place:
        return None
    values = np.nan_to_num(x[:, place[name]])
    total = float(values.sum())
    return float(values[mine].sum()) / total if total > 0 else None
