"""The level of churn over past cutoffs, scored by one frozen model, and what to do about it now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from training.binned import Binned, Lines, fit_level, fit_lines, rows_at
from training.calibration import Calibrator
from training.level import CANDIDATES, MEASURED, WORDS, Known, Level, Proposal, hazard_carry
from training.level_choice import Chosen, Proposals, Trial, choose, move, stretched, try_all
from training.metrics import calibration_error, log_loss
from training.period import cells, moved
from training.prior_shift import bbse_rate, em_rate, logit

LEAST_ROWS = 2


@dataclass(frozen=True)
class Scored:
    """One cutoff in the log-odds of a model that had not seen it.

    `all`: everyone eligible, outcomes not looked at; `churn`: who has a label (None: not matured
    in the log); `early`: by horizon in days, the same for the outcome of a shorter horizon.
    """

    day: float
    all: Binned
    churn: Binned | None
    early: Mapping[int, Binned] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """When a label is known: `gap_days + horizon_days` after its cutoff. `silence`: churn is that
    nothing happens (else that something does)."""

    gap_days: float
    horizon_days: float
    silence: bool = True

    @property
    def embargo_days(self) -> float:
        return self.gap_days + self.horizon_days


@dataclass(frozen=True)
class LevelReport:
    """`rows`: one for each past cutoff and candidate; `shift`: to add to calibrated log-odds, after
    their distance from `middle` is multiplied by `stretch`."""

    shift: float
    chosen: Chosen
    lines: Lines | None
    rows: tuple[dict[str, Any], ...]
    note: str
    stretch: float = 1.0
    middle: float = 0.0

    def apply(self, calibrator: Calibrator) -> Calibrator:
        """The calibrator of the newest matured cutoff, moved to the present one."""
        return calibrator.moved(self.shift, self.stretch, self.middle)


def churn_level(
    past: Sequence[Scored],
    now: Scored,
    span: Span,
    history: Sequence[Scored] | None = None,
    line: tuple[float, float] | None = None,
    trust: float = 1.0,
) -> LevelReport:
    """How far the level has moved at `now` since the newest matured cutoff of `past`.

    `past`: cutoffs scored by the model that is to be corrected, which had not seen them, `now`
    the present one. `history` (default `past` and `now`): the same cutoffs, `now` among them, and
    older ones as an older model scored them; on it the candidates are tried, and it speaks for
    those that carry the past on. What measures the present (MEASURED) is taken from `past`: how
    far a model goes wrong on users older than any it was fitted on is its own. `line`: slope and
    level of the calibration that is to be moved; default that of the newest matured cutoff.
    `trust`: how far what no past cutoff has tried is followed.

    Of each cutoff only what is known at the one that is looked at is used: labels an embargo old,
    outcomes of d days gap + d days old, and scores. The order of cutoffs does not matter.
    """
    steps = _steps([*past, *(history or ())], span)
    own = _known(_in_order(past), now, span, steps, line)
    if own is None:
        nothing = Chosen("none", 0.0, {}, {}, None, 0.0)
        return LevelReport(0.0, nothing, None, (), "no past cutoff: the level is left as it is")
    older = _in_order([*past, now] if history is None else history)
    matured = [one for one in older if one.day + span.embargo_days <= now.day]
    tried = [found for one in matured if (found := _trial(older, one, span, steps)) is not None]
    proposals = _proposals(own[0], older, now, span, steps)
    chosen = choose([trial for trial, _, _ in tried], proposals, span.embargo_days, trust)
    rows = [row for found in tried for row in _rows(*found, chosen)]
    shift = chosen.shift(proposals)
    stretch, middle = chosen.stretch(proposals)
    note = _note(chosen, shift, stretch, move(proposals[chosen.name], chosen.weight))
    return LevelReport(shift, chosen, own[1], tuple(rows), note, stretch, middle)


def _steps(scored: Sequence[Scored], span: Span) -> tuple[int, ...]:
    """The shorter horizons, in days, by which the horizon is cut."""
    return tuple(sorted({d for one in scored for d in one.early if d < span.horizon_days}))


def _proposals(
    own: Known, older: Sequence[Scored], now: Scored, span: Span, steps: tuple[int, ...]
) -> Proposals:
    """Moves since the newest matured cutoff of `own`, from which the calibration is carried: one of
    `older` that is newer still is no place to start from."""
    measured, since = try_all(own), own.full[-1].day
    older = [one if one.day <= since else replace(one, churn=None) for one in older]
    there = [one for one in older if one.day == now.day]
    seen = _known(older, there[0], span, steps) if there else None
    if seen is None or seen[0].full[-1].day != since:
        return measured
    carried = try_all(seen[0])
    return {name: (measured if name in MEASURED else carried)[name] for name in CANDIDATES}


def _in_order(past: Sequence[Scored]) -> list[Scored]:
    return sorted(past, key=lambda one: one.day)


def _usable(one: Binned | None) -> bool:
    return one is not None and one.rows >= LEAST_ROWS


def _known(
    past: Sequence[Scored],
    now: Scored,
    span: Span,
    steps: tuple[int, ...],
    line: tuple[float, float] | None = None,
) -> tuple[Known, Lines] | None:
    """What is known on the day of `now`, and the lines through the matured cutoffs."""
    full = [
        (one, one.churn)
        for one in past
        if one.day + span.embargo_days <= now.day and one.churn is not None and _usable(one.churn)
    ]
    if not full:
        return None
    slices = [churn for _, churn in full]
    lines = fit_lines(slices)
    levels = _levels([one.day for one, _ in full], lines)
    early = _early(past, now.day, span)
    newest = {days: dict(some).get(levels[-1].day) for days, some in early.items()}
    rate = slices[-1].rate
    known = Known(
        now=now.day,
        embargo_days=span.embargo_days,
        full=levels,
        label_shift=_label_shift(slices[-1], now.all, lines),
        period=by_calendar(past, now, span, steps, line or (lines.slope, float(lines.level[-1]))),
        early={
            days: _levels([day for day, _ in some], fit_lines([b for _, b in some]))
            for days, some in early.items()
        },
        carry={days: hazard_carry(b.rate, rate) if b else 1.0 for days, b in newest.items()},
    )
    return known, lines


def _early(past: Sequence[Scored], now: float, span: Span) -> dict[int, list[tuple[float, Binned]]]:
    """By days of a shorter horizon the cutoffs of which its label has matured; at least two."""
    found = {}
    for days in sorted({days for one in past for days in one.early}):
        some = [
            (one.day, one.early[days])
            for one in past
            if days in one.early
            and one.day + span.gap_days + days <= now
            and _usable(one.early[days])
        ]
        if len(some) > 1:
            found[days] = some
    return found


def by_calendar(
    past: Sequence[Scored],
    now: Scored,
    span: Span,
    ends: tuple[int, ...],
    line: tuple[float, float],
) -> Proposal | None:
    """What `training.period` says of everything that is known at `now`."""
    stretch_days = span.embargo_days / (len(ends) + 1)
    found = []
    for one in past:
        seen: list[Binned] = []
        ages: list[int] = []
        steps = [(days + span.gap_days, one.early.get(days)) for days in ends]
        steps.append((span.embargo_days, one.churn or one.early.get(int(span.horizon_days))))
        for after, churn in steps:
            if churn is None or one.day + after > now.day:
                break
            seen.append(churn)
            ages.append(int((now.day - one.day - after + 1e-6) // stretch_days))
        found += cells(seen, ages, span.silence)
    told = moved(found, *line, now.all, len(ends) + 1, span.silence)
    return None if told is None else Proposal(told.shift, 0.0, told.stretch, told.middle)


def _levels(days: Sequence[float], lines: Lines) -> tuple[Level, ...]:
    found = zip(days, lines.level, lines.error, strict=True)
    return tuple(Level(day, float(level), float(error)) for day, level, error in found)


def _label_shift(newest: Binned, now: Binned, lines: Lines) -> dict[str, float]:
    if not _usable(now):
        return {}
    there = rows_at(newest, lines.slope, float(lines.level[-1]))
    here = rows_at(now, lines.slope, float(lines.level[-1]))
    was = newest.rate
    found = {"em": logit(em_rate(here, now.mass, was)) - logit(was)}
    by_mean = bbse_rate(here, now.mass, there, newest.churn, newest.mass)
    if by_mean is not None:
        found["bbse"] = logit(by_mean) - logit(was)
    return found


def _trial(
    past: Sequence[Scored], one: Scored, span: Span, steps: tuple[int, ...]
) -> tuple[Trial, Lines, Scored] | None:
    """What would have been proposed at a past cutoff, and what was needed there."""
    if one.churn is None or not _usable(one.churn):
        return None
    before = [other for other in past if other.day < one.day]
    seen = _known(before, one, span, steps)
    if seen is None:
        return None
    known, lines = seen
    rate = float(np.mean(rows_at(one.churn, lines.slope, known.full[-1].level)))
    level = fit_level(one.churn, lines.slope, rate)
    p = rows_at(one.churn, lines.slope, level)
    error = float(1 / np.sqrt(max(float(one.churn.mass @ (p * (1 - p))), 0.1)))
    trial = Trial(one.day, level - known.full[-1].level, error, try_all(known))
    return trial, replace(lines, level=np.array([known.full[-1].level])), one


def _rows(trial: Trial, lines: Lines, one: Scored, chosen: Chosen) -> list[dict[str, Any]]:
    """The reliability at one past cutoff under every candidate at its weight."""
    churn = one.churn
    assert churn is not None
    actual = churn.churn / churn.mass
    rows = []
    for name in CANDIDATES:
        proposal = trial.proposals.get(name)
        if proposal is None:
            continue
        weight = chosen.weights.get(name, 0.0)
        stretch, middle = stretched(proposal, weight)
        level = stretch * float(lines.level[0]) + (1 - stretch) * middle + move(proposal, weight)
        p = rows_at(churn, stretch * lines.slope, level)
        rows.append(
            {
                "day": trial.day,
                "candidate": name,
                "chosen": name == chosen.name,
                "rows": int(churn.rows),
                "base_rate": churn.rate,
                "predicted": float(churn.mass @ p / churn.rows),
                "proposed": proposal.shift,
                "weight": weight,
                "needed": trial.needed,
                "ece": float(calibration_error(actual, p, churn.mass)),
                "log_loss": float(log_loss(actual, p, churn.mass)),
            }
        )
    return rows


def _note(chosen: Chosen, shift: float, stretch: float, proposed: float) -> str:
    judged = f"judged at past cutoffs that make {chosen.cutoffs:.1f} independent ones"
    if chosen.name == "none":
        return f"stands as at the newest matured cutoff: no candidate does better, {judged}"
    held = f", which is the most that these allow of {proposed:+.3f}" if proposed != shift else ""
    return (
        f"is carried from the newest matured cutoff to today by {WORDS[chosen.name]} "
        f"({chosen.name}, followed to {chosen.weight:.0%}): log-odds are moved by {shift:+.3f} and "
        f"stretched by {stretch:.2f}, {judged}{held}"
    )
