"""Who is at risk: users by risk band, and the list with value and reasons, from the scores.

No user's id is on the page unless it is asked for: the rank names a row, as in the export.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from report.asked import Asked
from report.figures import PERCENT, bars, figure, titled
from report.parts import Column, Filter, Key, Kind, Panel, Section, Table, View
from report.reasons import reason_in
from report.shown import count, share
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from runtime.errors import StoreError
from runtime.settings import Settings
from runtime.tables import open_table
from serving.ranking import Summary, ranked, summarise
from serving.table import SCORES, Scores, scores_path

CPU = Device("cpu", "one pass over the scores")
BANDS = {"high": "$c4", "medium": "$c2", "low": "$c1"}
ALL = "all"
BINS = 30
ROUND = 20  # the histogram ends at a multiple of 5 %
STALE_DAYS = 7
REASONS = ("reason_1", "reason_2", "reason_3")


@dataclass(frozen=True)
class Risk:
    """`bands`: risk_band, users, expected_value, expected_loss. `bins`: risk_band, bin, users;
    `width`: of a bin, a probability.
    `listed`: the first of each band and of all, by rank."""

    as_of: datetime
    summary: Summary
    bands: dict[str, dict[str, Any]]
    bins: pl.DataFrame
    listed: dict[str, pl.DataFrame]
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
    risk = gather(scores, asked.page.listed)
    options = tuple((band, words(f"risk.{band}")) for band in (ALL, *BANDS))
    return Section(
        **common,
        about=_about(risk, asked),
        panels=(_figure_panel(risk, asked), _list_panel(risk, asked)),
        filters=(Filter("band", words("filter.band"), options),),
    )


def gather(scores: Scores, listed: int) -> Risk:
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
    top = collect(
        rows.with_columns(place=pl.int_range(pl.len()).over("risk_band"))
        .filter((pl.col("place") < listed) | (pl.col("rank") <= listed))
        .drop("place"),
        CPU,
    )
    first = {ALL: top.filter(pl.col("rank") <= listed)}
    first |= {band: top.filter(pl.col("risk_band") == band).head(listed) for band in BANDS}
    return Risk(scores.as_of, summary, bands, counted, first, width)


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
        as_of=show(risk.as_of)[:10],
        days=asked.settings.churn.horizon_days,
        high=share(risk.summary.high_above, words.lang),
        low=share(risk.summary.low_below, words.lang),
    )
    if asked.store.as_of - risk.as_of > timedelta(days=STALE_DAYS):
        found += words("risk.stale", days=(asked.store.as_of - risk.as_of).days)
    return found


def _figure_panel(risk: Risk, asked: Asked) -> Panel:
    words = asked.words
    columns: list[tuple[str, Kind]] = [("band", "text"), ("users", "count"), ("share", "share")]
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
    words, users = asked.words, users_of(risk, band)
    part = share(users / risk.summary.rows, words.lang)
    if band == ALL:
        high = users_of(risk, "high")
        part = share(high / risk.summary.rows, words.lang)
        return words("risk.told_all", users=count(users), high=count(high), share=part)
    return words(
        "risk.told_band",
        users=count(users),
        share=part,
        of=count(risk.summary.rows),
        band=words(f"risk.{band}"),
    )


def _draw(risk: Risk, band: str, asked: Asked) -> dict[str, Any]:
    """How many users have which probability, coloured by band; the chosen band stands out."""
    words, traces = asked.words, []
    for one, colour in BANDS.items():
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
        yaxis=titled(words("column.users"), tickformat="~s"),
    )


def _list_panel(risk: Risk, asked: Asked) -> Panel:
    words = asked.words
    heads = tuple(
        Column(words(f"column.{name}"), kind) for name, kind in _list_columns(risk, asked)
    )
    views: dict[Key, View] = {}
    for band, rows in risk.listed.items():
        users = users_of(risk, band)
        note = words("page.first_of", shown=count(len(rows)), of=count(users))
        body = tuple(_row(row, risk, asked) for row in rows.to_dicts())
        views[band,] = View(note, None, Table(heads, body))
    return Panel(
        name="risk-list",
        title=words("risk.list"),
        about=words("risk.list_ids" if asked.ids else "risk.list_about"),
        views=views,
        filters=("band",),
    )


def _list_columns(risk: Risk, asked: Asked) -> list[tuple[str, Kind]]:
    found: list[tuple[str, Kind]] = [("rank", "count")]
    found += [("user_id", "name")] if asked.ids else []
    found += [("band", "text"), ("churn_probability", "share")]
    if risk.has_value:
        found += [("expected_value", "money"), ("expected_loss", "money")]
    return [*found, ("reasons", "text")]


def _row(row: dict[str, Any], risk: Risk, asked: Asked) -> tuple[Any, ...]:
    told = [reason_in(asked.words, row[name]) for name in REASONS if row[name]]
    found = [row["rank"], *([row["user_id"]] if asked.ids else [])]
    found += [asked.words(f"risk.{row['risk_band']}"), row["churn_probability"]]
    found += [row["expected_value"], row["expected_loss"]] if risk.has_value else []
    return (*found, "; ".join(told))
