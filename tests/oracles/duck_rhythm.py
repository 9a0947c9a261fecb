"""SQL of sessions, hours and weekdays."""

from __future__ import annotations

from features.spec import FeatureSpec

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PARTS = ("night", "morning", "afternoon", "evening")


def sessions(spec: FeatureSpec) -> str:
    """A window's sessions are found among the window's rows alone. Events of one instant are of
    one session in whatever order they come: the count below takes them together."""
    if not spec.has_times:
        return ""
    columns = ", ".join(
        f"""
        count(*) filter (mark = '{mark}') as sessions_{mark},
        avg(minutes) filter (mark = '{mark}') as session_minutes_{mark},
        avg(depth) filter (mark = '{mark}') as session_depth_{mark}"""
        for mark in ("total", *map(str, spec.windows))
    )
    return f"""
    with steps as (
        select t, user_id, mark, ts, ts - lag(ts) over w as pause
        from active join spans using (t) where begins is null or ts >= begins
        window w as (partition by t, user_id, mark order by ts)),
    numbered as (
        select *, count(*) filter (pause is null
                or epoch_us(pause) > {spec.session_gap_minutes * 60_000_000})
            over (partition by t, user_id, mark order by ts) as session
        from steps),
    found as (
        select t, user_id, mark, session, count(*) as depth,
            (epoch_us(max(ts)) - epoch_us(min(ts))) / 60e6 as minutes
        from numbered group by t, user_id, mark, session)
    select t, user_id, {columns},
        count(*) filter (mark = 'total' and depth = 1)
            / count(*) filter (mark = 'total') as session_bounce_share,
        max(minutes) filter (mark = 'total') as session_minutes_max,
        max(depth) filter (mark = 'total') as session_depth_max
    from found group by t, user_id
    """


def rhythm(spec: FeatureSpec) -> str:
    columns = [
        f"count(*) filter (isodow(wall) = {number}) / count(*) as {name}_share"
        for number, name in enumerate(WEEKDAYS, 1)
    ]
    columns += [
        "count(*) filter (isodow(wall) in (6, 7)) / count(*) as weekend_share",
        "entropy(isodow(wall)) as weekday_entropy",
    ]
    if spec.has_times:
        columns += [
            f"count(*) filter (hour(wall) // 6 = {number}) / count(*) as {part}_share"
            for number, part in enumerate(PARTS)
        ]
        columns.append("entropy(hour(wall) // 3) as hour_entropy")
    return f"select t, user_id, {', '.join(columns)} from active group by t, user_id"
