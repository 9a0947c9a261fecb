"""Operating layers and tags over time, and who moves from which layer to which."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from functools import lru_cache
from typing import Any

from events.calendar import Period
from report.asked import Asked
from report.figures import COLOURS, COUNTS, PERCENT, bars, column, figure, line, plain, sankey
from report.parts import Column, Filter, Key, Kind, Panel, Section, Table, View, one_view
from report.shown import count, share
from report.words import Words, look_up
from retention.layers import Layers, layers
from runtime.settings import Settings
from runtime.settings_lifecycle import OTHER, Rule

SHOWN: dict[Period, int] = {"day": 30, "week": 26, "month": 24}
DAYS: dict[Period, int] = {"day": 1, "week": 7, "month": 31}
ALL = "all"
LAYER_COLOURS = {
    "new": "$c2",
    "active": "$c1",
    "VIP": "$c3",
    "at risk": "$c4",
    "silent": "$soft",
    OTHER: "$c6",
}

Rows = list[dict[str, Any]]


def section(asked: Asked) -> Section:
    words, found = asked.words, gather(asked)
    told = found.to_json()
    options = [(ALL, words("layers.all"))]
    options += [(name, layer_in(words, name)) for name in layers_of(asked.settings)]
    panels = [_sizes_panel(told, asked), _moves_panel(told, asked)]
    if found.tag_rules:
        panels.append(_tags_panel(told, found, asked))
    return Section(
        name="layers",
        title=words("layers.title"),
        about=words("layers.about", period=words(f"layers.{found.period}")),
        lines=tuple(_rule_in(words, rule) for rule in found.layer_rules),
        panels=tuple(panels),
        filters=(Filter("layer", words("filter.layer"), tuple(options)),),
    )


def gather(asked: Asked) -> Layers:
    period = asked.settings.lifecycle.period
    since = asked.store.covered_until - timedelta(days=DAYS[period] * SHOWN[period])
    return layers(
        asked.settings,
        asked.store,
        asked.device,
        period,
        since=max(since, asked.store.first),
        cluster=asked.cluster,
    )


def layers_of(settings: Settings) -> tuple[str, ...]:
    return (*(rule.name for rule in settings.lifecycle.layers), OTHER)


def layer_in(words: Words, name: str) -> str:
    """The names that come with Holdfast are translated; a project's own stay."""
    return words.table.get(f"layer.{name.replace(' ', '_')}", name)


def _rule_in(words: Words, rule: Rule) -> str:
    """A rule in words: our own in the page's language, a project's as it is written."""
    says = rule.says or rule.rule
    if words.lang == "zh":
        says = _rules_zh().get(says, says)
    return words("layers.rule", name=layer_in(words, rule.name), says=says)


@lru_cache(maxsize=1)
def _rules_zh() -> dict[str, str]:
    return tomllib.loads(look_up("languages/rules_zh.toml"))


def _colours(settings: Settings) -> dict[str, str]:
    """One a layer, the same in every figure."""
    return {
        name: LAYER_COLOURS.get(name, COLOURS[place % len(COLOURS)])
        for place, name in enumerate(layers_of(settings))
    }


def _sizes_panel(told: dict[str, Any], asked: Asked) -> Panel:
    words, rows = asked.words, told["rows"]
    names = [n for n in dict.fromkeys(row["layer"] for row in rows) if _anybody(rows, n)]
    days = list(dict.fromkeys(row["period"] for row in rows))
    users = {(row["period"], row["layer"]): row["users"] for row in rows}
    done = {row["period"]: row["complete"] for row in rows}
    columns = [Column(words("column.period"), "date")]
    columns += [Column(layer_in(words, name), "count") for name in names]
    body = tuple((day, *(users[day, name] for name in names)) for day in days)
    views: dict[Key, View] = {
        (chosen,): View(
            _sizes_told(rows, chosen, words),
            _draw_sizes(days, names, done, chosen, asked),
            Table(tuple(columns), body),
        )
        for chosen in (ALL, *layers_of(asked.settings))
    }
    return Panel(
        name="layers-sizes",
        title=words("layers.sizes"),
        about=words("layers.sizes_about"),
        views=views,
        filters=("layer",),
        along=True,
    )


def _anybody(rows: Rows, name: str) -> bool:
    return any(row["users"] for row in rows if row["layer"] == name)


def _draw_sizes(
    days: list[str],
    names: list[str],
    done: dict[str, bool],
    chosen: str,
    asked: Asked,
) -> dict[str, Any]:
    words, colours, traces = asked.words, _colours(asked.settings), []
    for place, name in enumerate(names, start=1):
        colour, strong = colours[name], 1.0 if chosen in (ALL, name) else 0.2
        pale = [strong if done[day] else strong * 0.45 for day in days]
        traces.append(
            bars(
                column(0),
                column(place),
                plain(layer_in(words, name)),
                colour,
                marker={"color": colour, "opacity": pale},
                hovertemplate="%{x|%Y-%m-%d}: %{y:,}<extra>%{fullData.name}</extra>",
            )
        )
    return figure(
        traces,
        340,
        barmode="stack",
        bargap=0.08,
        xaxis={"type": "date"},
        yaxis=COUNTS,
    )


def _last_day(rows: Rows) -> str | None:
    done = [row["period"] for row in rows if row["complete"]]
    return max(done, default=None)


