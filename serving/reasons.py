"""Three reasons a user, in words: what moves the score most, three different things.

A feature's contribution is its share of the user's log-odds of churn, against the average of
the training users. Features that say the same thing (the same count over several windows, the
same kind of event) are added up into one topic, and a topic is told by its strongest feature whose
value does not read as the typical one; a topic without such a feature is not told.

Who is more at risk than the average training user gets the topics that raise the risk most;
everyone else those that lower it most, marked as signs of staying. Where fewer than three
topics point that way, the strongest of the other way fill up; where nothing moves the score at
all the reason is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features.dictionary import describe
from features.family import Feature
from features.spec import FeatureSpec
from serving.topics import A_DAY, RECENCY, Topics, topics
from serving.wording import Floats, reads_typical, rounded, sentence
from training.model import Model

REASONS = ("reason_1", "reason_2", "reason_3")
STAYING = "sign of staying: "
# Contributions are compared to this many digits, so that the last bits of a sum decide nothing;
# ties go to the feature that comes first in the model.
PRECISION = 6

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def reasons(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """REASONS, one row for each of `frame`'s, which holds the model's features."""
    values = frame.select(pl.col(model.features).cast(pl.Float64)).to_numpy()
    typical = np.array([model.medians.get(name, np.nan) for name in model.features])
    return explain(model.contributions(frame), values, model.features, typical, model.spec)


def explain(
    contributions: Floats,
    values: Floats,
    features: Sequence[str],
    typical: Floats,
    spec: FeatureSpec,
) -> pl.DataFrame:
    """REASONS, one row a user.

    `contributions` (log-odds) and `values` (NaN where missing) have the shape (n, features);
    `typical` (the training users' medians, NaN where unknown) has one a feature.
    """
    parts = np.round(contributions, PRECISION)
    topic_of = _topics_of(values, features, topics(features, spec))
    sums = _summed(parts, topic_of)
    priority = _priority(sums, at_risk=np.round(parts.sum(axis=1), PRECISION) > 0)
    known = [describe(name, spec) for name in features]
    money = np.array([feature.unit == "money" for feature in known])
    words = _Words(known, money, rounded(typical, money), spec)
    open_to = np.ones(parts.shape, np.bool_)
    asked = []
    for _ in REASONS[: sums.shape[1]]:
        topic, speaker = _next(parts, values, topic_of, sums, priority, open_to, words)
        direction = np.sign(_picked(sums, topic)) * (_picked(priority, topic) > 0)
        asked.append((speaker, _picked(values, speaker), direction))
        np.put_along_axis(priority, topic[:, None], -1.0, axis=1)
    speaker, value, direction = (np.concatenate(column) for column in zip(*asked, strict=True))
    texts = _phrases(speaker, value, direction, words)
    told = [texts[i * len(parts) : (i + 1) * len(parts)] for i in range(len(asked))]
    told += [pl.Series([None] * len(parts), dtype=pl.String)] * (len(REASONS) - len(asked))
    return pl.DataFrame(dict(zip(REASONS, told, strict=True)))


def _picked(table: Floats, column: Ints) -> Floats:
    """One value a row, from the column named for it."""
    return np.asarray(np.take_along_axis(table, column[:, None], axis=1)[:, 0])


def _topics_of(values: Floats, features: Sequence[str], of: Topics) -> Ints:
    """The topic of each value, shape (n, features); counted up as the features name them."""
    kinds = (of.known, of.zero, of.missing, of.latest)
    order = {name: n for n, name in enumerate(dict.fromkeys(chain(*kinds)))}
    known, zero, missing, latest = (np.array([order[name] for name in names]) for names in kinds)
    found = np.where(np.isnan(values), missing, np.where(values == 0, zero, known))
    if RECENCY in features:
        recency = values[:, [list(features).index(RECENCY)]]
        found = np.where(values < recency + A_DAY, np.where(latest != known, latest, found), found)
    return found


def _summed(parts: Floats, topic_of: Ints) -> Floats:
    """Contributions by topic, shape (n, topics)."""
    most = int(topic_of.max(initial=0)) + 1
    sums = [np.where(topic_of == topic, parts, 0.0).sum(axis=1) for topic in range(most)]
    return np.round(np.stack(sums, axis=1), PRECISION)


def _priority(sums: Floats, *, at_risk: Bools) -> Floats:
    """Above 1 for topics that point the user's way, below 1 for the others, 0 for none."""
    fitting = (sums > 0) == at_risk[:, None]
    size = np.abs(sums)
    return np.asarray(size / (1 + size) + (fitting & (size > 0)))


def _next(
    parts: Floats,
    values: Floats,
    topic_of: Ints,
    sums: Floats,
    priority: Floats,
    open_to: Bools,
    words: _Words,
) -> tuple[Ints, Ints]:
    """Each user's next topic and the feature that tells it, shape (n,) both.

    Takes from `open_to`, shape (n, features), the features whose values read as typical, and sets
    `priority` to -1 for topics that have no other: whose is nowhere above 0 has none left.
    """
    topic, speaker = np.zeros((2, len(parts)), np.int64)
    left = np.arange(len(parts))
    while left.size:
        topic[left] = first = priority[left].argmax(axis=1)
        some = priority[left, first] > 0
        push = parts[left] * np.sign(sums[left, first])[:, None]
        push[(topic_of[left] != first[:, None]) | ~open_to[left]] = -np.inf
        speaker[left] = strongest = push.argmax(axis=1)
        dry = some & (_picked(push, strongest) <= 0)
        priority[left[dry], first[dry]] = -1.0
        typical = some & ~dry & _read_typical(strongest, values[left, strongest], words)
        open_to[left[typical], strongest[typical]] = False
        left = left[dry | typical]
    return topic, speaker


@dataclass(frozen=True)
class _Words:
    """What features are said with; `money` and `usual` (rounded) have the shape (features,)."""

    features: Sequence[Feature]
    money: Bools
    usual: Floats
    spec: FeatureSpec

    def said(self, feature: int, value: float, direction: float) -> str | None:
        typical = float(self.usual[feature])
        return _marked(sentence(self.features[feature], value, typical, self.spec), direction)

    def typical(self, feature: int, value: float) -> bool:
        return reads_typical(self.features[feature], value, float(self.usual[feature]))


def _read_typical(speaker: Ints, value: Floats, words: _Words) -> Bools:
    key = {"feature": speaker, "value": rounded(value, words.money[speaker])}
    return _once_each(key, words.typical, pl.Boolean()).to_numpy()


def _phrases(speaker: Ints, value: Floats, direction: Floats, words: _Words) -> pl.Series:
    key = {
        "feature": speaker,
        "value": rounded(value, words.money[speaker]),
        "direction": direction,
    }
    return _once_each(key, words.said, pl.String())


def _once_each(
    key: Mapping[str, npt.NDArray[Any]], made: Callable[..., Any], dtype: pl.DataType
) -> pl.Series:
    """What is `made` of each row of the key's columns, once for all rows that are the same."""
    asked = pl.DataFrame(dict(key))
    told = asked.unique()
    told = told.with_columns(made=pl.Series([made(*row) for row in told.iter_rows()], dtype=dtype))
    joined = asked.join(told, on=list(key), how="left", maintain_order="left", nulls_equal=True)
    return joined["made"]


def _marked(text: str, direction: float) -> str | None:
    if direction == 0:
        return None
    return text if direction > 0 else STAYING + text
