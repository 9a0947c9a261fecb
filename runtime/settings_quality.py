"""[quality]: what is wrong enough with the tracking to be told, and to stop the scoring."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from runtime.settings_base import Days, Section

Kind = Literal[  # of a finding; events/findings.py says what each is
    "missing",
    "drop",
    "spike",
    "vanished",
    "appeared",
    "amounts",
    "property",
    "type",
    "repeats",
    "duplicates",
    "late",
    "clock",
    "ahead",
    "gaps",
    "stray",
    "refused",
    "users",
    "case",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


def _known_kind(pattern: str) -> str:
    if pattern.split(":", maxsplit=1)[0] not in KINDS:
        raise ValueError(f"'{pattern}' begins with no kind of finding; write one of {KINDS}")
    return pattern


Ignored = Annotated[str, AfterValidator(_known_kind)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Quality(Section):
    """`gate`: "stop" refuses to score while the tracking is broken, "warn" says so and goes on,
    "off" does not look; it looks at findings of `gate_severity` or worse that reach into the
    `gate_days` days before the as-of. `ignore`: "kind", "kind:event" or "kind:event:channel",
    each with wildcards.

    `scales`: how many deviations off, and `least_drop` and `least_spike`: by what factor, a day's
    volume must be. `least_rise`: of a share (of rows without an amount, of another type). `late`:
    an event that arrives more than so many hours after it happened; `late_share`, `repeat_share`,
    `duplicate_share`, `gap_share`, `refused_share`: from where on it is told.

    Alerts: `alert_p`: how often, by chance, retention is called changed on a day when it has
    not; `alert_dau`, `alert_wau`: by what factor the users of a day or a week must be off;
    `alert_psi`: the shift of scores that is told; `alert_days`: how long ago the newest day of
    what is told may be."""

    gate: Literal["stop", "warn", "off"] = "warn"
    gate_days: Days = 28
    gate_severity: Literal["error", "warning"] = "error"
    ignore: tuple[Ignored, ...] = ()
    scales: float = Field(default=5.0, ge=3)
    least_drop: float = Field(default=2.0, gt=1)
    least_spike: float = Field(default=2.5, gt=1)
    least_rise: Share = 0.2
    late_hours: float = Field(default=24, gt=0)
    late_share: Share = 0.1
    repeat_share: Share = 0.1
    duplicate_share: Share = 0.005
    gap_share: Share = 0.002
    refused_share: Share = 0.01
    alert_p: Share = 0.001
    alert_dau: float = Field(default=1.5, gt=1)
    alert_wau: float = Field(default=1.25, gt=1)
    alert_psi: float = Field(default=0.25, gt=0)
    alert_days: Days = 7
