"""SQL of renewals, cancellations, failed payments and support contacts."""

from __future__ import annotations

from oracles.duck_base import one_of, within

from features.spec import FeatureSpec


def subscription(spec: FeatureSpec) -> str:
    churn = spec.definitions.churn
    if churn.kind == "passive" or not churn.events:
        return ""
    since = "days_between(t, max(ts) filter (ends))"
    if churn.kind == "active":
        columns = f"count(*) filter (ends) as endings_total, {since} as ending_days_since"
    else:
        columns = f"""
            count(*) filter (ends) as renewals_total,
            {since} as renewal_days_since,
            {since} / {churn.period_days} as cycle_position,
            days_between(max(ts) filter (ends) + interval {churn.period_days} day
                + interval {churn.grace_days} day, t) as days_to_lapse"""
    return f"select t, user_id, {columns} from known group by t, user_id"


def troubles(spec: FeatureSpec) -> str:
    columns = []
    for role, events in spec.roles:
        mine = one_of("event", events)
        columns += [
            f"count(*) filter ({mine}) as {role}_total",
            f"days_between(t, max(ts) filter ({mine})) as {role}_days_since",
            f"""count(*) filter ({mine})
                / nullif(count(distinct day) filter (active), 0) as {role}_per_active_day""",
        ]
        columns += [
            f"count(*) filter ({mine} and {within(w.days)}) as {role}_{w}" for w in spec.windows
        ]
    if not columns:
        return ""
    return f"select t, user_id, {', '.join(columns)} from known group by t, user_id"
