"""Alerts on retention: the newest cohorts against those before them."""

from __future__ import annotations

from datetime import date

import polars as pl

from events.store import EventStore
from retention.curve import retention
from runtime.device import Device
from runtime.settings import Settings
from serving.alert import Alert
from serving.alert_rules import Fall, changed_share

WEEKS = 4  # after the first that are looked at
COHORTS = 12  # before the newest


def retention_alerts(
    settings: Settings, store: EventStore, device: Device
) -> tuple[list[Alert], str]:
    """Of each of the four weeks after the first, the newest cohort whose week has ended against
    the twelve before it; by chance one look in 1 / `alert_p` tells of one that has not changed,
    whichever of the weeks (Bonferroni)."""
    table = retention(settings, store, device, mode="nday", period="week", periods=WEEKS)
    found, looked = [], 0
    for cell in range(1, WEEKS + 1):
        done = table.cells.filter((pl.col("start") == cell) & pl.col("complete")).sort("cohort")
        done = done.filter(pl.col("users") > 0).tail(COHORTS + 1)
        if done.height < 4:  # noqa: PLR2004
            continue
        looked += 1
        level = settings.quality.alert_p / WEEKS
        fall = changed_share(done["retained"].to_list(), done["users"].to_list(), level)
        if fall is not None:
            found.append(_alert(cell, fall, done["cohort"][-1]))
    return found, "looked at" if looked else "fewer than four cohorts have a week that has ended"


def _alert(week: int, fall: Fall, cohort: date) -> Alert:
    worse = fall.found < fall.expected
    return Alert(
        what="retention",
        name=f"week {week}",
        found=round(fall.found, 4),
        expected=round(fall.expected, 4),
        since=cohort,
        severity="warning" if worse else "info",
        sentence=f"of the users who came in the week of {cohort} {fall.found:.1%} were back in "
        f"week {week}; of the cohorts before {fall.expected:.1%} (p = {fall.p:.1g})",
    )
