"""SQL of change: span against span, slopes, last week against first."""

from __future__ import annotations

from itertools import pairwise

from oracles.duck_base import within

from features.spec import FeatureSpec

SLOPES = {"4_weeks": (7, 4), "3_months": (30, 3)}


def change(spec: FeatureSpec) -> str:
    columns = [
        "count(*) filter (active and ts < first_ts + interval 7 day) as events_first_week",
        f"""count(*) filter (active and {within(7)})
            / nullif(count(*) filter (active and ts < first_ts + interval 7 day), 0)
            as last_week_over_first""",
    ]
    for recent, longer in pairwise(spec.windows):
        columns.append(_change("events", "count(*)", "active", recent.days, longer.days))
        if spec.has_amount:
            columns.append(_change("amount", "sum(paid)", "true", recent.days, longer.days))
    joined = f"join ({_slopes(spec)}) using (t, user_id)" if spec.windows else ""
    return f"""
    with firsts as (select t, user_id, min(ts) as first_ts from known group by t, user_id),
    compared as (
        select t, user_id, {", ".join(columns)}
        from known join firsts using (t, user_id) group by t, user_id)
    from compared {joined}
    """


def _change(name: str, total: str, counted: str, recent: int, longer: int) -> str:
    now = f"coalesce({total} filter ({counted} and {within(recent)}), 0) / {recent}"
    before = f"{total} filter ({counted} and {within(longer)} and not {within(recent)})"
    return f"""case when {before} > 0
        then ({now}) / ({before} / {longer - recent}) end as {name}_change_{recent}d_{longer}d"""


def _slopes(spec: FeatureSpec) -> str:
    """The straight line nearest to the sums of the last periods; the latest has the place 0."""
    periods = ", ".join(
        f"('{name}', {-k}, {days * k}, {days * (k + 1)})"
        for name, (days, number) in SLOPES.items()
        for k in range(number)
    )
    lines = ", ".join(
        f"regr_slope({measure}, place) filter (line = '{line}') as {measure}_slope_{line}"
        for measure in (("events", "amount") if spec.has_amount else ("events",))
        for line in SLOPES
    )
    inside = "ts >= t - to_days(far) and ts < t - to_days(near)"
    return f"""
    select t, user_id, {lines} from (
        select t, user_id, line, place,
            count(*) filter (active and {inside}) as events,
            coalesce(sum(paid) filter ({inside}), 0) as amount
        from known cross join (values {periods}) as periods(line, place, near, far)
        group by t, user_id, line, place)
    group by t, user_id
    """
