"""Alerts on activity: how many users come a day and a week, against their season."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from events.baseline import Rule
from events.grid import Days
from events.store import EventStore
from retention.stickiness import stickiness
from runtime.device import Device
from runtime.settings import Settings
from serving.alert import Alert
from serving.alert_rules import Odd, odd_of_late

WORDS = {"dau": "users a day", "wau": "users a week"}


def activity_alerts(
    settings: Settings, store: EventStore, device: Device
) -> tuple[list[Alert], str]:
    """DAU and WAU of the last `alert_days` days against the same weekdays of four weeks before
    them: off by `scales` deviations and by the factor `alert_dau` or `alert_wau`."""
    rule = settings.quality
    days = stickiness(settings, store, device).days.filter(pl.col("complete"))
    found = []
    for name, factor in (("dau", rule.alert_dau), ("wau", rule.alert_wau)):
        known = days.filter(pl.col(name).is_not_null())
        if not known.height:
            continue
        dates = known["day"].to_list()
        holiday = np.array([day in set(settings.features.holidays) for day in dates])
        calendar = Days((dates[0] - date(1970, 1, 1)).days, holiday)
        limits = Rule(rule.scales, factor, factor)
        odd = odd_of_late(known[name].to_numpy(), calendar, limits, rule.alert_days)
        if odd is not None:
            found.append(_alert(name, odd, dates[odd.start]))
    return found, "looked at" if days.height else "no day of the log has ended"


def _alert(name: str, odd: Odd, since: date) -> Alert:
    way = "fewer" if odd.found < odd.expected else "more"
    return Alert(
        what="activity",
        name=name,
        found=odd.found,
        expected=round(odd.expected, 1),
        since=since,
        severity="warning",
        sentence=f"{way} {WORDS[name]} than the season has, since {since}: {odd.found:,} where "
        f"about {odd.expected:,.0f} were to be expected",
    )
