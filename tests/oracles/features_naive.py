"""Features by the book: plain Python, one user and one loop at a time, straight from the words.

Written from the definitions and not from the plan; slow on purpose. A row is a dict with
`user_id`, `ts` (aware), `event`, `amount` and `channel`.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from features.spec import FeatureSpec

Row = Mapping[str, Any]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
CAP = 1e30


def features(
    log: Sequence[Row], t: datetime, spec: FeatureSpec, users: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Feature values by user and name, of everyone eligible at t."""
    found = {}
    for user in sorted({row["user_id"] for row in log}):
        rows = sorted((r for r in log if r["user_id"] == user and r["ts"] < t), key=_instant)
        if is_eligible(rows, t, spec, users.get(user, {})):
            found[user] = _one(rows, t, spec, users.get(user, {}))
    return found


def _instant(row: Row) -> datetime:
    return row["ts"]


def is_active(row: Row, spec: FeatureSpec) -> bool:
    chosen = spec.activity.events
    return (chosen is None or row["event"] in chosen) and row["event"] not in spec.activity.exclude


def is_purchase(row: Row, spec: FeatureSpec) -> bool:
    chosen = spec.definitions.value.events
    return row["amount"] is not None and (chosen is None or row["event"] in chosen)


def capped(amount: float) -> float:
    return min(max(amount, -CAP), CAP)


def is_eligible(
    rows: Sequence[Row], t: datetime, spec: FeatureSpec, user: Mapping[str, Any]
) -> bool:
    """`rows`: the user's events before t."""
    active = [r for r in rows if is_active(r, spec)]
    if not active:
        return False
    within = spec.definitions.eligible.within_days
    if within is not None and t - active[-1]["ts"] > within * DAY:
        return False
    churn = spec.definitions.churn
    marked = [r["ts"] for r in rows if r["event"] in churn.events]
    if churn.kind == "lapse":
        term = ((churn.period_days or 0) + churn.grace_days) * DAY
        return bool(marked) and marked[-1] + term > t
    if churn.kind == "active":
        left = user.get(churn.date_column) if churn.date_column else None
        if left is not None and left < t:
            return False
        others = [r["ts"] for r in active if r["event"] not in churn.events]
        return not marked or (bool(others) and others[-1] > marked[-1])
    return True


def _one(
    rows: Sequence[Row], t: datetime, spec: FeatureSpec, user: Mapping[str, Any]
) -> dict[str, Any]:
    zone = ZoneInfo(spec.timezone)
    active = [r for r in rows if is_active(r, spec)]
    out: dict[str, Any] = {}
    _activity(out, rows, active, t, spec, zone)
    _gaps(out, active, t, zone)
    if spec.has_amount:
        _money(out, [r for r in rows if is_purchase(r, spec)], t, spec)
    if spec.has_events:
        _kinds(out, rows, t, spec)
    if spec.has_channels:
        _channels(out, rows, t, spec)
    if spec.has_times:
        _sessions(out, active, t, spec)
    _rhythm(out, active, spec, zone)
    _change(out, rows, active, t, spec)
    for attribute in spec.attributes:
        value = user.get(attribute.name)
        if attribute.kind == "number":
            out[f"user_{attribute.name}"] = None if value is None else float(value)
        for category in attribute.categories:
            out[f"user_{attribute.name}_is_{category}"] = int(value == category)
    return out


def _days(length: timedelta) -> float:
    return length / DAY


def _local_days(rows: Sequence[Row], zone: ZoneInfo) -> list[int]:
    return sorted({r["ts"].astimezone(zone).date().toordinal() for r in rows})


def _since(rows: Sequence[Row], start: datetime) -> list[Row]:
    return [r for r in rows if r["ts"] >= start]


def _over(above: float, below: float) -> float | None:
    return above / below if below > 0 else None


def _activity(
    out: dict[str, Any],
    rows: Sequence[Row],
    active: Sequence[Row],
    t: datetime,
    spec: FeatureSpec,
    zone: ZoneInfo,
) -> None:
    days = len(_local_days(active, zone))
    out["recency_days"] = _days(t - active[-1]["ts"])
    out["tenure_days"] = _days(t - rows[0]["ts"])
    out["events_total"] = len(active)
    out["active_days_total"] = days
    out["active_day_share"] = min(days / max(out["tenure_days"], 1), 1)
    out["events_per_active_day"] = len(active) / days
    for window in spec.windows:
        inside = _since(active, t - window.days * DAY)
        out[f"events_{window.days}d"] = len(inside)
        out[f"active_days_{window.days}d"] = len(_local_days(inside, zone))


def _gaps(out: dict[str, Any], active: Sequence[Row], t: datetime, zone: ZoneInfo) -> None:
    days = _local_days(active, zone)
    gaps = [after - day for day, after in itertools.pairwise(days)]
    silence = _days(t - active[-1]["ts"])
    out["gap_mean_days"] = statistics.fmean(gaps) if gaps else None
    out["gap_deviation_days"] = statistics.stdev(gaps) if len(gaps) > 1 else None
    out["gap_max_days"] = max(gaps) if gaps else None
    out["gap_now_over_mean"] = silence / statistics.fmean(gaps) if gaps else None
    out["gap_now_over_max"] = silence / max(gaps) if gaps else None


