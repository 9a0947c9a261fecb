"""A fitted model on a small log, put where `score` looks for one, without a tracked run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from events.store import open_store
from features.learn import learn_spec
from features.snapshots import build_snapshots, read
from features.time import Cutoff
from runtime.device import decide
from runtime.settings import Settings
from serving.score import ScoreResult, score
from training.fitting import fit
from training.kinds import spec_of
from training.model import Model
from training.runs import RunInfo
from training.split import Slice
from training.task import Task
from training.trees import PartSizes, Size, XGBoostSpec

CPU = decide("cpu")
TRAINED = datetime(2024, 7, 1, tzinfo=UTC)
LATER = datetime(2024, 8, 1, tzinfo=UTC)
SIZE = Size(4, 20)  # given, so that none is searched for
ROUNDS = XGBoostSpec(Size(4, 40), SIZE, PartSizes(SIZE, SIZE, "gamma"))
RUN = RunInfo("run1234567", "logistic", "", "FINISHED", 0.0, {}, {}, {}, 1, "m", ("champion",))


def fitted(settings: Settings, kind: str = "xgboost") -> Model:
    """Fitted at two cutoffs, calibrated at a later one, as of TRAINED."""
    store = open_store(settings, TRAINED)
    days = [datetime(2024, month, 1, tzinfo=UTC) for month in (4, 5, 6)]
    cutoffs = [Cutoff(day) for day in days]
    spec = learn_spec(store, cutoffs[0], settings)
    taken = build_snapshots(settings, store, cutoffs, spec, CPU, labelled=True)
    task = Task(kind, spec, taken.features, TRAINED, 0, CPU)
    chosen = ROUNDS if kind == "xgboost" else spec_of(kind, 0)
    slices = Slice((cutoffs[1], cutoffs[0])), Slice((cutoffs[2],))
    return fit(read(taken), *slices, chosen, task).model


@contextmanager
def registered(model: Model) -> Iterator[None]:
    """`score` takes this model for the champion."""
    with (
        patch("serving.score.list_runs", lambda _: (RUN,)),
        patch("serving.score.load_model", lambda *_: (model, RUN.run_id)),
    ):
        yield


def scored(settings: Settings, model: Model, as_of: datetime | None = LATER) -> ScoreResult:
    with registered(model):
        return score(settings, as_of, None, CPU)


def scored_with(config: str, model_folder: str) -> None:
    """What a child process runs."""
    from runtime.settings import load_settings

    scored(load_settings(Path(config)), Model.load(Path(model_folder)))
