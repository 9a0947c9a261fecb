"""SQL of gaps, the present silence and streaks."""

from __future__ import annotations

from features.spec import FeatureSpec

STEPS = "(1), (2), (3), (5), (7), (10), (14), (21), (30), (45), (60), (90), (180), (365)"


def gaps(spec: FeatureSpec) -> str:
    return f"""
    with days as (select distinct t, user_id, day from active),
    stepped as (
        select *, day - lag(day) over w as gap from days
        window w as (partition by t, user_id order by day)),
    paired as (
        select *, lag(gap) over w as before,
            count(*) filter (gap is distinct from 1) over w as run
        from stepped window w as (partition by t, user_id order by day)),
    streaks as (
        select t, user_id, run, count(*) as length from paired group by t, user_id, run),
    streaks_of as (
        select t, user_id, max(length) as longest, arg_max(length, run) as newest
        from streaks group by t, user_id),
    silences as (
        select t, user_id, days_between(t, max(ts)) as silence from active group by t, user_id),
    reached as (
        select t, user_id, any_value(silence) as silence, coalesce(max(step), 0) as step
        from silences left join (values {STEPS}) as steps(step) on step <= silence
        group by t, user_id)
    select t, user_id,
        avg(gap) as gap_mean_days,
        stddev_samp(gap) as gap_deviation_days,
        max(gap) as gap_max_days,
        arg_max(gap, day) filter (gap is not null) as gap_last_days,
        (stddev_samp(gap) - avg(gap)) / (stddev_samp(gap) + avg(gap)) as gap_burstiness,
        case when count(distinct gap) filter (before is not null) > 1
                and count(distinct before) > 1
            then corr(gap, before) end as gap_memory,
        any_value(silence) / avg(gap) as gap_now_over_mean,
        any_value(silence) / max(gap) as gap_now_over_max,
        count(*) filter (gap <= step) / nullif(count(gap), 0) as gap_now_quantile,
        any_value(longest) as streak_max_days,
        any_value(newest) as streak_last_days
    from paired join streaks_of using (t, user_id) join reached using (t, user_id)
    group by t, user_id
    """
