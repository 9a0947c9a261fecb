"""The models of buying as a kind of `train`: fitted on each user's newest row, without labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl

from features.definitions import Definitions
from runtime.device import Device
from runtime.errors import ModelError, UsageError
from runtime.progress import say
from training.buying_columns import (
    ACTIVITY,
    PURCHASES,
    Bought,
    activity,
    newest,
    places_of,
    purchases,
)
from training.buying_data import Histories, group
from training.buying_fit import Fit
from training.buying_predict import Kind
from training.buying_silence import Silence, Span, law_of, told
from training.buying_spending import LEAST, Spending
from training.buying_unseen import unseen
from training.linear import Linear, flat, middle
from training.metrics import Floats
from training.rows import Matrix, Rows, matrix

DOUBT = 0.01


@dataclass(frozen=True)
class People:
    """Each user's newest row, (n, features), and what is known beside it: see `Newest`."""

    features: tuple[str, ...]
    x: Matrix
    silent_days: Floats
    window_days: float | None


def people_of(rows: pl.DataFrame, features: tuple[str, ...], definitions: Definitions) -> People:
    """Of rows of snapshots. Raises UsageError where churn is no silence."""
    if (kind := definitions.churn.kind) != "passive":
        raise UsageError(
            f"model 'buying': says when users fall silent, and churn.kind is '{kind}'; choose "
            'another model, or set churn.kind = "passive"'
        )
    last = newest(rows, definitions.eligible.within_days)
    return People(features, matrix(last.rows, features), last.silent_days, last.window_days)


def spans_of(definitions: Definitions, steps: tuple[int, ...]) -> tuple[Span, Span]:
    """Of churn and of value; `steps`: where those of churn end, those of value in proportion."""
    churn = definitions.churn
    ends = steps or (churn.horizon_days,)
    whole = definitions.value.horizon_days or churn.horizon_days
    of_value = tuple(-(-whole * end // churn.horizon_days) for end in ends)
    return Span(churn.gap_days, ends), Span(churn.gap_days, of_value)


def fit_silence(kind: Kind | None, people: People, span: Span, device: Device) -> Silence:
    """Without a label. Raises UsageError naming a feature that is lacking, ModelError where nobody
    came back."""
    at = places_of(ACTIVITY, people.features)
    known = activity(people.x, at, people.silent_days)
    kind, fit = _law(kind, known, people.window_days, device)
    usual = tuple(middle(people.x[:, place]) or 0.0 for place in at)
    gap, law = float(span.gap_days), law_of(kind, fit)
    ends = pairwise((0, *span.ends_days))
    comes = tuple(float(law.back(known, start, end, gap).mean()) for start, end in ends)
    return Silence(kind, fit, at, span, usual, DOUBT, comes)


def fit_spending(
    kind: Kind | None, people: People, silence: Silence, paid: Rows, span: Span, device: Device
) -> tuple[Spending | Linear, tuple[str, ...]]:
    """The estimator, and what is to be said of it. Where each activity is a purchase the law is
    that of silence.

    paid   labelled rows, for the value of those who have never bought and for the mean

    Raises UsageError naming a feature that is lacking.
    """
    at = places_of(PURCHASES, people.features)
    bought = purchases(people.x, at, people.silent_days)
    active = activity(people.x, silence.at, people.silent_days)
    try:
        if kind in (None, silence.kind) and _same(bought, active):
            kind, fit = silence.kind, silence.fit
        else:
            times = Histories(*(of[bought.some] for of in vars(bought.times).values()))
            kind, fit = _law(kind, times, None, device)
    except (ModelError, UsageError) as error:
        why = f"value: everyone is given the mean, since purchases tell nothing ({error})"
        return flat(len(paid.features)), (why,)
    spend, amount, notes = _amounts(bought, device)
    found = Spending(kind, fit, spend, at, span, amount, _never(paid, at, span))
    mean = float(found.value(paid.x).mean())
    say(f"buying: purchases by {told(kind, fit)}")
    return replace(found, unit=max(mean, LEAST)), notes


def _same(bought: Bought, active: Histories) -> bool:
    pairs = zip(vars(bought.times).values(), vars(active).values(), strict=True)
    return bool(bought.some.all()) and all(np.array_equal(one, other) for one, other in pairs)


def _law(
    kind: Kind | None, known: Histories, window_days: float | None, device: Device
) -> tuple[Kind, Fit]:
    from training.buying_bgnbd import fit_likelier  # loads PyTorch

    hidden = None if window_days is None else unseen(known.age, window_days)
    return fit_likelier(group([known]), kind, device.torch_name, hidden)


def _amounts(bought: Bought, device: Device) -> tuple[Fit | None, float, tuple[str, ...]]:
    """Gamma-Gamma, the mean amount of a purchase, and why there is no Gamma-Gamma, if so."""
    from training.buying_gamma_gamma import as_histories, fit_spend  # loads PyTorch

    count, mean = bought.spend.count, bought.spend.mean
    amount = float((count * mean).sum() / max(float(count.sum()), 1.0))
    try:
        return fit_spend(group([as_histories(bought.spend)]), device.torch_name), amount, ()
    except (ModelError, UsageError) as error:
        return None, amount, (f"value: every purchase is given the mean amount ({error})",)


def _never(paid: Rows, at: tuple[int, ...], span: Span) -> float:
    """Value a day of the labelled rows of those who had never bought; 0 where there is none."""
    assert paid.value is not None
    total, days = 0.0, 0.0
    for mine, rows, start, end in span.parts(paid.x):
        never = ~purchases(rows, at).some
        total += float(np.maximum(paid.value[mine][never], 0.0).sum())
        days += float(never.sum()) * (end - start)
    return total / days if days else 0.0
