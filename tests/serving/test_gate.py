"""The gate before scoring, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from oracles.retention_world import settings_in, write_store
from oracles.tracking_cases import log_of
from serving_model import CPU, LATER, registered, scored

from events.findings import Finding
from runtime.errors import TrackingError
from runtime.settings import Settings, parse_settings
from runtime.tables import exists
from serving.gate import pass_gate, recent_findings
from serving.score import score
from serving.table import scores_path
from training.model import Model

# 'buy' is missing on February 28, 11 days before the log ends, and on January 31, 39 before.
LOG = """
2023-11-01..2024-03-10 view x30
2023-11-01..2024-03-10 buy  x20 but=2024-02-28,2024-01-31
"""
BROKEN = Finding("error", "missing", "buy", None, None, 0, 20, "'buy' has 0 rows")


def gated(folder: Path, **quality: object) -> Settings:
    return settings_in(folder, quality=quality)


def test_only_what_reaches_into_the_newest_days_counts(tmp_path: Path) -> None:
    settings = gated(tmp_path, gate="stop")
    store = write_store(settings, log_of(LOG, "UTC"))
    days = [str(f.first_day) for f in recent_findings(settings, store, CPU)]
    assert days == ["2024-02-28"]
    longer = gated(tmp_path, gate="stop", gate_days=60)
    days = [str(f.first_day) for f in recent_findings(longer, store, CPU)]
    assert days == ["2024-01-31", "2024-02-28"]


def test_it_stops_and_says_why_and_how_to_go_on(tmp_path: Path) -> None:
    settings = gated(tmp_path, gate="stop")
    store = write_store(settings, log_of(LOG, "UTC"))
    with pytest.raises(TrackingError) as caught:
        pass_gate(settings, store, CPU)
    assert caught.value.exit_code == 1
    assert "'buy' has 0 rows on 2024-02-28" in str(caught.value)
    assert "--despite-tracking" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert pass_gate(settings, store, CPU, despite=True).state == "broken"


@pytest.mark.parametrize(
    ("quality", "state"),
    [
        ({"gate": "warn"}, "broken"),
        ({"gate": "off"}, "off"),
        ({"gate": "stop", "ignore": ["missing:b*"]}, "open"),
        ({"gate": "stop", "gate_days": 5}, "open"),
    ],
)
def test_otherwise_it_lets_pass(tmp_path: Path, quality: dict[str, object], state: str) -> None:
    settings = gated(tmp_path, **quality)
    assert pass_gate(settings, write_store(settings, log_of(LOG, "UTC")), CPU).state == state


@pytest.fixture
def project(ingested: Path, tmp_path: Path) -> Settings:
    folder = tmp_path / "p"
    shutil.copytree(ingested.parent, folder)
    from tomllib import loads

    raw = loads((folder / "holdfast.toml").read_text()) | {"quality": {"gate": "stop"}}
    return parse_settings(raw, folder)


def test_nothing_is_scored_behind_a_closed_gate(
    project: Settings, models: Mapping[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.gate.recent_findings", lambda *_: (BROKEN,))
    model = models["logistic"]
    with pytest.raises(TrackingError):
        scored(project, model)
    assert not exists(scores_path(project))
    with registered(model):
        result = score(project, LATER, None, CPU, despite_tracking=True)
    assert result.rows > 0
    (record,) = (project.store / "gate").glob("*.json")
    said = json.loads(record.read_text())
    assert said["state"] == "broken"
    assert said["findings"][0]["message"] == BROKEN.message


def test_a_sound_log_is_scored_and_the_gate_recorded_open(
    project: Settings, models: Mapping[str, Model]
) -> None:
    result = scored(project, models["logistic"])
    assert result.tracking.state == "open"
    assert result.tracking.as_of == datetime(2024, 8, 1, tzinfo=UTC)
    (record,) = (project.store / "gate").glob("*.json")
    assert json.loads(record.read_text())["findings"] == []
