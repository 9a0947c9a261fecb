"""Whom to look at first: the list by risk band and by layer, with value and reasons.

No user's id is on the page unless it is asked for: the rank names a row, as in the export.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import polars as pl

from report.asked import Asked
from report.layers import layer_in, layers_of
from report.parts import Column, Key, Kind, Panel, Table, View
from report.reasons import reason_in
from report.shown import count, part_of
from runtime.clock import show
from runtime.collect import collect
from runtime.device import Device
from serving.ranking import Summary, ranked
from serving.table import Scores

CPU = Device("cpu", "one pass over the scores")
ALL = "all"
BANDS = ("high", "medium", "low")
REASONS = ("reason_1", "reason_2", "reason_3")
MOST_OF_A_LAYER = 20  # there are many layers, and each band is listed in each


@dataclass(frozen=True)
class Listed:
    """`rows`: the first, by rank; `users`: of how many."""

    rows: pl.DataFrame
    users: int


def gather(
    scores: Scores, summary: Summary, standing: pl.DataFrame, listed: int
) -> dict[tuple[str, str], Listed]:
    """By band and layer, ALL of either too. `standing`: user_id and layer; who is not in it is
    in no layer. Lists of a layer have MOST_OF_A_LAYER rows at most, the others `listed`."""
    rows = ranked(scores.scan(), summary, show(scores.as_of)).join(
        standing.lazy(), on="user_id", how="left", maintain_order="left"
    )
    short = min(listed, MOST_OF_A_LAYER)
    place = pl.int_range(pl.len())
    first = (
        (pl.col("rank") <= listed)
        | (place.over("risk_band") < listed)
        | (place.over("layer") < short)
        | (place.over("risk_band", "layer") < short)
    )
    top = collect(rows.filter(first), CPU)
    counts = collect(rows.group_by("risk_band", "layer").agg(users=pl.len()), CPU)
    names = standing["layer"].unique().sort()
    return {
        (band, layer): Listed(
            top.filter(_of(band, layer)).head(listed if layer == ALL else short),
            int(counts.filter(_of(band, layer))["users"].sum()),
        )
        for band, layer in product((ALL, *BANDS), (ALL, *names))
    }


def _of(band: str, layer: str) -> pl.Expr:
    wanted = pl.lit(value=True)
    if band != ALL:
        wanted &= pl.col("risk_band") == band
    return wanted if layer == ALL else wanted & (pl.col("layer") == layer)


def panel(found: dict[tuple[str, str], Listed], asked: Asked, *, valued: bool) -> Panel:
    """`valued`: whether the list is by expected loss."""
    words = asked.words
    kinds = _columns(asked, valued=valued)
    heads = tuple(Column(words(f"column.{name}"), kind) for name, kind in kinds)
    views: dict[Key, View] = {}
    for key in product((ALL, *BANDS), (ALL, *layers_of(asked.settings))):
        here = found.get(key) or Listed(found[ALL, ALL].rows.clear(), 0)
        body = tuple(_row(row, asked, valued=valued) for row in here.rows.to_dicts())
        views[key] = View(_told(here, key[1], asked), None, Table(heads, body))
    return Panel(
        name="risk-list",
        title=words("risk.list"),
        about=words("risk.list_ids" if asked.ids else "risk.list_about"),
        views=views,
        filters=("band", "layer"),
    )


def _told(found: Listed, layer: str, asked: Asked) -> str:
    words = asked.words
    told = part_of(len(found.rows), found.users, words)
    told = told or words("page.in_all", of=count(found.users))
    if layer == ALL:
        return told
    return words("risk.list_layer", layer=layer_in(words, layer)) + told


def _columns(asked: Asked, *, valued: bool) -> list[tuple[str, Kind]]:
    found: list[tuple[str, Kind]] = [("rank", "count")]
    found += [("user_id", "name")] if asked.ids else []
    found += [("band", "word"), ("churn_probability", "share")]
    found += [("expected_value", "money"), ("expected_loss", "money")] if valued else []
    return [*found, ("reasons", "text")]


def _row(row: dict[str, Any], asked: Asked, *, valued: bool) -> tuple[Any, ...]:
    told = [reason_in(asked.words, row[name]) for name in REASONS if row[name]]
    found = [row["rank"], *([row["user_id"]] if asked.ids else [])]
    found += [asked.words(f"risk.{row['risk_band']}"), row["churn_probability"]]
    found += [row["expected_value"], row["expected_loss"]] if valued else []
    return (*found, "; ".join(told))
