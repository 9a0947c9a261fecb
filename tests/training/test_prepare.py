"""What a training is made from, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from small_project import small_log, write_small_project

from events.ingest import ingest
from runtime.device import Device
from runtime.settings import load_settings
from training.prepare import prepared

CPU = Device("cpu", "a test")
AS_OF = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begins", "told"), [(datetime(2024, 7, 20), True), (AS_OF, False), (datetime.min, False)]
)
def test_amounts_that_begin_too_late_are_spoken_of(
    tmp_path: Path, begins: datetime, told: bool
) -> None:
    late = pl.col("when") >= begins.replace(tzinfo=UTC)
    log = small_log(120).with_columns(paid=pl.when(late).then("paid"))
    settings = load_settings(write_small_project(tmp_path, log))
    ingest(settings)
    ready = prepared(settings, AS_OF, "logistic", CPU)
    notes = [note for note in ready.plan.split.notes if note.startswith("value is not learned: ")]
    assert bool(notes) is told
    assert ready.task.spec.has_amount is (begins == datetime.min)


def test_deadlines_that_no_event_has_are_spoken_of(tmp_path: Path) -> None:
    config = write_small_project(tmp_path / "p", small_log(120))
    text = config.read_text() + '\n[features]\ndeadlines = ["END_DAYS"]\n'
    config.write_text(text)
    settings = load_settings(config)
    ingest(settings)
    (note,) = [n for n in prepared(settings, AS_OF, "xgboost", CPU).plan.split.notes if "END" in n]
    assert note.startswith("features.deadlines: 'END_DAYS' is no feature")
