"""Paths: what users do from step to step, whole paths, and which of them precede churn."""

from __future__ import annotations

import math
from typing import Any

from report import ratios
from report.asked import Asked
from report.figures import COLOURS, figure, plain, sankey
from report.parts import Column, Kind, Panel, Section, Table, View, one_view
from report.ratios import Series
from report.shown import NOTHING, count, day, factor, part_of, share
from report.words import Words
from retention.path_churn import PathsBeforeChurn, paths_before_churn
from retention.paths import Asked as PathAsked
from retention.paths import Paths, paths
from runtime.errors import LabelError, UsageError

MOST_STEPS = 4  # more cannot be read in one figure
MOST_EVENTS = 7
LEAST_FLOW = 0.004  # of all paths, for a link to be drawn
MOST_LINKS = 80  # in the table
MOST_PATHS = 20
MOST_COMPARED = 12  # of either side
CHURN, STAYING = "churn", "staying"
SIDES = {CHURN: "$c4", STAYING: "$c1"}


def section(asked: Asked) -> Section:
    words, found = asked.words, gather(asked)
    common: dict[str, Any] = {"name": "paths", "title": words("paths.title")}
    if not found.count:
        return Section(**common, about=words("paths.about"), nothing=words("paths.nothing"))
    panels = [_flow_panel(found, words), _list_panel(found, words)]
    before = _before(asked)
    if before is not None and before.compared:
        panels.append(_before_panel(before, asked))
    return Section(**common, about=_about(found, words), panels=tuple(panels))


def gather(asked: Asked) -> Paths:
    own = asked.settings.paths
    wanted = PathAsked(steps=min(own.steps, MOST_STEPS), top=min(own.top, MOST_EVENTS))
    return paths(asked.settings, asked.store, asked.device, wanted, asked.cluster)


def _before(asked: Asked) -> PathsBeforeChurn | None:
    try:
        return paths_before_churn(asked.settings, asked.store, asked.device, cluster=asked.cluster)
    except (LabelError, UsageError):
        return None


def _about(found: Paths, words: Words) -> str:
    minutes = f"{found.session_gap_minutes:g}"
    return words(f"paths.about_{found.per}", minutes=minutes, steps=found.steps)


def node_in(words: Words, node: str) -> str:
    """A node of a path: an event as it is written, or what is no event in words."""
    if not node.startswith("("):
        return node
    return words.table.get(f"node.{node.strip('()').replace(' ', '_')}", node)


def path_in(words: Words, nodes: list[str]) -> str:
    return " → ".join(node_in(words, node) for node in nodes)


def _flow_panel(found: Paths, words: Words) -> Panel:
    rows = found.transitions.to_dicts()
    kinds: list[tuple[str, Kind]] = [("step", "count"), ("from", "name"), ("to", "name")]
    kinds += [("count", "count"), ("users", "count")]
    columns = tuple(Column(words(f"column.path_{name}"), kind) for name, kind in kinds)
    largest = sorted(rows, key=lambda row: -row["count"])[:MOST_LINKS]
    listed = [row for row in rows if row in largest]
    body = tuple(
        (
            row["step"],
            node_in(words, row["from"]),
            node_in(words, row["to"]),
            row["count"],
            row["users"],
        )
        for row in listed
    )
    note = part_of(len(body), len(rows), words, "page.largest_of")
    view = View(_flow_told(found, words), _draw_flow(found, words), Table(columns, body, note))
    return Panel(
        name="paths-flow",
        title=words("paths.flow"),
        about=words("paths.flow_about", least=share(LEAST_FLOW, words.lang)),
        views=one_view(view),
        wide=True,
    )


def _flow_told(found: Paths, words: Words) -> str:
    top = found.paths.row(0, named=True)
    return words(
        f"paths.flow_told_{found.per}",
        paths=count(found.count),
        users=count(found.users),
        path=path_in(words, top["nodes"]),
        share=share(top["share"], words.lang),
    )


def _draw_flow(found: Paths, words: Words) -> dict[str, Any]:
    """A column a step; an event has one colour in all of them, an end is grey."""
    links = _flows(found)
    places: dict[tuple[int, str], int] = {}
    for row in links:
        for key in ((row["step"], row["from"]), (row["step"] + 1, row["to"])):
            places.setdefault(key, len(places))
    colours = dict(zip(found.kept, COLOURS, strict=False))
    told = [
        f"{plain(node_in(words, row['from']))} → {plain(node_in(words, row['to']))}: "
        f"{count(row['count'])} ({share(row['count'] / found.count, words.lang)})"
        for row in links
    ]
    flows = [
        (places[row["step"], row["from"]], places[row["step"] + 1, row["to"]], row["count"])
        for row in links
    ]
    drawn = sankey(
        [plain(node_in(words, node), 22) for _, node in places],
        [colours.get(node, "$soft") for _, node in places],
        flows,
        told,
        [f"{colours[row['from']]}soft" if row["from"] in colours else "$link" for row in links],
        align="left",
    )
    return figure([drawn], 460, margin={"l": 8, "r": 8, "t": 10, "b": 14})


