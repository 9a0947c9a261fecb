"""The files that a run keeps beside its model."""

from __future__ import annotations

import json
from typing import Any

from runtime.settings import Settings
from training.runs import RunInfo


def run_document(settings: Settings, run: RunInfo, name: str) -> dict[str, Any] | None:
    """A JSON file of the run by its name; None where it has none, as runs of older versions."""
    # By our own layout, as `tracking.load_model`, so that a folder can be moved.
    file = settings.tracking / "artifacts" / run.run_id / "artifacts" / name
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found
