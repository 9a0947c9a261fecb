"""Who is at risk: users by risk band, from the scores, and the list of whom to look at first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from report import risk_list
from report.asked import Asked
from report.figures import COUNTS, PERCENT, bars, figure, titled
from report.parts import Column, Filter, Key, Kind, Panel, Section, Table, View
from report.risk_list import ALL, BANDS, CPU
from report.shown import count, day, share
from retention.lifecycle_users import layers_now
from runtime.clock import show
from runtime.collect import collect
from runtime.errors import StoreError
from runtime.settings import Settings
from runtime.tables import open_table
from serving.ranking import Summary, ranked, summarise
from serving.table import SCORES, Scores, scores_path

COLOURS = dict(zip(BANDS, ("$c4", "$c2", "$c1"), strict=True))
BINS = 30
ROUND = 20  # the histogram ends at a multiple of 5 %
STALE_DAYS = 7


@dataclass(frozen=True)
class Risk:
    """`bands`: risk_band, users, expected_value, expected_loss. `bins`: risk_band, bin, users;
    `width`: of a bin, a probability."""

    as_of: datetime
    summary: Summary
    bands: dict[str, dict[str, Any]]
    bins: pl.DataFrame
    width: float

    @property
    def has_value(self) -> bool:
        return self.summary.rank_by == "expected_loss"


def section(asked: Asked) -> Section:
    words = asked.words
    common: dict[str, Any] = {"name": "risk", "title": words("risk.title")}
    try:
        scores = scores_before(asked.settings, asked.store.as_of)
    except StoreError:
        return Section(**common, about=words("risk.about"), nothing=words("risk.nothing"))
    risk = gather(scores)
    standing = layers_now(asked.settings, asked.store, asked.device, cluster=asked.cluster)
    listed = risk_list.gather(scores, risk.summary, standing, asked.page.listed)
    options = tuple((band, words(f"risk.{band}")) for band in (ALL, *BANDS))
    return Section(
        **common,
        about=_about(risk, asked),
        panels=(
            _figure_panel(risk, asked),
            risk_list.panel(listed, asked, valued=risk.has_value),
        ),
        filters=(Filter("band", words("filter.band"), options),),
    )


def gather(scores: Scores) -> Risk:
    summary = summarise(scores.scan())
    rows = ranked(scores.scan(), summary, show(scores.as_of))
    most = collect(scores.scan().select(pl.col("churn_probability").max()), CPU).item()
    width = math.ceil(max(most, 1 / ROUND) * ROUND) / ROUND / BINS
    held = rows.select(
        "risk_band",
        "churn_probability",
        pl.col("expected_value", "expected_loss").fill_null(0.0),
        bin=(pl.col("churn_probability") / width).floor().clip(0, BINS - 1).cast(pl.Int32),
    )
    bins = held.group_by("risk_band", "bin").agg(
        users=pl.len().cast(pl.Int64),
        expected_value=pl.col("expected_value").sum(),
        expected_loss=pl.col("expected_loss").sum(),
    )
    counted = collect(bins.sort("risk_band", "bin"), CPU)
    sums = counted.group_by("risk_band").agg(
        pl.col("users", "expected_value", "expected_loss").sum()
    )
    bands = {row["risk_band"]: row for row in sums.to_dicts()}
    return Risk(scores.as_of, summary, bands, counted, width)


def scores_before(settings: Settings, at: datetime) -> Scores:
    """The newest scores as of `at` or earlier. Raises StoreError where there are none."""
    table = open_table(scores_path(settings), SCORES)
    known = [datetime.fromisoformat(key) for key in table.partitions("as_of_key")]
    instants = [one if one.tzinfo else one.replace(tzinfo=UTC) for one in known]
    if not (there := [one for one in instants if one <= at]):
        raise StoreError(f"{table.path}: no scores as of {show(at)} or earlier")
    return Scores(table, max(there))


def users_of(risk: Risk, band: str) -> int:
    if band == ALL:
        return risk.summary.rows
    return int(risk.bands.get(band, {"users": 0})["users"])


def _about(risk: Risk, asked: Asked) -> str:
    words = asked.words
    found = words(
        "risk.about_scores",
        as_of=day(risk.as_of, asked.zone),
        days=asked.settings.churn.horizon_days,
        high=share(risk.summary.high_above, words.lang),
        low=share(risk.summary.low_below, words.lang),
    )
    if asked.store.as_of - risk.as_of > timedelta(days=STALE_DAYS):
        found += words("risk.stale", days=(asked.store.as_of - risk.as_of).days)
    return found


def _figure_panel(risk: Risk, asked: Asked) -> Panel:
    words = asked.words
    columns: list[tuple[str, Kind]] = [("band", "word"), ("users", "count"), ("share", "share")]
    names = ["expected_value", "expected_loss"] if risk.has_value else []
    columns += [(name, "money") for name in names]
    rows = tuple(
        (
            words(f"risk.{band}"),
            users_of(risk, band),
            users_of(risk, band) / risk.summary.rows,
            *(risk.bands.get(band, {}).get(name, 0.0) for name in names),
        )
        for band in BANDS
    )
    heads = tuple(Column(words(f"column.{name}"), kind) for name, kind in columns)
    views: dict[Key, View] = {
        (band,): View(_told(risk, band, asked), _draw(risk, band, asked), Table(heads, rows))
        for band in (ALL, *BANDS)
    }
    return Panel(
        name="risk-bands",
        title=words("risk.bands"),
        about=words("risk.bands_about"),
        views=views,
        filters=("band",),
    )


def _told(risk: Risk, band: str, asked: Asked) -> str:
    words, every = asked.words, risk.summary.rows
    users = users_of(risk, "high" if band == ALL else band)
    part = share(users / every, words.lang)
    if band == ALL:
        return words("risk.told_all", users=count(every), high=count(users), share=part)
    return words(
        "risk.told_band",
        users=count(users),
        share=part,
        of=count(every),
        band=words(f"risk.{band}"),
    )


def _draw(risk: Risk, band: str, asked: Asked) -> dict[str, Any]:
    """How many users have which probability, coloured by band; the chosen band stands out."""
    words, traces = asked.words, []
    for one, colour in COLOURS.items():
        counts = dict(
            risk.bins.filter(pl.col("risk_band") == one).select("bin", "users").iter_rows()
        )
        x = [(n + 0.5) * risk.width for n in range(BINS)]
        traces.append(
            bars(
                x,
                [counts.get(n, 0) for n in range(BINS)],
                words(f"risk.{one}"),
                colour,
                marker={"color": colour, "opacity": 1 if band in (ALL, one) else 0.2},
                customdata=[[n * risk.width, (n + 1) * risk.width] for n in range(BINS)],
                hovertemplate="%{customdata[0]:.1%}–%{customdata[1]:.1%}: %{y:,}"
                "<extra>%{fullData.name}</extra>",
            )
        )
    x_axis = titled(words("risk.probability"), tickformat=PERCENT, range=[0, BINS * risk.width])
    return figure(
        traces,
        320,
        barmode="stack",
        bargap=0.04,
        xaxis=x_axis,
        yaxis=titled(words("column.users"), **COUNTS),
    )
