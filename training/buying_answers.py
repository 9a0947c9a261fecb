"""What a model of buying says of customers one by one, and of all of them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from training.buying import Buying
from training.buying_data import UNIT_DAYS
from training.metrics import Floats
from training.spread import Spread, interval

LEVELS = (0.01, 0.05, 0.5, 0.9, 0.95)  # what intervals of 90 % and the median are made of
TOTALS = ("customers", "alive", "buyers", "expected_purchases", "expected_value")


def answers(
    model: Buying, people: pl.DataFrame, horizon_days: int, kept: Sequence[str] = ()
) -> pl.DataFrame:
    """A row for each of `people`, in their order, with their columns `kept`.

    purchases                days with one, the first included
    days_since_first, days_since_last   whole days before the last day that is known
    alive                    P(has not left yet)
    silent                   P(no purchase within the horizon); `_low`, `_high`: where it lies with
                             90 %, as far as the parameters are known; null where they are not
    expected_purchases       mean; `purchases_low`, `purchases_high` hold 90 % of what may come
    expected_value           mean, to add up; `median_value`; `value_low`, `value_high` hold 90 %;
                             all null where the amounts tell no law
    """
    length = UNIT_DAYS[model.unit]
    count = model.expected_purchases(people, horizon_days)
    number = Spread(count, LEVELS, model.purchase_quantiles(people, horizon_days, LEVELS))
    silent_low, silent_high = model.silent_interval(people, horizon_days).T
    purchases_low, purchases_high = interval(number)
    said: dict[str, Floats | None] = {
        "alive": model.alive(people),
        "silent": model.silent(people, horizon_days),
        "silent_low": silent_low,
        "silent_high": silent_high,
        "expected_purchases": count,
        "purchases_low": purchases_low,
        "purchases_high": purchases_high,
        **_value(model, people, horizon_days),
    }
    return people.select(
        "user_id",
        *kept,
        purchases=pl.col("frequency").cast(pl.Int64) + 1,
        days_since_first=(pl.col("age") * length).round().cast(pl.Int64),
        days_since_last=((pl.col("age") - pl.col("recency")) * length).round().cast(pl.Int64),
    ).with_columns(_columns(said, len(people)))


def totals(
    model: Buying, people: pl.DataFrame, horizon_days: int, kept: Sequence[str] = ()
) -> pl.DataFrame:
    """A row of TOTALS over `people`, who are alike in their columns `kept`: sums of probabilities
    and of means. `buyers`: who buy within the horizon. Value is null where amounts tell no law."""
    count = float(model.expected_purchases(people, horizon_days).sum())
    value = None
    if model.spend is not None:
        value = float(model.expected_value(people, horizon_days).sum())
    found = {
        "customers": len(people),
        "alive": float(model.alive(people).sum()),
        "buyers": float((1 - model.silent(people, horizon_days)).sum()),
        "expected_purchases": count,
        "expected_value": value,
    }
    kinds = {"customers": pl.Int64(), "expected_value": pl.Float64()}
    row = pl.DataFrame({name: [found[name]] for name in TOTALS}, schema_overrides=kinds)
    return people.select(kept).head(1).hstack(row) if kept else row


def _value(model: Buying, people: pl.DataFrame, horizon_days: int) -> dict[str, Floats | None]:
    names = ("expected_value", "median_value", "value_low", "value_high")
    if model.spend is None:
        return dict.fromkeys(names)
    mean = model.expected_value(people, horizon_days)
    spread = Spread(mean, LEVELS, model.value_quantiles(people, horizon_days, LEVELS))
    return dict(zip(names, (mean, spread.median, *interval(spread)), strict=True))


def _columns(said: Mapping[str, Floats | None], rows: int) -> list[pl.Series]:
    none = np.full(rows, np.nan)
    return [
        pl.Series(name, none if found is None else found, dtype=pl.Float64).fill_nan(None)
        for name, found in said.items()
    ]
