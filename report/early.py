"""Early behaviours: what those who stay or pay do in their first days, in sentences."""

from __future__ import annotations

import math
from typing import Any

from report import ratios
from report.asked import Asked
from report.parts import Column, Filter, Kind, Panel, Section, Table, View
from report.ratios import Series
from report.shown import count, part_of, share
from report.words import Words
from retention.early import early_markers
from retention.early_markers import LANGUAGES
from runtime.errors import LabelError, UsageError

MOST = 12


def section(asked: Asked) -> Section:
    words = asked.words
    common: dict[str, Any] = {"name": "early", "title": words("early.title")}
    found = gather(asked)
    if found is None or not found["rows"]:
        key = "early.nothing" if found is None else "early.none_kept"
        return Section(**common, about=words("early.about"), nothing=words(key))
    outcomes = [
        name for name in ("stays", "pays") if any(r["outcome"] == name for r in found["rows"])
    ]
    panel = Panel(
        name="early-markers",
        title=words("early.markers"),
        about=words("early.markers_about", **_blanks(found, words)),
        views={(name,): _view(found, name, words) for name in outcomes},
        filters=("outcome",),
    )
    options = tuple((name, words(f"early.{name}")) for name in outcomes)
    return Section(
        **common,
        about=words("early.caution"),
        panels=(panel,),
        filters=(Filter("outcome", words("filter.outcome"), options),),
    )


def gather(asked: Asked) -> dict[str, Any] | None:
    """`EarlyMarkers.to_json()` in the page's language, its rows with `did`: what their users do;
    None where too few users' outcomes are known."""
    try:
        found = early_markers(asked.settings, asked.store, asked.device, cluster=asked.cluster)
    except (LabelError, UsageError):
        return None
    lang, told = asked.words.lang, found.to_json(asked.words.lang)
    for row, one in zip(told["rows"], found.markers, strict=True):
        row["did"] = LANGUAGES[lang].did(one.chosen.candidate)
    return told


def _blanks(found: dict[str, Any], words: Words) -> dict[str, Any]:
    return {
        "searched": count(found["searched"]),
        "users": count(found["validation"]["users"]),
        "since": found["validation"]["since"],
        "until": found["validation"]["until"],
        "false": share(found["false_discovery_rate"], words.lang),
    }


def _view(found: dict[str, Any], outcome: str, words: Words) -> View:
    """The strongest first, and last what is the outcome itself."""
    every = [row for row in found["rows"] if row["outcome"] == outcome]
    ordered = sorted(every, key=lambda row: (row["repeats"], -_ratio(row)))
    rows = ordered[:MOST]
    kinds: list[tuple[str, Kind]] = [("sentence", "text"), ("early_share", "share")]
    kinds += [("with_rate", "share"), ("without_rate", "share"), ("ratio", "factor")]
    kinds += [("low", "factor"), ("high", "factor"), ("adjusted_ratio", "factor")]
    columns = tuple(Column(words(f"column.{name}"), kind) for name, kind in kinds)
    names = ("sentence", "share", "with_rate", "without_rate", "ratio", "ratio_low", "ratio_high")
    body = tuple(tuple(row[name] for name in (*names, "adjusted_ratio")) for row in rows)
    drawn = [
        {
            "told": row["did"],
            "ratio": row["ratio"],
            "low": row["ratio_low"],
            "high": row["ratio_high"],
            "hollow": row["repeats"],
        }
        for row in rows
    ]
    figure = ratios.draw([Series(words("column.ratio"), "$c1", drawn)], words("early.ratio"))
    note = part_of(len(rows), len(every), words)
    return View(rows[0]["sentence"], figure, Table(columns, body, note))


def _ratio(row: dict[str, Any]) -> float:
    """Unknown where none of the others came to the outcome: above all others."""
    return math.inf if row["ratio"] is None else float(row["ratio"])
