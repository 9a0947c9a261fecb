"""Three reasons a user, in words: what moves the score most, three different things.

A feature's contribution is its share of the user's log-odds of churn, against the average of
the training users. Features that say the same thing (the same count over several windows, the
same kind of event) are added up into one topic, and a topic is told by its strongest feature.

Who is more at risk than the average training user gets the topics that raise the risk most;
everyone else those that lower it most, marked as signs of staying. Where fewer than three
topics point that way, the strongest of the other way fill up; where nothing moves the score at
all the reason is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl

from features.dictionary import describe
from features.family import Feature
from features.spec import FeatureSpec
from serving.topics import A_DAY, RECENCY, Topics, topics
from serving.wording import Floats, rounded, sentence
from training.model import Model

REASONS = ("reason_1", "reason_2", "reason_3")
STAYING = "sign of staying: "
# Contributions are compared to this many digits, so that the last bits of a sum decide nothing;
# ties go to the feature that comes first in the model.
PRECISION = 6

Ints = npt.NDArray[np.int64]


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
    asked = []
    for _ in REASONS[: sums.shape[1]]:
        topic = priority.argmax(axis=1)
        strength = _picked(sums, topic)
        speaker = _speaker(parts, topic_of, topic, strength)
        asked.append((speaker, _picked(values, speaker), np.sign(strength)))
        np.put_along_axis(priority, topic[:, None], -1.0, axis=1)
    speaker, value, direction = (np.concatenate(column) for column in zip(*asked, strict=True))
    texts = _phrases(
        speaker, value, direction, [describe(n, spec) for n in features], typical, spec
    )
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


def _priority(sums: Floats, *, at_risk: npt.NDArray[np.bool_]) -> Floats:
    """Above 1 for topics that point the user's way, below 1 for the others, 0 for none."""
    fitting = (sums > 0) == at_risk[:, None]
    size = np.abs(sums)
    return np.asarray(size / (1 + size) + (fitting & (size > 0)))


def _speaker(parts: Floats, topic_of: Ints, topic: Ints, strength: Floats) -> Ints:
    """The topic's feature that pushes most in the topic's direction, shape (n,)."""
    push = parts * np.sign(strength)[:, None]
    return np.asarray(np.where(topic_of == topic[:, None], push, -np.inf).argmax(axis=1))


def _phrases(
    speaker: Ints,
    value: Floats,
    direction: Floats,
    features: Sequence[Feature],
    typical: Floats,
    spec: FeatureSpec,
) -> pl.Series:
    """Each triple of feature, rounded value and direction is put into words once."""
    money = np.array([feature.unit == "money" for feature in features])
    usual = rounded(typical, money)
    key = {"feature": speaker, "value": rounded(value, money[speaker]), "direction": direction}
    asked = pl.DataFrame(key)
    told = asked.unique()
    texts = [
        _marked(sentence(features[f], v, float(usual[f]), spec), d) for f, v, d in told.iter_rows()
    ]
    told = told.with_columns(text=pl.Series(texts, dtype=pl.String))
    joined = asked.join(told, on=list(key), how="left", maintain_order="left", nulls_equal=True)
    return joined["text"]


def _marked(text: str, direction: float) -> str | None:
    if direction == 0:
        return None
    return text if direction > 0 else STAYING + text
