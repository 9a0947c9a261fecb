"""A model's calibration carried from the newest matured cutoff to the present, and how sure.

The model that is measured has its present at the test cutoff, the one that serves at the as-of:
of either only what is known there is looked at (training.level_rows).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from features.time import Cutoff
from runtime.clock import EPOCH, show
from runtime.errors import LabelError
from training import linear, past
from training.binned import Binned
from training.calibration import Calibrator, fit_calibrator
from training.churn_interval import ChurnInterval, churn_interval
from training.churn_level import LevelReport, Scored, Span, churn_level
from training.level_rows import LevelRows, chosen, known_at
from training.linear import LogisticSpec
from training.model import Estimator, Model
from training.rows import Matrix, labelled, matrix
from training.season import Season, moved_by, season_of
from training.split import Slice, Split, user_share

TRIED_ON = LogisticSpec(churn_strength=0.03, value_strength=0.03)
EVERYBODY = (0.0, 1.0)
NO_SEASON = Season()
YOUNG_TRUST = 0.5  # of a log so young that all its cutoffs share outcomes
WORSE = 0.01  # of log loss: more than what is carried costs where nothing has moved
OUTCOME = re.compile(r"churn(_\d+d)?")
NOT_ASKED = LevelRows(pl.DataFrame(), Span(0.0, 0.0), EPOCH, "nobody asked for it")


@dataclass(frozen=True)
class Carried:
    """`model`: with its calibrator moved, its value scaled for the season and, where its drift was
    looked at, its interval of churn; `uncorrected`: the calibrator without. `rows`: of each past
    cutoff `cutoff`, `users`, `base_rate`, `predicted` and `ece` without and with (`..._carried`)
    what was carried, and `candidate`, as the older model had them that the candidates were tried
    on."""

    model: Model
    uncorrected: Calibrator
    interval: ChurnInterval | None
    rows: tuple[dict[str, Any], ...]
    candidate: str
    shift: float
    note: str
    season: Season = NO_SEASON

    @property
    def plain(self) -> Model:
        """The model without what was carried to its probabilities."""
        return replace(self.model, calibrator=self.uncorrected)

    @property
    def params(self) -> dict[str, Any]:
        """For the tracked run."""
        return {
            "calibration_candidate": self.candidate,
            "calibration_shift": self.shift,
            **self.season.params,
        }


def carried(
    model: Model, frame: pl.DataFrame, level: LevelRows, split: Split, served: bool, seed: int
) -> Carried:
    """`frame`: the labelled snapshots that `model` was fitted on and calibrated on; of them those
    of `split` are read that the evaluated model (or the `served` one) was made from.

    The model comes back as it is, and the note says why, where there is nothing to carry by.
    """
    on, by = _roles(split, served)
    now = level.now if served else split.test.cutoffs[0].at
    if why := _why_not(model, level):
        return _left(model, why)
    known = _with_sequences(level, model, level.known(now))
    base = by.rows(frame, seed).filter(pl.col("churn").is_not_null())
    margin = model.churn.margin(model.rows(base))
    line = fit_calibrator(margin, base["churn"].cast(pl.Float64).to_numpy(), smooth=True)
    if line is None:
        return _left(model, "one class only to calibrate on")
    unseen, by_users = _unseen(known, base, on, by, level.span, seed)
    own = _scored(unseen, _predicts(model.churn, model.inputs), on, now, by_users)
    rest = frame.filter(chosen(level.share)) if level.share < 1 else frame
    older = _older(rest, known, model.features, level.span, now, seed)
    trust = YOUNG_TRUST if split.in_one_stage else 1.0
    own_line = (line.slope, line.intercept)
    report = churn_level(own[:-1], own[-1], level.span, older, own_line, trust)
    at, chosen_by = by.cutoffs[0].at, report.chosen
    season = season_of(level, now, at, chosen_by.name, chosen_by.weight)
    odds = report.apply(line).log_odds(own[-1].all.margin)
    return _carried(model, report, season, replace(own[-1].all, margin=odds))


def _with_sequences(level: LevelRows, model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the level with what the model's sequence model says of each, where it has one."""
    if model.sequence is None or level.sequences is None:
        return rows
    return rows.hstack(model.sequence.of_rows(level.sequences, rows))


def newest_rows(
    model: Model, frame: pl.DataFrame, level: LevelRows, split: Split, seed: int
) -> Matrix:
    """Users as the model reads them, shape (n, inputs): those at the newest of the level's cutoffs
    after the test's, of whom no fit has seen an outcome of the horizon. Where there is no such
    cutoff those of the test slice, which the last fit has learned from."""
    if not level.frame.is_empty() and not _lacking(model, level):
        newest = pl.col("cutoff") == level.frame["cutoff"].max()
        later = _with_sequences(level, model, level.frame.filter(newest))
        if later["cutoff"][0] > split.test.cutoffs[0].at:
            return model.rows(later)
    return model.rows(split.test.rows(frame, seed))


def _why_not(model: Model, level: LevelRows) -> str:
    """Why nothing is known of the present, if it is not."""
    if level.why:
        return level.why
    lacking = _lacking(model, level)
    return f"{len(lacking)} features are not known between cutoffs" if lacking else ""


def _lacking(model: Model, level: LevelRows) -> set[str]:
    return set(model.features) - set(level.frame.columns)


