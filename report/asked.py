"""What a page is asked for, as every section of it takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from events.calendar import Period
from events.store import EventStore
from events.users import scan_users
from report.words import Words
from runtime.cluster import IN_PROCESS, Cluster
from runtime.device import Device
from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.settings_funnel import Funnel
from runtime.settings_report import Report


@dataclass(frozen=True)
class Asked:
    """`funnels`: those to draw; none: one is proposed. `ids`: show user ids."""

    settings: Settings
    store: EventStore
    device: Device
    words: Words
    funnels: tuple[Funnel, ...] = ()
    ids: bool = False
    cluster: Cluster = IN_PROCESS

    @property
    def page(self) -> Report:
        return self.settings.report

    @property
    def zone(self) -> str:
        return self.settings.project.timezone

    @property
    def period(self) -> Period:
        """The one that the page opens with."""
        return self.settings.retention.period

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What users may be broken down by, the first that tells some apart: as [report] says,
        else the channel, else an attribute of users that is text."""
        if self.page.by is not None:
            return (self.page.by,)
        sources, users = self.settings.source, self.settings.users
        channels = any(one.columns.channel or one.constants.channel for one in sources)
        table = None if users is None else scan_users(self.settings)
        held = {} if table is None else table.collect_schema()
        texts = [] if users is None else [n for n in users.attributes if held.get(n) == pl.String]
        return (*(["channel"] if channels else []), *texts)


def funnels_asked(settings: Settings, wanted: Sequence[str]) -> tuple[Funnel, ...]:
    """Funnels by their names in holdfast.toml, or by their steps: "view > cart > purchase".
    Raises UsageError."""
    known = {one.name: one for one in settings.funnel}
    found = []
    for text in wanted:
        steps = tuple(step.strip() for step in text.split(">"))
        if text not in known and len(steps) == 1:
            named = f"holdfast.toml has {', '.join(known)}" if known else "holdfast.toml has none"
            raise UsageError(
                f"funnel '{text}' is not known: {named}; name one of them, or its steps with > "
                "between"
            )
        found.append(known[text] if text in known else Funnel(name=text, steps=steps))
    return tuple(found)
