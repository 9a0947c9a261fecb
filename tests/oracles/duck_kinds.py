"""SQL of kinds of events and channels: one text, written for either column."""

from __future__ import annotations

from collections.abc import Mapping

from oracles.duck_base import text, within

from features.spec import FeatureSpec


def kinds(spec: FeatureSpec) -> str:
    if not spec.has_events:
        return ""
    week, month = spec.week, spec.month
    columns = []
    for name in _names(spec.event_slugs, pools=spec.pools_events):
        mine = f"called = {text(name)}"
        columns += [
            f'count(*) filter ({mine}) as "event_total_{name}"',
            f'count(*) filter ({mine}) / count(*) as "event_share_{name}"',
            f'days_between(t, max(ts) filter ({mine})) as "event_days_since_{name}"',
        ]
        columns += [
            f'count(*) filter ({mine} and {within(w.days)}) as "event_{w}_{name}"'
            for w in {week, month}
            if w
        ]
        if month:
            recent, all_recent = f"{mine} and {within(month.days)}", within(month.days)
            share = f"count(*) filter ({recent}) / nullif(count(*) filter ({all_recent}), 0)"
            columns.append(f'{share} as "event_share_{month}_{name}"')
    return _text(spec, "kinds", _called("event", spec.event_slugs, spec.pools_events), columns)


def channels(spec: FeatureSpec) -> str:
    if not spec.has_channels:
        return ""
    columns = []
    for name in _names(spec.channel_slugs, pools=spec.pools_channels):
        mine = f"called = {text(name)}"
        columns += [
            f'count(*) filter ({mine}) / count(*) as "channel_share_{name}"',
            f'days_between(t, max(ts) filter ({mine})) as "channel_days_since_{name}"',
        ]
        if month := spec.month:
            recent = f"{mine} and {within(month.days)}"
            columns.append(f'count(*) filter ({recent}) as "channel_{month}_{name}"')
    called = _called("channel", spec.channel_slugs, spec.pools_channels)
    return _text(spec, "channels", called, columns)


def _names(slugs: Mapping[str, str], *, pools: bool) -> list[str]:
    return [*slugs.values(), "other"] if pools else list(slugs.values())


def _called(column: str, slugs: Mapping[str, str], pools: bool) -> str:
    """The column's name in the dictionary, null for names that have none."""
    cases = " ".join(f"when {text(name)} then {text(slug)}" for name, slug in slugs.items())
    rest = f"case when {column} is not null then 'other' end" if pools else "null"
    return f"case {column} {cases} else {rest} end" if cases else f"({rest})::varchar"


def _text(spec: FeatureSpec, plural: str, called: str, columns: list[str]) -> str:
    breadth = [f"count(distinct called) as {plural}_total"]
    breadth += [
        f"count(distinct called) filter ({within(w.days)}) as {plural}_{w}" for w in spec.windows
    ]
    marks = ["total", *([str(spec.month)] if spec.month else [])]
    spread = [
        f"""case when count(called) filter (mark = '{mark}') > 0
                then entropy(called) filter (mark = '{mark}' and called is not null)
                end as {plural}_entropy_{mark},
            any_value(concentration) filter (mark = '{mark}') as {plural}_concentration_{mark}"""
        for mark in marks
    ]
    return f"""
    with named as (select *, {called} as called from known),
    spanned as (
        select * from named join spans using (t) where begins is null or ts >= begins),
    counts as (
        select t, user_id, mark, called, count(*) as n from spanned
        where called is not null group by all),
    concentrations as (
        select t, user_id, mark, sum(n * n) / sum(n) ** 2 as concentration
        from counts group by all),
    spreads as (
        select t, user_id, {", ".join(spread)}
        from spanned left join concentrations using (t, user_id, mark) group by t, user_id),
    plain as (
        select t, user_id, {", ".join(breadth + columns)} from named group by t, user_id)
    from plain join spreads using (t, user_id)
    """