def _sizes_told(rows: Rows, chosen: str, words: Words) -> str:
    day = _last_day(rows)
    if day is None:
        return words("layers.none_complete")
    here = [row for row in rows if row["period"] == day and row["users"]]
    wanted = [row for row in here if chosen in (ALL, row["layer"])]
    parts = [
        words(
            "layers.part",
            name=layer_in(words, row["layer"]),
            users=count(row["users"]),
            share=share(row["share"], words.lang),
        )
        for row in wanted
    ]
    whole = sum(row["users"] for row in here)
    listed = words("page.comma").join(parts) or words("layers.nobody")
    return words("layers.sizes_told", day=day, users=count(whole), parts=listed)


def _moves_panel(told: dict[str, Any], asked: Asked) -> Panel:
    """Between the ends of the last two periods; those who stay where they are too."""
    words, rows = asked.words, told["movements"]
    day = _last_day(rows)
    here = [row for row in rows if row["period"] == day]
    views: dict[Key, View] = {
        (chosen,): _moves(here, chosen, day, asked) for chosen in (ALL, *layers_of(asked.settings))
    }
    return Panel(
        name="layers-moves",
        title=words("layers.moves"),
        about=words("layers.moves_about"),
        views=views,
        filters=("layer",),
        wide=True,
    )


def _moves(rows: Rows, chosen: str, day: str | None, asked: Asked) -> View:
    words = asked.words
    wanted = [row for row in rows if chosen in (ALL, row["from"], row["to"])]
    kinds: list[tuple[str, Kind]] = [("from", "word"), ("to", "word"), ("users", "count")]
    columns = tuple(Column(words(f"column.path_{name}"), kind) for name, kind in kinds)
    ordered = sorted(wanted, key=lambda row: -row["users"])
    body = tuple(
        (_origin(words, row["from"]), layer_in(words, row["to"]), row["users"]) for row in ordered
    )
    moved = sum(row["users"] for row in wanted if row["from"] not in (None, row["to"]))
    stayed = sum(row["users"] for row in wanted if row["from"] == row["to"])
    came = sum(row["users"] for row in wanted if row["from"] is None)
    if day is None:
        return View(words("layers.none_complete"), None, Table(columns, body))
    key = "layers.moves_told" if chosen == ALL else "layers.moves_told_one"
    sentence = words(
        key,
        day=day,
        moved=count(moved),
        stayed=count(stayed),
        came=count(came),
        layer=layer_in(words, chosen),
    )
    return View(sentence, _draw_moves(wanted, asked) if wanted else None, Table(columns, body))


def _origin(words: Words, name: str | None) -> str:
    return words("layers.came") if name is None else layer_in(words, name)


def _draw_moves(rows: Rows, asked: Asked) -> dict[str, Any]:
    words, known = asked.words, _colours(asked.settings)
    places: dict[tuple[int, str], int] = {}
    labels, colours = [], []
    for side, key in ((0, "from"), (1, "to")):
        for name in sorted({str(row[key] or "") for row in rows}):
            places[side, name] = len(places)
            labels.append(plain(_origin(words, name or None)))
            colours.append(known.get(name, "$link"))
    flows = [(places[0, row["from"] or ""], places[1, row["to"]], row["users"]) for row in rows]
    told = [
        f"{plain(_origin(words, row['from']))} → {plain(layer_in(words, row['to']))}: "
        f"{count(row['users'])}"
        for row in rows
    ]
    return figure(
        [sankey(labels, colours, flows, told)], 360, margin={"l": 8, "r": 8, "t": 10, "b": 14}
    )


def _tags_panel(told: dict[str, Any], found: Layers, asked: Asked) -> Panel:
    words, rows = asked.words, told["tag_rows"]
    names = [rule.name for rule in found.tag_rules]
    days = list(dict.fromkeys(row["period"] for row in rows))
    done = {row["period"]: row["complete"] for row in rows}
    shares = {(row["period"], row["tag"]): row["share"] for row in rows}
    users = {(row["period"], row["tag"]): row["users"] for row in rows}
    columns = [Column(words("column.period"), "date")]
    columns += [Column(layer_in(words, name), "count") for name in names]
    ended = [day for day in days if done[day]]
    traces = [
        line(
            ended,
            [shares[day, name] for day in ended],
            plain(layer_in(words, name)),
            COLOURS[place % len(COLOURS)],
            hovertemplate="%{x|%Y-%m-%d}: %{y:.1%}<extra>%{fullData.name}</extra>",
        )
        for place, name in enumerate(names)
    ]
    body = tuple((day, *(users[day, name] for name in names)) for day in days)
    drawn = figure(traces, 300, xaxis={"type": "date"}, yaxis={"tickformat": PERCENT})
    view = View(
        _tags_told(ended, names, shares, words),
        drawn,
        Table(tuple(columns), body),
    )
    return Panel(
        name="layers-tags",
        title=words("layers.tags"),
        about=" ".join(
            [words("layers.tags_about"), *(_rule_in(words, rule) for rule in found.tag_rules)]
        ),
        views=one_view(view),
        along=True,
    )


def _tags_told(
    ended: list[str], names: list[str], shares: dict[tuple[str, str], float], words: Words
) -> str:
    if not ended:
        return words("layers.none_complete")
    day = ended[-1]
    parts = [
        words("layers.tag", name=layer_in(words, n), share=share(shares[day, n], words.lang))
        for n in names
    ]
    return words("layers.tags_told", day=day, parts=words("page.comma").join(parts))