def _flows(found: Paths) -> list[dict[str, Any]]:
    """The bands that are wide enough, from nodes to which one of them leads."""
    rows = found.transitions.sort("step").to_dicts()
    kept: list[dict[str, Any]] = []
    reached = {(1, row["from"]) for row in rows if row["step"] == 1}
    for row in rows:
        if row["count"] >= LEAST_FLOW * found.count and (row["step"], row["from"]) in reached:
            kept.append(row)
            reached.add((row["step"] + 1, row["to"]))
    return kept


def _list_panel(found: Paths, words: Words) -> Panel:
    kinds: list[tuple[str, Kind]] = [("path", "name"), ("count", "count"), ("share", "share")]
    kinds += [("users", "count"), ("user_share", "share"), ("low", "share"), ("high", "share")]
    columns = tuple(Column(words(f"column.path_{name}"), kind) for name, kind in kinds)
    rows = found.paths[:MOST_PATHS].to_dicts()
    body = tuple(
        (path_in(words, row["nodes"]), *(row[name] for name, _ in kinds[1:])) for row in rows
    )
    of = len(found.paths) + found.rest_paths
    told = part_of(len(rows), of, words) or words("page.in_all", of=count(of))
    return Panel(
        name="paths-list",
        title=words("paths.list"),
        about=words("paths.list_about"),
        views=one_view(View(told, None, Table(columns, body))),
    )


def _before_panel(before: PathsBeforeChurn, asked: Asked) -> Panel:
    words = asked.words
    sure = {side: _side(before, side) for side in SIDES}
    rows = [*sure[CHURN], *sure[STAYING]]
    kinds: list[tuple[str, Kind]] = [("path", "name"), ("users", "count"), ("rate", "share")]
    kinds += [("rate_without", "share"), ("lift", "factor"), ("low", "factor"), ("high", "factor")]
    columns = (*(Column(words(f"column.path_{name}"), kind) for name, kind in kinds),)
    body = tuple(
        (_written(words, row["path"]), *(row[name] for name, _ in kinds[1:])) for row in rows
    )
    blanks = {
        "compared": count(before.compared),
        "days": before.before_days,
        "cutoff": day(before.cutoff, asked.zone),
        "rate": share(before.base_rate, words.lang),
        "users": count(before.users),
        "false": share(before.false_discovery_rate, words.lang),
    }
    told = words("paths.before_none", **blanks)
    if rows:
        first = rows[0]
        side = first["precedes"]
        told = words(
            f"paths.before_{side}",
            path=_written(words, first["path"]),
            lift=NOTHING if first["lift"] is None else factor(first["lift"]),
            **blanks,
        )
    series = [_series(rows, side, words) for side, rows in sure.items()]
    drawn = ratios.draw(series, words("paths.lift"))
    return Panel(
        name="paths-before-churn",
        title=words("paths.before"),
        about=words("paths.before_about", **blanks),
        views=one_view(View(told, drawn, Table(columns, body))),
    )


def _side(before: PathsBeforeChurn, side: str) -> list[dict[str, Any]]:
    """The paths that surely precede it, the strongest first."""
    rows = [row for row in before.rows.to_dicts() if row["precedes"] == side]
    sign = -1 if side == CHURN else 1
    return sorted(rows, key=lambda row: sign * _lift(row))[:MOST_COMPARED]


def _lift(row: dict[str, Any]) -> float:
    """Unknown where none of the others churn: above all others."""
    return math.inf if row["lift"] is None else float(row["lift"])


def _written(words: Words, path: str) -> str:
    return path_in(words, path.split(" > "))


def _series(rows: list[dict[str, Any]], side: str, words: Words) -> Series:
    """How many times as often those who went a path churn; 1 is no more than the others."""
    drawn = [
        {
            "told": _written(words, row["path"]),
            "ratio": row["lift"],
            "low": row["low"],
            "high": row["high"],
            "hollow": False,
        }
        for row in rows
    ]
    return Series(words(f"paths.precedes_{side}"), SIDES[side], drawn)