def _money(out: dict[str, Any], paid: Sequence[Row], t: datetime, spec: FeatureSpec) -> None:
    amounts = [capped(r["amount"]) for r in paid]
    out["purchase_recency_days"] = _days(t - paid[-1]["ts"]) if paid else None
    out["purchase_tenure_days"] = _days(t - paid[0]["ts"]) if paid else None
    out["purchases_total"] = len(paid)
    out["amount_total"] = sum(amounts, 0.0)
    out["amount_mean"] = sum(amounts) / len(paid) if paid else None
    out["amount_max"] = max(amounts) if paid else None
    out["amount_deviation"] = statistics.stdev(amounts) if len(paid) > 1 else None
    for window in spec.windows:
        inside = [capped(r["amount"]) for r in _since(paid, t - window.days * DAY)]
        out[f"purchases_{window.days}d"] = len(inside)
        out[f"amount_{window.days}d"] = sum(inside, 0.0)
        out[f"amount_mean_{window.days}d"] = sum(inside) / len(inside) if inside else None


def _pooled(name: str, known: Mapping[str, str], *, pools: bool) -> str | None:
    return known.get(name, "other" if pools else None)


def _kinds(out: dict[str, Any], rows: Sequence[Row], t: datetime, spec: FeatureSpec) -> None:
    named = [(_pooled(r["event"], spec.event_slugs, pools=spec.pools_events), r) for r in rows]
    out["kinds_total"] = len({kind for kind, _ in named if kind})
    for window in spec.windows:
        start = t - window.days * DAY
        out[f"kinds_{window.days}d"] = len({k for k, r in named if k and r["ts"] >= start})
    month = spec.month
    for kind in [*spec.event_slugs.values(), *(["other"] if spec.pools_events else [])]:
        mine = [r for k, r in named if k == kind]
        out[f"event_total_{kind}"] = len(mine)
        out[f"event_share_{kind}"] = len(mine) / len(rows)
        out[f"event_days_since_{kind}"] = _days(t - mine[-1]["ts"]) if mine else None
        if month:
            out[f"event_{month.days}d_{kind}"] = len(_since(mine, t - month.days * DAY))


def _channels(out: dict[str, Any], rows: Sequence[Row], t: datetime, spec: FeatureSpec) -> None:
    for name in [*spec.channel_slugs.values(), *(["other"] if spec.pools_channels else [])]:
        mine = [
            r
            for r in rows
            if r["channel"] is not None
            and _pooled(r["channel"], spec.channel_slugs, pools=spec.pools_channels) == name
        ]
        out[f"channel_share_{name}"] = len(mine) / len(rows)
        if spec.month:
            days = spec.month.days
            out[f"channel_{days}d_{name}"] = len(_since(mine, t - days * DAY))


def _sessions(out: dict[str, Any], active: Sequence[Row], t: datetime, spec: FeatureSpec) -> None:
    for mark, days in [("total", None), *((f"{w.days}d", w.days) for w in spec.windows)]:
        inside = active if days is None else _since(active, t - days * DAY)
        runs: list[list[datetime]] = []
        for row in inside:
            if runs and row["ts"] - runs[-1][-1] <= spec.session_gap_minutes * MINUTE:
                runs[-1].append(row["ts"])
            else:
                runs.append([row["ts"]])
        minutes = sum((run[-1] - run[0]) / MINUTE for run in runs)
        out[f"sessions_{mark}"] = len(runs)
        out[f"session_minutes_{mark}"] = minutes / len(runs) if runs else None
        out[f"session_depth_{mark}"] = len(inside) / len(runs) if runs else None


def _rhythm(out: dict[str, Any], active: Sequence[Row], spec: FeatureSpec, zone: ZoneInfo) -> None:
    local = [r["ts"].astimezone(zone) for r in active]
    out["weekend_share"] = sum(instant.weekday() in (5, 6) for instant in local) / len(local)
    if spec.has_times:
        for start, part in ((0, "night"), (6, "morning"), (12, "afternoon"), (18, "evening")):
            inside = sum(start <= instant.hour < start + 6 for instant in local)
            out[f"{part}_share"] = inside / len(local)


def _change(
    out: dict[str, Any], rows: Sequence[Row], active: Sequence[Row], t: datetime, spec: FeatureSpec
) -> None:
    paid = [r for r in rows if is_purchase(r, spec)]
    for recent, longer in zip(spec.windows, spec.windows[1:], strict=False):
        prior_days = longer.days - recent.days
        start, middle = t - longer.days * DAY, t - recent.days * DAY
        now = len(_since(active, middle))
        prior = len(_since(active, start)) - now
        name = f"change_{recent.days}d_{longer.days}d"
        out[f"events_{name}"] = _over(now / recent.days, prior / prior_days)
        if spec.has_amount:
            spent = sum((capped(r["amount"]) for r in _since(paid, middle)), 0.0)
            earlier = sum((capped(r["amount"]) for r in _since(paid, start)), 0.0) - spent
            if abs(earlier) <= 1e-9 * max(abs(spent), abs(spent + earlier)):
                earlier = 0.0
            out[f"amount_{name}"] = _over(spent / recent.days, earlier / prior_days)
    first = sum(r["ts"] < rows[0]["ts"] + 7 * DAY for r in active)
    last = len(_since(active, t - 7 * DAY))
    out["events_first_week"] = first
    out["last_week_over_first"] = _over(last, first)
