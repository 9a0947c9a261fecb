"""How good the model is: calibration, gain and metrics of the champion's run, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from report.asked import Asked
from report.figures import PERCENT, figure, line, reach, titled
from report.parts import Column, Fact, Kind, Panel, Section, Table, View, one_view
from report.shown import NOTHING, count, day, factor, number, share
from report.words import Words
from runtime.clock import parse_instant
from runtime.errors import UserError
from training.curves import CURVES
from training.run_files import run_document
from training.runs import RunInfo, pick
from training.tracking import list_runs

# What is told of a run, in this order, and how it is shown.
METRICS: Mapping[str, Kind] = {
    "churn_roc_auc": "number",
    "churn_average_precision": "number",
    "churn_brier": "number",
    "churn_log_loss": "number",
    "churn_ece": "number",
    "churn_base_rate": "share",
    "churn_lift_at_1pct": "factor",
    "churn_lift_at_5pct": "factor",
    "churn_lift_at_10pct": "factor",
    "churn_gain_at_10pct": "share",
    "value_normalized_gini": "number",
    "value_spearman": "number",
    "value_nmae": "number",
    "value_bias": "share",
    "value_coverage_90": "share",
}
LEAD = ("churn_roc_auc", "churn_lift_at_10pct", "churn_ece", "value_normalized_gini")


@dataclass(frozen=True)
class Judged:
    """`curves`: as `training.curves` has them; None for a run that kept none."""

    run: RunInfo
    curves: dict[str, Any] | None


def gather(asked: Asked) -> Judged | None:
    """The champion as it stands, unless it has seen what the as-of hides; None without a model."""
    try:
        run = pick(list_runs(asked.settings), None)
    except UserError:
        return None
    if parse_instant(run.as_of) > asked.store.as_of:
        return None
    return Judged(run, run_document(asked.settings, run, CURVES))


def section(asked: Asked) -> Section:
    words, judged = asked.words, gather(asked)
    common: dict[str, Any] = {"name": "model", "title": words("model.title")}
    if judged is None:
        return Section(**common, about=words("model.about"), nothing=words("model.nothing"))
    run = judged.run
    about = words(
        "model.about_run",
        model=_kind_in(words, run.model),
        as_of=day(parse_instant(run.as_of), asked.zone),
    )
    panels = [_metrics_panel(run.metrics, words)]
    if judged.curves is not None:
        panels = [*_curve_panels(judged.curves, words), *panels]
    return Section(**common, about=about, panels=tuple(panels), facts=_facts(run.metrics, words))


def _kind_in(words: Words, kind: str) -> str:
    return words.table.get(f"model.kind_{kind.replace('-', '_')}", kind)


def _facts(metrics: Mapping[str, float], words: Words) -> tuple[Fact, ...]:
    found = []
    for name in LEAD:
        if name in metrics:
            value = _in_words(metrics[name], METRICS[name], words)
            found.append(Fact(words(f"metric.{name}"), value, words(f"metric.{name}_about")))
    return tuple(found)


def _in_words(value: float, kind: Kind, words: Words) -> str:
    if kind == "share":
        return share(value, words.lang)
    return factor(value) if kind == "factor" else number(value)


def _metrics_panel(metrics: Mapping[str, float], words: Words) -> Panel:
    titles = ("metric", "value", "low", "high", "floor")
    columns = tuple(
        Column(words(f"column.{name}"), "text" if name == "metric" else "said") for name in titles
    )
    rows = []
    for name, kind in METRICS.items():
        if name in metrics:
            values = (metrics.get(f"{name}{end}") for end in ("", "_low", "_high"))
            every = (*values, metrics.get(f"recency_{name}"))
            shown = (NOTHING if one is None else _in_words(one, kind, words) for one in every)
            rows.append((words(f"metric.{name}"), *shown))
    told = words("model.metrics_told", rows=count(metrics.get("test_rows", 0)))
    return Panel(
        name="model-metrics",
        title=words("model.metrics"),
        about=words("model.metrics_about"),
        views=one_view(View(told, None, Table(columns, tuple(rows)))),
    )


def _curve_panels(curves: Mapping[str, Any], words: Words) -> list[Panel]:
    return [
        Panel(
            name="model-calibration",
            title=words("model.calibration"),
            about=words("model.calibration_about"),
            views=one_view(_calibration(curves["calibration"], words)),
        ),
        Panel(
            name="model-gain",
            title=words("model.gain"),
            about=words("model.gain_about"),
            views=one_view(_gain(curves, words)),
        ),
    ]


def _calibration(bins: list[dict[str, float]], words: Words) -> View:
    names: list[tuple[str, Kind]] = [("rows", "count"), ("predicted", "share")]
    names += [("observed", "share"), ("low", "share"), ("high", "share")]
    columns = tuple(Column(words(f"column.{name}"), kind) for name, kind in names)
    rows = tuple(tuple(one[name] for name, _ in names) for one in bins)
    inside = sum(one["low"] <= one["predicted"] <= one["high"] for one in bins)
    told = words("model.calibration_told", inside=inside, bins=len(bins))
    return View(told, _draw_calibration(bins, words), Table(columns, rows))


def _draw_calibration(bins: list[dict[str, float]], words: Words) -> dict[str, Any]:
    top = min(1.0, 1.1 * max(max(one["high"], one["predicted"]) for one in bins))
    points = line(
        [one["predicted"] for one in bins],
        [one["observed"] for one in bins],
        words("column.observed"),
        "$c1",
        mode="markers",
        marker={"size": 8, "color": "$c1"},
        error_y=reach(bins, "observed", "low", "high", "$c1"),
        cliponaxis=False,
        hovertemplate="%{x:.1%} → %{y:.1%}<extra></extra>",
    )
    return figure(
        [_diagonal([0, top], words("model.perfect")), points],
        360,
        xaxis=titled(words("column.predicted"), tickformat=PERCENT, range=[0, top]),
        yaxis=titled(words("column.observed"), tickformat=PERCENT, range=[0, top]),
    )


def _diagonal(ends: list[float], name: str) -> dict[str, Any]:
    style = {"color": "$soft", "width": 1.5, "dash": "dot"}
    return line(ends, ends, name, "$soft", line=style, hoverinfo="skip")


def _gain(curves: Mapping[str, Any], words: Words) -> View:
    columns = [Column(words("column.share_looked_at"), "share")]
    columns.append(Column(words("column.gain"), "share"))
    floor = curves.get("recency")
    rows: list[tuple[Any, ...]] = [(one["share"], one["gain"]) for one in curves["gain"]]
    traces = [
        _diagonal([0, 1], words("model.random")),
        _gain_line(curves["gain"], words("model.this"), "$c1"),
    ]
    if floor:
        columns.append(Column(words("model.recency"), "share"))
        rows = [(*row, one["gain"]) for row, one in zip(rows, floor, strict=True)]
        traces.insert(1, _gain_line(floor, words("model.recency"), "$c2"))
    tenth = next(one["gain"] for one in curves["gain"] if one["share"] >= 0.1 - 1e-9)
    drawn = figure(
        traces,
        360,
        xaxis=titled(words("column.share_looked_at"), tickformat=PERCENT, range=[0, 1]),
        yaxis=titled(words("column.gain"), tickformat=PERCENT, range=[0, 1.01]),
    )
    told = words("model.gain_told", gain=share(tenth, words.lang))
    return View(told, drawn, Table(tuple(columns), tuple(rows)))


def _gain_line(points: list[dict[str, float]], name: str, colour: str) -> dict[str, Any]:
    return line(
        [one["share"] for one in points],
        [one["gain"] for one in points],
        name,
        colour,
        hovertemplate="%{x:.0%}: %{y:.1%}<extra>%{fullData.name}</extra>",
    )
