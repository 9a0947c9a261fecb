"""Every customer by the models of buying: alive or gone, what they will buy and spend, how sure.

Fitted on the purchases before an instant, without features, labels or a registered model: BG/NBD
or MBG/NBD with Gamma-Gamma as published, for any horizon. What it says is about buying alone; the
scores of `train` are about churn as holdfast.toml defines it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from events.passes import each_bucket
from events.properties import Dimension
from events.store import EventStore, open_store
from features.definitions import value_amount
from features.time import Cutoff
from retention.anchors import users_of
from runtime.clock import show
from runtime.device import Device
from runtime.errors import ModelError, UsageError
from runtime.lists import check_list, write_list
from runtime.progress import say
from runtime.settings import Settings
from training.buying import Buying, fit_buying
from training.buying_answers import TOTALS, answers, totals
from training.buying_covariates import CovariateFit, fit_covariates
from training.buying_data import histories, purchases_plan
from training.buying_firsts import Levels, first_plan, firsts_of, levels_of
from training.buying_predict import Kind
from training.buying_silence import told

MOST_DAYS = 36_500
Frames = Callable[[], Iterable[pl.DataFrame]]


@dataclass(frozen=True)
class Asked:
    """`horizon_days`: None: that of value, else of churn; `kind`: None: the one of the greater
    likelihood; `by`: what of the first purchase may move the law; `out`: a .parquet or .csv file
    of every customer."""

    horizon_days: int | None = None
    kind: Kind | None = None
    by: tuple[str, ...] = ()
    out: Path | None = None


@dataclass(frozen=True)
class Laws:
    """`model`: everyone's. With covariates each combination of `levels` has a law of its own."""

    model: Buying
    covariates: CovariateFit | None = None
    levels: Levels = field(default_factory=lambda: Levels({}))

    def groups(self, people: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Buying]]:
        """Customers of one law and of equal values, and their law."""
        if self.covariates is None:
            yield people, self.model
            return
        pooled = self.levels.pooled(people)
        columns = self.levels.columns(pooled)
        for mine, fit in self.covariates.fits(columns, columns):
            model = replace(self.model, purchases=fit)
            for some in pooled[mine.tolist()].partition_by(*self.levels.told, maintain_order=True):
                yield some, model


@dataclass(frozen=True)
class Customers:
    """`rows`: TOTALS of everyone, or with `by` of each combination of its values, sums."""

    as_of: datetime
    horizon_days: int
    laws: Laws
    by: tuple[str, ...]
    rows: pl.DataFrame
    notes: tuple[str, ...]
    out: Path | None
    seconds: float


def describe_customers(
    settings: Settings, as_of: datetime | None, asked: Asked, device: Device
) -> Customers:
    """As of an instant (default: just after the last event); reads nothing at or after it.

    Memory: some buckets, and four numbers each of the customers' different histories and of their
    different mean amounts: of these nearly one a customer where amounts hardly repeat. With `by`
    everyone's row.
    Raises UsageError where nobody has bought, ModelError where nobody bought again, OutputError.
    """
    start = time.perf_counter()
    firsts = firsts_of(asked.by, settings)
    days = _horizon(asked.horizon_days, settings)
    if asked.out:
        check_list(asked.out, "--out")
    store = open_store(settings, as_of)
    say(f"customers as of {show(store.as_of)} on {device.kind} ({device.reason})")
    frames: Frames = partial(_customers, settings, store, device, firsts)
    if firsts:
        frames = partial(iter, list(frames()))
    by = tuple(firsts)
    laws, notes = _fitted(frames, asked.kind, by, device)
    sums: list[pl.DataFrame] = []
    parts = _answered(frames, laws, days, by, asked.out is not None, sums)
    if asked.out:
        at = pl.lit(show(store.as_of)).alias("as_of")
        write_list(asked.out, (part.with_columns(at) for part in parts))
    else:
        for _ in parts:  # for the sums alone
            pass
    return Customers(
        as_of=store.as_of,
        horizon_days=days,
        laws=laws,
        by=by,
        rows=_summed(sums, by),
        notes=notes,
        out=asked.out,
        seconds=time.perf_counter() - start,
    )


def _horizon(days: int | None, settings: Settings) -> int:
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise UsageError(f"--horizon-days {days}: give 1 to {MOST_DAYS}")
    return days or settings.value_horizon_days


def _customers(
    settings: Settings, store: EventStore, device: Device, firsts: Mapping[str, Dimension]
) -> Iterator[pl.DataFrame]:
    """Who has bought, a bucket at a time: see `purchases_plan`, and the values of their firsts."""
    plan = partial(_plan, settings=settings, store=store, firsts=firsts)
    return each_bucket(plan, store, device, "customers", with_bucket=True)


def _plan(
    events: pl.LazyFrame,
    bucket: int,
    settings: Settings,
    store: EventStore,
    firsts: Mapping[str, Dimension],
) -> pl.LazyFrame:
    cutoff = Cutoff(store.as_of)
    bought = events.with_columns(amount=value_amount(settings.value))
    people = purchases_plan(bought, cutoff, settings.project.timezone)
    if not firsts:
        return people
    attributes = any(one.kind == "attribute" for one in firsts.values())
    users = users_of(settings, store, bucket) if attributes else None
    first = first_plan(bought, cutoff, firsts, users)
    return people.join(first, on="user_id", how="left").sort("user_id")


def _fitted(
    frames: Frames, kind: Kind | None, by: tuple[str, ...], device: Device
) -> tuple[Laws, tuple[str, ...]]:
    on, notes = device.torch_name, tuple[str, ...]()
    try:
        model = fit_buying(frames(), kind=kind, device=on)
    except ModelError as error:
        # Raised again where it is the purchases that tell nothing.
        model = fit_buying(frames(), kind=kind, spend_of=None, device=on)
        notes = (f"value is not said: {error}",)
    say(f"customers: {told(model.kind, model.purchases)}")
    if not by:
        return Laws(model), (*notes, *model.notes)
    people = pl.concat(frames())
    levels = levels_of(people, by)
    pooled = levels.pooled(people)
    columns = levels.columns(pooled)
    names = levels.names
    found = fit_covariates(histories(people), columns, columns, names, names, model.kind, on)
    more = found.log_likelihood - found.log_likelihood_without
    gain = f"the covariates add {more:.2f} to the log-likelihood, by {3 * len(names)} coefficients"
    of_each = (f"with covariates: {note}" for note in found.notes)
    return Laws(model, found, levels), (*notes, *model.notes, *levels.notes(pooled), *of_each, gain)


def _answered(
    frames: Frames,
    laws: Laws,
    days: int,
    by: tuple[str, ...],
    listed: bool,
    sums: list[pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """What is said of each, a bucket at a time, and nothing where they are not `listed`; adds to
    `sums` on the way."""
    for people in frames():
        parts = []
        for some, model in laws.groups(people):
            sums.append(totals(model, some, days, by))
            if listed:
                parts.append(answers(model, some, days, by))
        if parts:
            yield pl.concat(parts).with_columns(horizon_days=pl.lit(days))


def _summed(sums: list[pl.DataFrame], by: tuple[str, ...]) -> pl.DataFrame:
    each = [pl.col(name).sum() for name in TOTALS[:-1]]
    # A sum of nothing known is not known.
    each.append(pl.when(pl.col(TOTALS[-1]).count() > 0).then(pl.col(TOTALS[-1]).sum()))
    whole = pl.concat(sums)
    if not by:
        return whole.select(each)
    order = [True, *(False for _ in by)]
    return whole.group_by(by).agg(each).sort("customers", *by, descending=order)
