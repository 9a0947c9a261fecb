"""SQL of recency, tenure, counts and decay."""

from __future__ import annotations

from oracles.duck_base import within

from features.spec import FeatureSpec


def activity(spec: FeatureSpec) -> str:
    windows = "".join(
        f""",
        count(*) filter ({within(w.days)}) as events_{w},
        count(distinct day) filter ({within(w.days)}) as active_days_{w},
        count(*) filter ({within(w.days)})
            / least(greatest(any_value(tenure), 1), {w.days}) as events_rate_{w}"""
        for w in spec.windows
    )
    return f"""
    with tenures as (
        select t, user_id, days_between(t, min(ts)) as tenure from known group by t, user_id)
    select t, user_id,
        days_between(t, max(ts)) as recency_days,
        any_value(tenure) as tenure_days,
        count(*) as events_total,
        count(distinct day) as active_days_total,
        least(count(distinct day) / greatest(any_value(tenure), 1), 1) as active_day_share,
        count(*) / count(distinct day) as events_per_active_day{windows}
    from active join tenures using (t, user_id)
    group by t, user_id
    """


def decay(spec: FeatureSpec) -> str:
    def decayed(value: str, half_life: int) -> str:
        return f"coalesce(sum({value} * pow(0.5, days_between(t, ts) / {half_life})), 0)"

    columns = [f"{decayed('active::int', d)} as activity_decay_{d}d" for d in (7, 30, 90)]
    if spec.has_amount:
        columns += [f"{decayed('paid', d)} as amount_decay_{d}d" for d in (7, 30, 90)]
    return f"select t, user_id, {', '.join(columns)} from known group by t, user_id"
