"""SQL of the cutoff's date, and of users beside those first seen as long ago."""

from __future__ import annotations

from oracles.duck_base import text, within

from features.spec import FeatureSpec


def season(spec: FeatureSpec) -> str:
    zone = text(spec.timezone)
    local = f"timezone({zone}, t)"
    columns = [
        f"sin(2 * pi() * dayofyear({local}) / 365.25) as season_sine",
        f"cos(2 * pi() * dayofyear({local}) / 365.25) as season_cosine",
        f"isodow({local}) as cutoff_weekday",
    ]
    if not spec.holidays:
        return f"select t, user_id, {', '.join(columns)} from people"
    listed = ", ".join(f"(timezone({zone}, timestamp '{day} 00:00:00'))" for day in spec.holidays)
    return f"""
    with holidays(starts) as (values {listed}),
    near as (
        select t, min(days_between(starts, t)) filter (starts >= t) as days_to_holiday,
            min(days_between(t, starts)) filter (starts <= t) as days_since_holiday
        from cutoffs cross join holidays group by t)
    select t, user_id, {", ".join(columns)}, near.* exclude (t) from people join near using (t)
    """


def peers(spec: FeatureSpec) -> str:
    if spec.month is None or not spec.peers:
        return ""
    inside = within(spec.month.days)
    values = {
        "events": f"count(*) filter (active and {inside})",
        "active_days": f"count(distinct day) filter (active and {inside})",
        "amount": f"coalesce(sum(paid) filter ({inside}), 0)",
    }
    bands = ", ".join(
        "(" + ", ".join([str(band), *(_number(p.means[band]) for p in spec.peers)]) + ")"
        for band in range(len(spec.peers[0].means))
    )
    mine = ", ".join(f"{values[p.name]} as {p.name}" for p in spec.peers)
    columns = ", ".join(
        f"case when mean_{p.name} > 0 then {p.name} / mean_{p.name} end"
        f' as "{p.name}_{spec.month}_over_peers"'
        for p in spec.peers
    )
    return f"""
    with means(band, {", ".join(f"mean_{p.name}" for p in spec.peers)}) as (values {bands}),
    tenures as (
        select t, user_id, days_between(t, min(ts)) as tenure, {mine}
        from known group by t, user_id),
    banded as (
        select *, case when tenure < 7 then 0 when tenure < 30 then 1 when tenure < 90 then 2
            when tenure < 180 then 3 when tenure < 365 then 4 when tenure < 730 then 5
            else 6 end as band
        from tenures)
    select t, user_id, {columns} from banded join means using (band)
    """


def _number(mean: float | None) -> str:
    return "null::double" if mean is None else f"{mean!r}::double"
