"""[report]: what the page shows, and of how many."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings_base import Section


class Report(Section):
    """`by`: a column, property or attribute to break retention and funnels down by; default: the
    channel, or else the first attribute of users, where the log has several of them. `groups`: how
    many of its values are told apart, the most frequent. `listed`: users of each risk band on the
    list, of a layer 20 at most. `lang`: what the page is written in."""

    lang: Literal["en", "zh"] = "en"
    by: str | None = None
    groups: int = Field(default=5, ge=1, le=20)
    listed: int = Field(default=50, ge=0, le=1000)
    file: str = "report.html"
