"""[quality]: what is wrong enough with the tracking to be told, and to stop the scoring."""

from __future__ import annotations

from typing import Literal

from runtime.settings_base import Section


class Quality(Section):
    """`gate`: "stop" refuses to score while the tracking is broken, "warn" says so and goes on,
    "off" does not look."""

    gate: Literal["stop", "warn", "off"] = "warn"
