"""A log in which the order of events decides, and only that: for `benchmarks.sequence_training`.

Three kinds follow each other in a circle, and in which direction is what counts, while each is as
frequent one way as the other; and gaps that grow towards the end mean another thing than gaps that
are long. Needs numpy alone, since it is read by the other library's Python as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
KINDS, CHANNELS = 12, 3
CIRCLE = np.array([3, 5, 8])
FOLLOWS = 0.35  # how often one of the circle is followed by its right, and by its left neighbour
MEAN, SPREAD, SHORTEST, LONGEST = 100, 1.0, 5, 1000
RECENT = 10.0  # events over which the gaps' trend fades
HOUR_S = 3600.0


def lengths_of(users: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """MEAN on average; a tenth of the users have 38 % of the events."""
    lengths = draw.lognormal(np.log(MEAN) - SPREAD**2 / 2 + 0.03, SPREAD, users)
    return lengths.astype(np.int64).clip(SHORTEST, LONGEST)


def kinds_of(lengths: NDArray[np.int64], taste: NDArray[Any], draw: np.random.Generator) -> Any:
    """Shape (users, longest): chains that go around the circle as `taste` says."""
    right, left = np.full(KINDS, -1), np.full(KINDS, -1)
    right[CIRCLE], left[CIRCLE] = np.roll(CIRCLE, -1), np.roll(CIRCLE, 1)
    found = np.zeros((len(lengths), lengths.max()), np.int16)
    kind = draw.integers(0, KINDS, len(lengths))
    pull = 0.5 * np.tanh(taste)
    for step in range(found.shape[1]):
        sure = draw.random(len(lengths))
        turns = np.where(sure < FOLLOWS * (1 + pull), right[kind], left[kind])
        turns = np.where(sure < 2 * FOLLOWS, turns, -1)
        kind = np.where(turns >= 0, turns, draw.integers(0, KINDS, len(lengths)))
        found[:, step] = kind
    return found


def world(users: int, seed: int) -> Arrays:
    """The arrays of features.sequences.ARRAYS but `ts`, flat; `offsets`, shape (users + 1,); and
    `label`, 0 or 1, shape (users,)."""
    draw = np.random.default_rng(seed)
    lengths = lengths_of(users, draw)
    taste, trend = draw.normal(size=(2, users))
    offsets = np.concatenate(([0], lengths.cumsum()))
    owner = np.repeat(np.arange(users), lengths)
    n = len(owner)
    place = np.arange(n) - offsets[owner]
    left = offsets[owner + 1] - 1 - np.arange(n)
    base = draw.normal(3.0, 1.0, users)
    hours = base[owner] + trend[owner] * np.exp(-left / RECENT) + draw.normal(0, 1.0, n)
    gap = (np.exp(hours) * HOUR_S).astype(np.float32)
    gap[offsets[:-1]] = np.nan
    amount = np.where(draw.random(n) < 0.3, draw.lognormal(3, 1, n), np.nan).astype(np.float32)
    when = draw.integers(0, 24 * 7, users)[owner] + np.nan_to_num(gap).cumsum() / HOUR_S
    when = when.astype(np.int64) % (24 * 7)
    odds = 1.5 * taste + 1.5 * trend
    return {
        "kind": kinds_of(lengths, taste, draw)[owner, place],
        "channel": draw.integers(0, CHANNELS, n).astype(np.int16),
        "gap": gap,
        "amount": amount,
        "hour": (when % 24).astype(np.int8),
        "weekday": (when // 24).astype(np.int8),
        "offsets": offsets,
        "label": (draw.random(users) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        "odds": odds.astype(np.float32),
    }


def save(path: Path, users: int, seed: int) -> None:
    np.savez(path, allow_pickle=False, **world(users, seed))


def auc(label: NDArray[Any], score: NDArray[Any]) -> float:
    """Area under the ROC curve, by ranks; the scores are taken to be distinct."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score, kind="stable")] = np.arange(1, len(score) + 1)
    ones = int(label.sum())
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones)))
