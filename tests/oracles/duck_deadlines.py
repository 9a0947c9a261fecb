"""SQL of days that events name in advance."""

from __future__ import annotations

from oracles.duck_base import text

from features.properties import Deadline
from features.spec import FeatureSpec

PARTS = {"ymd": (1, 2, 3), "compact": (1, 2, 3), "dmy": (3, 2, 1), "mdy": (3, 1, 2)}
SHAPES = {
    "ymd": r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})",
    "compact": r"^(\d{4})(\d{2})(\d{2})$",
    "dmy": r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})",
    "mdy": r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})",
}
ORDER = "ts, event, amount nulls first, channel nulls first, properties nulls first"


def deadlines(spec: FeatureSpec) -> str:
    if not spec.deadlines:
        return ""
    columns = []
    for one, slug in zip(spec.deadlines, spec.deadline_slugs, strict=True):
        day = _day(one)
        known = f"filter ({day} is not null)"
        latest = f"last({day} order by {ORDER}) {known}"
        columns += [
            f'-days_between(t, {latest}) as "deadline_latest_{slug}"',
            f'-days_between(t, max({day})) as "deadline_furthest_{slug}"',
            f'-days_between(last(ts order by {ORDER}) {known}, {latest}) as "deadline_span_{slug}"',
        ]
    return f"select t, user_id, {', '.join(columns)} from known group by t, user_id"


def _day(one: Deadline) -> str:
    path = text(f'$."{one.name}"')
    held = f"json_extract_string(properties, {path})"
    if one.layout == "epoch_s":
        seconds = f"try_cast({held} as double)"
        found = f"to_timestamp(floor({seconds} / 86400) * 86400)"
    else:
        year, month, day = (
            f"lpad(regexp_extract({held}, '{SHAPES[one.layout]}', {part}), {width}, '0')"
            for part, width in zip(PARTS[one.layout], (4, 2, 2), strict=True)
        )
        found = f"(try_cast({year} || '-' || {month} || '-' || {day} as date))::timestamptz"
    return f"case when year({found}) between 1990 and 2099 then {found} end"
