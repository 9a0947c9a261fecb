"""SQL of purchases."""

from __future__ import annotations

from oracles.duck_base import text, within

from features.spec import FeatureSpec


def money(spec: FeatureSpec) -> str:
    if not spec.has_amount:
        return ""
    windows = "".join(
        f""",
        count(paid) filter ({within(w.days)}) as purchases_{w},
        coalesce(sum(paid) filter ({within(w.days)}), 0) as amount_{w},
        avg(paid) filter ({within(w.days)}) as amount_mean_{w}"""
        for w in spec.windows
    )
    usual = "days_between(max(ts), min(ts)) / nullif(count(distinct day) - 1, 0)"
    return f"""
    with actives as (
        select t, user_id, count(distinct day) as days from active group by t, user_id)
    select t, user_id,
        days_between(t, max(ts)) as purchase_recency_days,
        days_between(t, min(ts)) as purchase_tenure_days,
        count(paid) as purchases_total,
        coalesce(sum(paid), 0) as amount_total,
        avg(paid) as amount_mean,
        max(paid) as amount_max,
        stddev_samp(paid) as amount_deviation,
        last(paid order by ts, event, paid, channel nulls first) as amount_last,
        count(*) filter (paid < 0) / nullif(count(paid), 0) as refund_share,
        {usual} as purchase_gap_mean_days,
        days_between(t, max(ts)) / nullif({usual}, 0) as purchase_gap_now_over_mean,
        count(paid) / any_value(days) as purchases_per_active_day{windows}
    from people join actives using (t, user_id) left join purchases using (t, user_id)
    group by t, user_id
    """


def amounts(spec: FeatureSpec) -> str:
    """By kind of event, where several carry amounts."""
    slugs = {name: slug for name, slug in spec.event_slugs.items() if name in spec.priced}
    if not spec.has_amount or len(spec.priced) < 2 or not slugs:
        return ""
    columns, weight = [], "power(2, -days_between(t, ts) / 30)"
    for name, slug in slugs.items():
        mine = f"filter (event = {text(name)} and price is not null)"
        columns += [
            f'coalesce(sum(price) {mine}, 0) as "event_amount_total_{slug}"',
            f'avg(price) {mine} as "event_amount_mean_{slug}"',
        ]
        if month := spec.month:
            recent = f"filter (event = {text(name)} and {within(month.days)})"
            columns.append(f'coalesce(sum(price) {recent}, 0) as "event_amount_{month}_{slug}"')
        if spec.definitions.value.events and name not in spec.definitions.value.events:
            lately = f"sum(price * {weight}) {mine} / sum({weight}) {mine}"
            columns.append(f'{lately} as "event_amount_lately_{slug}"')
    return f"select t, user_id, {', '.join(columns)} from known group by t, user_id"
