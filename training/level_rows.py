"""The rows that the level of churn is followed by: cutoffs between and beside those of a training,
each with the outcome of every quarter of the horizon that has passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from events.store import EventStore
from features.matured import matured_cutoffs
from features.sequence_files import Sequences
from features.snapshots import Snapshots, build_snapshots
from features.spec import FeatureSpec
from features.steps import churn_by
from features.time import Cutoff
from runtime.clock import DAY
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import LabelError
from runtime.settings import Settings
from runtime.tables import open_table
from training.churn_level import Span
from training.early import PARTS, early_days, step_days
from training.hindsight import snapshots_then, without_hindsight
from training.past import EARLY
from training.plan import Plan
from training.sequences_at import sequences_at
from training.split import user_share
from training.years import ACTIVE, KINDS, PAID, Year, years_at

MOST_CUTOFFS = 12
MOST_USERS = 20_000  # at a cutoff: the level of so many is known to a hundredth of log-odds
CPU = Device("cpu", "a look at the snapshots")


@dataclass(frozen=True)
class LevelRows:
    """`frame`: `cutoff`, `user_id`, the features, `churn` and `churn_<d>d` by the end of d days,
    null where not known at the as-of `now`; of a `share` of the users, by hash. `why`: the reason
    where there is nothing to follow; then of the users at the as-of the features alone. `years`,
    `value_years`: by present, what a year ago says of the coming season: of churn that is silence,
    and of value over `value_days`. `then`: the frame as it was known at the test cutoff, where rows
    tell when they became known."""

    frame: pl.DataFrame
    span: Span
    now: datetime
    why: str = ""
    share: float = 1.0
    sequences: Sequences | None = None
    years: Mapping[datetime, Year] = field(default_factory=dict)
    value_years: Mapping[datetime, Year] = field(default_factory=dict)
    value_days: float = 0.0
    then: pl.DataFrame | None = None

    def known(self, now: datetime) -> pl.DataFrame:
        """What was known at the present of a model: the as-of, or the test cutoff."""
        frame = self.frame if self.then is None or now == self.now else self.then
        return known_at(frame, now, self.span)


def level_rows(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    read: Sequences | None = None,
) -> LevelRows:
    """At most 12 cutoffs a quarter of the horizon apart, about the test cutoff, of some thousand
    users each; the as-of, with the reason, where there is nothing to carry. `read`: the sequences
    of the training, whose like are made at these cutoffs."""
    churn = settings.churn
    span = Span(float(churn.gap_days), float(churn.horizon_days), churn.kind == "passive")
    now = store.covered_until
    if why := _why_not(settings, plan):
        frame, sequences = _present(settings, store, spec, device, cluster, read)
        return LevelRows(frame, span, now, why, sequences=sequences)
    asked = _churn_alone(settings)
    oldest = matured_cutoffs(store, settings)[-1]
    test, calibrate = plan.split.test.cutoffs[0], plan.split.calibrate.cutoffs[0]
    at = cutoffs_about(test, calibrate, oldest, now, settings)
    steps = (*early_days(settings), churn.horizon_days)
    taken = build_snapshots(asked, store, at, spec, device, True, cluster, steps)
    share = min(1.0, MOST_USERS * len(taken.cutoffs) / max(taken.rows, 1))
    frame, then = _some(taken, steps, share), None
    if judged := snapshots_then(asked, store, test.at, at, spec, device, cluster, steps):
        told = _some(judged, steps, share).drop(judged.features)
        then = without_hindsight(frame, told, test.at)
    sequences = _like(read, settings, store, at, spec, device, cluster)
    wanted = {ACTIVE: span.silence, PAID: spec.has_amount}
    kinds = {kind: of for kind, of in KINDS.items() if wanted[kind]}
    years = years_at(store, settings, (test.at, now), kinds)
    return LevelRows(
        frame=frame,
        span=span,
        now=now,
        share=share,
        sequences=sequences,
        years=years.get(ACTIVE, {}),
        value_years=years.get(PAID, {}),
        value_days=float(settings.value_horizon_days),
        then=then,
    )


def cutoffs_about(
    test: Cutoff, calibrate: Cutoff, oldest: Cutoff, now: datetime, settings: Settings
) -> list[Cutoff]:
    """Both, the newest four a step apart whose first outcome is known at `now`, and those before
    the test cutoff but not before `oldest`: 12 in all, newest first.

    The calibration cutoff takes the place of those less than half a step away: it has the newest
    label of the whole horizon, by each step of it.
    """
    step = step_days(settings) * DAY
    first = (early_days(settings) or (settings.churn.horizon_days,))[0]
    newest = (now - (settings.churn.gap_days + first) * DAY - test.at) // step
    known = [Cutoff(test.at + k * step) for k in range(newest, max(newest - PARTS, 0), -1)]
    earlier = [Cutoff(test.at - k * step) for k in range(MOST_CUTOFFS)]
    apart = [c for c in earlier if abs(c.at - calibrate.at) >= step / 2 and c.at >= oldest.at]
    rest = [*known, test, *(c for c in apart if c != test)][: MOST_CUTOFFS - 1]
    return sorted({*rest, calibrate}, reverse=True)


def known_at(frame: pl.DataFrame, now: datetime, span: Span) -> pl.DataFrame:
    """The rows of cutoffs at or before `now`, outcomes that end after it unknown."""
    ends = {"churn": span.horizon_days}
    ends |= {n: float(found[1]) for n in frame.columns if (found := EARLY.fullmatch(n))}
    hidden = [
        pl.when(pl.col("cutoff") + timedelta(days=span.gap_days + days) <= now)
        .then(pl.col(name))
        .alias(name)
        for name, days in ends.items()
    ]
    return frame.filter(pl.col("cutoff") <= now).with_columns(hidden)


def _why_not(settings: Settings, plan: Plan) -> str:
    if settings.training.level == "none":
        return "training.level is none"
    if plan.steps:
        return "the horizon is learned by steps, of which the newest are the level's already"
    return ""


def _present(
    settings: Settings,
    store: EventStore,
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster,
    read: Sequences | None,
) -> tuple[pl.DataFrame, Sequences | None]:
    """Users at the as-of, some thousand; none where nobody is eligible then."""
    at = [Cutoff(store.as_of)]
    try:
        taken = build_snapshots(settings, store, at, spec, device, False, cluster)
    except LabelError:
        return pl.DataFrame(), None
    frame = _some(taken, (), min(1.0, MOST_USERS / max(taken.rows, 1)))
    return frame, _like(read, settings, store, at, spec, device, cluster)


def _like(
    read: Sequences | None,
    settings: Settings,
    store: EventStore,
    at: Sequence[Cutoff],
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster,
) -> Sequences | None:
    if read is None:
        return None
    return sequences_at(settings, store, at, spec, read.length, device, cluster)


def _churn_alone(settings: Settings) -> Settings:
    """A longer horizon of value must not hold churn's labels back."""
    days = min(settings.value_horizon_days, settings.churn.horizon_days)
    value = settings.value.model_copy(update={"horizon_days": days})
    return settings.model_copy(update={"value": value})


def chosen(share: float) -> pl.Expr:
    """Whether a user is among the share, the same at all cutoffs."""
    return user_share(0, "level") < share


def _some(taken: Snapshots, steps: tuple[int, ...], share: float) -> pl.DataFrame:
    rows = open_table(taken.path, taken.kind).scan()
    if share < 1:
        rows = rows.filter(chosen(share))
    early = {churn_by(days): f"churn_{days}d" for days in steps[:-1]}
    told = ("churn", *early) if steps else ()
    named = rows.select("cutoff", "user_id", *taken.features, *told).rename(early)
    return collect(named.sort("cutoff", "user_id"), CPU)
