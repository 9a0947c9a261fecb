"""The recipe rolled over past instants: train as of each, judge by what came after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from events.store import open_store
from features.matured import label_end, require_matured
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.clock import show
from runtime.device import Device
from runtime.settings import Settings
from training.evaluate import Evaluation, evaluate
from training.model import Model
from training.prepare import named_spec, snapshots_of
from training.recipe import measured_rows, train
from training.rows import Rows, labelled
from training.sample import sampled
from training.sequences_at import beside
from training.task import Task
from training.tracking import load_model


@dataclass(frozen=True)
class Judged:
    """A model trained as of an instant, and how right it was about what came after.

    `users`: who was eligible then, in the order of `evaluation`'s arrays.
    """

    model: Model
    run_id: str
    users: pl.Series
    evaluation: Evaluation


def backtest(
    settings: Settings, instants: Sequence[datetime], models: Sequence[str], device: Device
) -> list[dict[str, Any]]:
    """One row an instant and model: as_of, model, run_id, users and the metrics by name.

    Each training is a tracked run of its own, whose model becomes neither champion nor challenger:
    it knows nothing of what came since. Raises, before any training, UsageError for a model that
    is not known and LabelError where the labels of an instant have not matured in the log.
    """
    for kind in models:
        named_spec(kind, settings)
    rows, store = [], open_store(settings)
    for at in instants:
        require_matured(Cutoff(at), store, settings)
    for at in instants:
        for kind in models:
            run_id = train(settings, at, kind, device, aliased=False).run_id
            judged = judge(settings, run_id, at, device)
            head = {"as_of": show(at), "model": kind, "run_id": run_id, "users": len(judged.users)}
            rows.append(head | judged.evaluation.metrics)
    return rows


def judge(settings: Settings, run: str, at: datetime, device: Device) -> Judged:
    """Compares a run's model with the labels at the cutoff `at`, which it must not have seen."""
    model, run_id = load_model(settings, run)
    store = open_store(settings, label_end(Cutoff(at), settings))
    taken = build_snapshots(settings, store, [Cutoff(at)], model.spec, device, labelled=True)
    seed = settings.training.seed
    frame = read(taken).filter(pl.col("churn").is_not_null())
    test = labelled(beside(frame, model, settings, store, device), model.inputs, "judged", seed)
    floor = _fit_rows(settings, model, device)
    found = evaluate(model, floor, test, settings.training.bootstrap, seed)
    return Judged(model, run_id, frame["user_id"], found)


def _fit_rows(settings: Settings, model: Model, device: Device) -> Rows:
    """What the model was fitted on: the floors learn from the same rows, where the log was too
    young for the horizon from labels of the longest step that had matured."""
    store, plan = sampled(settings, open_store(settings, model.as_of))
    seed = settings.training.seed
    frame = read(snapshots_of(settings, store, plan, model.spec, device))
    task = Task(model.kind, model.spec, model.features, model.as_of, seed, device, plan.steps)
    task = replace(task, measured=plan.measured)
    return measured_rows(frame, plan.split.last_fit, task)
