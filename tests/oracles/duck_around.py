"""SQL of subscriptions, troubles, peers and the calendar."""

from __future__ import annotations

from oracles.duck_base import one_of, text, within

from features.spec import FeatureSpec

EDGES = (7, 30, 90, 180, 365, 730)


def subscription(spec: FeatureSpec) -> str:
    churn = spec.definitions.churn
    if churn.kind == "passive" or not churn.events:
        return ""
    since = "days_between(t, max(ts) filter (ends))"
    columns = {"endings_total": "count(*) filter (ends)", "ending_days_since": since}
    if churn.kind == "lapse":
        period = churn.period_days or 0
        columns = {
            "renewals_total": "count(*) filter (ends)",
            "renewal_days_since": since,
            "cycle_position": f"{since} / {period}",
            "days_to_lapse": f"{period + churn.grace_days} - {since}",
        }
    return _grouped(columns)


def _grouped(columns: dict[str, str]) -> str:
    listed = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return f"select t, user_id, {listed} from known group by t, user_id"


def troubles(spec: FeatureSpec) -> str:
    columns = {}
    for role, events in spec.roles:
        mine = one_of("event", events)
        columns[f"{role}_total"] = f"count(*) filter ({mine})"
        for w in spec.windows:
            columns[f"{role}_{w}"] = f"count(*) filter ({mine} and {within(w.days)})"
        columns[f"{role}_days_since"] = f"days_between(t, max(ts) filter ({mine}))"
        columns[f"{role}_per_active_day"] = (
            f"count(*) filter ({mine}) / nullif(count(distinct day) filter (active), 0)"
        )
    return _grouped(columns) if columns else ""


def peers(spec: FeatureSpec) -> str:
    month = spec.month
    if month is None or not spec.peers:
        return ""
    recent = within(month.days)
    mine = {
        "events": f"count(*) filter (active and {recent})",
        "active_days": f"count(distinct day) filter (active and {recent})",
        "amount": f"coalesce(sum(paid) filter ({recent}), 0)",
    }
    tenure = "days_between(t, min(ts))"
    columns = {}
    for learned in spec.peers:
        whens = "".join(
            f" when {tenure} >= {edge} then {_number(mean)}"
            for edge, mean in reversed(list(zip(EDGES, learned.means[1:], strict=True)))
        )
        mean = f"nullif(case{whens} else {_number(learned.means[0])} end, 0)"
        columns[f"{learned.name}_{month}_over_peers"] = f"{mine[learned.name]} / {mean}"
    return _grouped(columns)


def _number(value: float | None) -> str:
    return "null::double" if value is None else f"{value!r}::double"


def season(spec: FeatureSpec) -> str:
    if spec.set != "full":
        return ""
    wall = f"timezone({text(spec.timezone)}, t)"
    columns = {
        "season_sine": f"sin(dayofyear({wall}) * 2 * pi() / 365.25)",
        "season_cosine": f"cos(dayofyear({wall}) * 2 * pi() / 365.25)",
        "cutoff_weekday": f"isodow({wall})",
    }
    if spec.holidays:
        days = ", ".join(
            f"days_between(timezone({text(spec.timezone)}, timestamp '{day} 00:00:00'), t)"
            for day in spec.holidays
        )
        columns["days_to_holiday"] = f"list_min(list_filter([{days}], lambda d: d >= 0))"
        columns["days_since_holiday"] = f"-list_max(list_filter([{days}], lambda d: d <= 0))"
    listed = ", ".join(f"{value} as {name}" for name, value in columns.items())
    return f"select t, user_id, {listed} from people"
