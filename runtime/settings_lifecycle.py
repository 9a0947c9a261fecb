"""[lifecycle]: the rules by which users are laid in layers and tagged."""

from __future__ import annotations

from typing import Literal

from runtime.settings_base import Section


class Lifecycle(Section):
    """`period`: how long one is."""

    period: Literal["day", "week", "month"] = "week"
