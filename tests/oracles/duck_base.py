"""The tables that every family's SQL reads, and how a spec's names are written in SQL.

    cutoffs     t
    spans       t, mark, begins: ever ('total', begins is null) and each window
    known       one row an event that had happened and arrived before each cutoff: t, user_id,
                ts, event, amount, channel;
                wall and day (on the clock of the spec's time zone), active, paid (the amount
                that counts toward value), price (any amount), ends (one of the churn events)
    active      known, activities only
    purchases   known, with an amount only
    people      t, user_id of everyone eligible
    users       the users table

`days_between(t, ts)` is the time between two instants in days.
"""

from __future__ import annotations

from collections.abc import Iterable

from features.spec import FeatureSpec


def text(value: str) -> str:
    """A string as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def one_of(column: str, names: Iterable[str] | None) -> str:
    """Whether a column holds one of the names; None for any."""
    if names is None:
        return "true"
    return f"list_contains([{', '.join(map(text, names))}]::varchar[], {column})"


def within(days: int) -> str:
    """Whether a row lies in the last so many days; an edge belongs to them."""
    return f"ts >= t - interval {days} day"


def tables(spec: FeatureSpec) -> list[str]:
    """The statements that make them from `log`, `users` and `cutoffs`."""
    meant, activity = spec.definitions, spec.definitions.activity
    windows = "".join(f", ('{w}', {w.days})" for w in spec.windows)
    return [
        "create macro days_between(t, ts) as (epoch_us(t) - epoch_us(ts)) / 86400e6",
        f"""create temp table spans as
            select t, mark, t - to_days(days::int) as begins
            from cutoffs, (values ('total', null){windows}) as listed(mark, days)""",
        f"""create temp table known as
            select t, log.*,
                timezone({text(spec.timezone)}, ts) as wall,
                timezone({text(spec.timezone)}, ts)::date as day,
                {one_of("event", activity.events)}
                    and not {one_of("event", activity.exclude)} as active,
                case when amount is not null then greatest(least(amount, 1e30), -1e30) end as price,
                case when {one_of("event", meant.value.events)} then price end as paid,
                {one_of("event", meant.churn.events)} as ends
            from log join cutoffs on ts < t and coalesce(received < t, true)""",
        "create temp table active as from known where active",
        "create temp table purchases as from known where paid is not null",
        f"create temp table people as {eligible(spec)}",
    ]


def eligible(spec: FeatureSpec) -> str:
    within_days, churn = spec.definitions.eligible.within_days, spec.definitions.churn
    asked = ["max(ts) filter (active) is not null"]
    if within_days is not None:
        asked.append(f"max(ts) filter (active) >= t - interval {within_days} day")
    if churn.kind == "lapse":
        term = (churn.period_days or 0) + churn.grace_days
        asked.append(f"max(ts) filter (ends) + interval {term} day > t")
    if churn.kind == "active":
        came_back = "max(ts) filter (active and not ends) > max(ts) filter (ends)"
        asked.append(f"(max(ts) filter (ends) is null or {came_back})")
    if churn.kind == "active" and churn.date_column:
        left = f'select "{churn.date_column}" from users where users.user_id = known.user_id'
        asked.append(f"coalesce(({left}) >= t, true)")
    return f"select t, user_id from known group by t, user_id having {' and '.join(asked)}"
