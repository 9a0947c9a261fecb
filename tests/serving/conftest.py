"""One small project, ingested and with its models fitted once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from serving_model import fitted
from small_project import write_small_project

from events.ingest import ingest
from runtime.settings import Settings, load_settings
from training.model import Model


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The holdfast.toml of a project whose log is in its store; tests score copies of it."""
    config = write_small_project(tmp_path_factory.mktemp("serving") / "p")
    ingest(load_settings(config))
    return config


@pytest.fixture(scope="session")
def models(ingested: Path) -> Mapping[str, Model]:
    settings: Settings = load_settings(ingested)
    return {kind: fitted(settings, kind) for kind in ("xgboost", "logistic")}
