"""What a training is made from: the plan of its cutoffs, the snapshots, and the sequences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

import polars as pl

from events.store import EventStore, open_store
from features.definitions import value_amount
from features.learn import learn_spec
from features.snapshots import Snapshots, build_snapshots, read
from features.spec import FeatureSpec
from runtime.clock import show
from runtime.cluster import IN_PROCESS, Cluster
from runtime.collect import collect
from runtime.device import Device
from runtime.files import digest_of
from runtime.progress import say
from runtime.settings import Settings
from training.auto import AutoSpec
from training.hindsight import snapshots_then, without_hindsight
from training.kinds import Spec, spec_of
from training.plan import Plan
from training.sample import sampled
from training.sequence_spec import SequenceSpec
from training.sequences_at import sequences_at
from training.task import Task

CPU = Device("cpu", "a look at the store")


NO_AMOUNT = (
    "value is not learned: no amount lies before {}, where what is fitted on ends; train as of "
    "later"
)
NO_DAY = (
    "features.deadlines: '{}' is no feature: no day can be read of most such properties before {}; "
    "name a property of events whose values are days"
)


@dataclass(frozen=True)
class Prepared:
    """`frame`: the snapshots in memory, at every cutoff of the plan, with labels before the test
    cutoff as they were known at it; `newest`: with all as they are known now. Of a large log
    `store` and all that is made from it hold a sample of the users."""

    store: EventStore
    plan: Plan
    snapshots: Snapshots
    frame: pl.DataFrame
    newest: pl.DataFrame
    spec: Spec | AutoSpec
    task: Task


def prepared(
    settings: Settings,
    as_of: datetime | None,
    model: str | None,
    device: Device,
    cluster: Cluster = IN_PROCESS,
    spec: Spec | None = None,
) -> Prepared:
    """As of an instant (default: just after the last event); reads nothing at or after it.

    Raises UsageError for a model that is not known, StoreError without events, LabelError where no
    label has matured.
    """
    kind = model or settings.training.model
    chosen = spec or named_spec(kind, settings)
    everyone = open_store(settings, as_of)
    say(f"train {kind} as of {show(everyone.as_of)} on {device.kind} ({device.reason})")
    store, plan = sampled(settings, everyone)
    features = learn_spec(everyone, plan.learn_before, settings)
    if not features.has_amount and _paid(settings, everyone):
        plan = _with_note(plan, NO_AMOUNT.format(show(plan.learn_before.at)))
    for name in _unread_deadlines(settings, features):
        plan = _with_note(plan, NO_DAY.format(name, show(plan.learn_before.at)))
    snapshots = snapshots_of(settings, store, plan, features, device, cluster)
    task = _task(settings, store, plan, features, snapshots, kind, chosen, device, cluster)
    newest, then = read(snapshots), plan.split.test.cutoffs[0].at
    frame = newest
    if taken := judged_snapshots(settings, store, plan, features, device, cluster):
        frame = without_hindsight(newest, read(taken).drop(taken.features), then)
    return Prepared(store, plan, snapshots, frame, newest, chosen, task)


def _paid(settings: Settings, store: EventStore) -> bool:
    """Whether any amount is known."""
    value = value_amount(settings.value).is_not_null().any()
    return any(collect(store.scan(bucket).select(value), CPU).item() for bucket in store.buckets)


def _unread_deadlines(settings: Settings, features: FeatureSpec) -> list[str]:
    read = {deadline.name for deadline in features.deadlines}
    return [name for name in settings.features.deadlines or () if name not in read]


def _with_note(plan: Plan, note: str) -> Plan:
    return replace(plan, split=replace(plan.split, notes=(*plan.split.notes, note)))


def named_spec(kind: str, settings: Settings) -> Spec | AutoSpec:
    """Raises UsageError for a kind that is not known."""
    chosen = settings.training
    if kind == "auto":
        return AutoSpec(chosen.minutes, chosen.seed)
    return spec_of(kind, chosen.seed)


def _task(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    features: FeatureSpec,
    snapshots: Snapshots,
    kind: str,
    spec: Spec | AutoSpec,
    device: Device,
    cluster: Cluster,
) -> Task:
    """With the sequences of everyone where one of the models reads them."""
    sequences = None
    if (length := _length(spec)) and not plan.steps:
        at = plan.split.cutoffs
        sequences = sequences_at(settings, store, at, features, length, device, cluster)
    named = digest_of([snapshots.digest, kind, asdict(spec), str(plan.split)])
    return Task(
        kind=kind,
        spec=features,
        features=snapshots.features,
        as_of=store.as_of,
        seed=settings.training.seed,
        device=device,
        steps=plan.steps,
        measured=plan.measured,
        sequences=sequences,
        checkpoints=settings.store / ".training" / named,
    )


def _length(spec: Spec | AutoSpec) -> int | None:
    """Of the sequences that are read; None where none are."""
    if isinstance(spec, AutoSpec):
        return SequenceSpec().length if "sequence" in spec.kinds else None
    return spec.length if isinstance(spec, SequenceSpec) else None


def snapshots_of(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> Snapshots:
    """The labelled snapshots that a training reads."""
    days = plan.days
    return build_snapshots(settings, store, plan.split.cutoffs, spec, device, True, cluster, days)


def judged_snapshots(
    settings: Settings,
    store: EventStore,
    plan: Plan,
    spec: FeatureSpec,
    device: Device,
    cluster: Cluster = IN_PROCESS,
) -> Snapshots | None:
    """Those of cutoffs before the test's, with labels as they were known at it; None where these
    are no others, and where all roles are those of users, which know nothing of time."""
    if plan.split.in_one_stage:
        return None
    then, at = plan.split.test.cutoffs[0].at, plan.split.cutoffs
    return snapshots_then(settings, store, then, at, spec, device, cluster, plan.days)