def carried_notes(carried_loss: float, left_loss: float) -> tuple[str, ...]:
    """Of the measured model's log losses at the test cutoff, with what was carried and without."""
    if carried_loss - left_loss < WORSE:
        return ()
    return (
        f"churn's log loss at the test cutoff is {carried_loss:.4f} with what was carried to it "
        f"and {left_loss:.4f} without: if it is so at every as-of, set training.level to 'none'",
    )


def _roles(split: Split, served: bool) -> tuple[Slice, Slice]:
    if served:
        return split.served_fit, split.served_calibrate
    return split.fit, split.calibrate


def _left(model: Model, why: str) -> Carried:
    note = f"churn's calibration is not carried to the present: {why}"
    return Carried(model, model.calibrator, None, (), "none", 0.0, note)


def _carried(model: Model, report: LevelReport, season: Season, now: Binned) -> Carried:
    """`now`: the present's users in log-odds as the report has them."""
    interval = None if report.lines is None else churn_interval(report.lines, report.chosen)
    calibrator, more = moved_by(season, report.apply(model.calibrator), now)
    moved = replace(
        model,
        calibrator=calibrator,
        churn_interval=interval or model.churn_interval,
        value_scale=model.value_scale * season.value_factor,
    )
    name, rows = report.chosen.name, _table(report)
    note = f"churn's calibration {report.note}{season.note(more)}"
    uncorrected = model.calibrator
    return Carried(moved, uncorrected, interval, rows, name, report.shift + more, note, season)


def _unseen(
    known: pl.DataFrame, base: pl.DataFrame, on: Slice, by: Slice, span: Span, seed: int
) -> tuple[pl.DataFrame, bool]:
    """Rows that a fit on `on` knew nothing of, and whether they are told apart by users.

    The calibration's cutoff is the newest with a label of the whole horizon: newer such labels
    are outcomes as those of shorter horizons are, and no place to start from.
    """
    by_users = (on.low, on.high) != EVERYBODY
    if by_users:
        share = user_share(seed)
        unseen = known.filter((share < on.low) | (share >= on.high))
    else:
        first = on.cutoffs[0].at + timedelta(days=span.embargo_days)
        unseen = known.filter(pl.col("cutoff") >= first)
    at, full = by.cutoffs[0].at, f"churn_{span.horizon_days:.0f}d"
    newer = pl.col("cutoff") > at
    unseen = unseen.with_columns(
        pl.when(newer).then(pl.col("churn")).alias(full),
        pl.when(~newer).then(pl.col("churn")).alias("churn"),
    )
    if at not in unseen["cutoff"].unique().to_list():
        shared = [name for name in unseen.columns if name in base.columns]
        unseen = pl.concat([unseen, base.select(shared)], how="diagonal_relaxed")
    return unseen, by_users


def _older(
    frame: pl.DataFrame,
    known: pl.DataFrame,
    features: tuple[str, ...],
    span: Span,
    now: datetime,
    seed: int,
) -> list[Scored] | None:
    """All that is known, as scored by a plain model fitted on the oldest cutoffs; None where they
    hold one class only."""
    there = known["cutoff"].unique().to_list()
    main = known_at(frame.select("cutoff", "user_id", *features, "churn"), now, span)
    main = main.filter(~pl.col("cutoff").is_in(there))
    columns = ["cutoff", "user_id", *features, *(n for n in known.columns if OUTCOME.fullmatch(n))]
    both = pl.concat([known.select(columns), main], how="diagonal_relaxed")

    def fit(rows: pl.DataFrame) -> past.Predict:
        found, _ = linear.fit_churn(
            TRIED_ON, labelled(rows.with_columns(value=None), features, "fit", seed)
        )
        return _predicts(found, features)

    embargo = timedelta(days=span.embargo_days)
    try:
        series = past.out_of_time(both, embargo, fit, seed)[0]
    except LabelError:
        return None
    return _ending(past.churn_scores(series), now)


def _scored(
    rows: pl.DataFrame, predict: past.Predict, on: Slice, now: datetime, by_users: bool
) -> list[Scored]:
    series = past.scored_by(rows, predict, on.cutoffs, by_users)
    return _ending(past.churn_scores(series), now)


def _ending(scored: list[Scored], now: datetime) -> list[Scored]:
    """The present last. Where it is no cutoff its users are those of the newest one."""
    day = past.day_of(Cutoff(now))
    if scored[-1].day == day:
        return scored
    return [*scored, Scored(day, scored[-1].all, None)]


def _predicts(estimator: Estimator, features: tuple[str, ...]) -> past.Predict:
    return lambda rows: estimator.margin(matrix(rows, features))


def _table(report: LevelReport) -> tuple[dict[str, Any], ...]:
    """One row for each past cutoff, oldest first."""
    name = report.chosen.name
    each = {(row["day"], row["candidate"]): row for row in report.rows}
    found = []
    for day in sorted({day for day, _ in each}):
        plain, used = each[day, "none"], each.get((day, name), each[day, "none"])
        found.append(
            {
                "cutoff": show(EPOCH + timedelta(days=day)),
                "users": plain["rows"],
                "base_rate": plain["base_rate"],
                "predicted": plain["predicted"],
                "predicted_carried": used["predicted"],
                "ece": plain["ece"],
                "ece_carried": used["ece"],
                "candidate": used["candidate"],
            }
        )
    return tuple(found)
