"""lifecycle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.analysis import opened, print_found
from holdfast.app import (
    CONFIG,
    AsOf,
    Config,
    DeviceName,
    Json,
    OnCluster,
    OnDevice,
    app,
    cluster_of,
    device_of,
    instant_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from events.store import EventStore
    from runtime.cluster import Cluster
    from runtime.device import Device
    from runtime.settings import Settings


class Show(StrEnum):
    states = "states"
    stickiness = "stickiness"
    activity = "activity"
    rfm = "rfm"
    layers = "layers"
    tags = "tags"
    movements = "movements"


Instant = Annotated[str | None, typer.Option(metavar="DATE", help="A date or an instant.")]


@app.command()
def lifecycle(
    config: Config = CONFIG,
    show: Annotated[Show, typer.Option(help="What to count; README says what each is.")] = (
        Show.states
    ),
    period: Annotated[
        str | None, typer.Option(help="day, week or month; default: lifecycle.period.")
    ] = None,
    since: Instant = None,
    until: Instant = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Of --users: a day of the period. Of rfm: the instant."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write who they are to FILE (.csv or .parquet)."),
    ] = None,
    state: Annotated[str | None, typer.Option(help="Whose --users: those in this state.")] = None,
    layer: Annotated[str | None, typer.Option(help="Those in this layer.")] = None,
    tag: Annotated[str | None, typer.Option(help="Those with this tag.")] = None,
    segment: Annotated[str | None, typer.Option(help="Those in this cell of rfm: 5-4-5.")] = None,
    came_from: Annotated[
        str | None,
        typer.Option("--from", help="With --layer: of these, who came from this layer, or none."),
    ] = None,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """New, returning, resurrected and dormant users; activity, RFM, layers, tags, movements."""
    from retention.lifecycle_users import Chosen, chosen_users

    settings, store = opened(config, as_of)
    where = device_of(device)
    moment, over = instant_of(at, settings), cluster_of(cluster, where)
    chosen = Chosen(state, layer, tag, segment, came_from, moment, period)
    if users is not None or chosen.anything:
        listed = chosen_users(settings, store, where, users, chosen, cluster=over)
        print_found("Users", listed if as_json else {"rows": [listed]}, as_json)
        return
    begin, end = instant_of(since, settings), instant_of(until, settings)
    asked = Asked(settings, store, where, period, moment, begin, end, over)
    _print(show, COUNTS[show](asked), as_json)


@dataclass(frozen=True)
class Asked:
    settings: Settings
    store: EventStore
    device: Device
    period: str | None
    at: datetime | None
    since: datetime | None
    until: datetime | None
    cluster: Cluster


def _states(a: Asked) -> dict[str, Any]:
    from retention.lifecycle import lifecycle as states

    return states(
        a.settings, a.store, a.device, a.period, since=a.since, until=a.until, cluster=a.cluster
    ).to_json()


def _stickiness(a: Asked) -> dict[str, Any]:
    from retention.stickiness import stickiness

    return stickiness(
        a.settings, a.store, a.device, since=a.since, until=a.until, cluster=a.cluster
    ).to_json()


def _activity(a: Asked) -> dict[str, Any]:
    from retention.activity import activity

    return activity(
        a.settings, a.store, a.device, a.period, since=a.since, until=a.until, cluster=a.cluster
    ).to_json()


def _rfm(a: Asked) -> dict[str, Any]:
    from retention.rfm import rfm

    return rfm(a.settings, a.store, a.device, a.at, cluster=a.cluster).to_json()


def _layers(a: Asked) -> dict[str, Any]:
    from retention.layers import layers

    return layers(
        a.settings, a.store, a.device, a.period, since=a.since, until=a.until, cluster=a.cluster
    ).to_json()


COUNTS = {
    Show.states: _states,
    Show.stickiness: _stickiness,
    Show.activity: _activity,
    Show.rfm: _rfm,
    Show.layers: _layers,
    Show.tags: _layers,
    Show.movements: _layers,
}
TITLES = {
    Show.states: "Lifecycle",
    Show.stickiness: "Stickiness",
    Show.activity: "Activity",
    Show.rfm: "RFM",
}


def _print(show: Show, found: dict[str, Any], as_json: bool) -> None:
    if show is Show.rfm and not as_json:
        edges = [{"part": name, "edges": told} for name, told in found["edges"].items()]
        print_found("Edges between the scores", {"rows": edges}, as_json)
    if as_json or show in TITLES:
        print_found(TITLES.get(show, ""), found, as_json)
        return
    if show is not Show.tags:
        print_found("Layers: the first rule that holds", found, as_json, rows="layers")
    if show is not Show.layers:
        print_found("Tags: every rule that holds", found, as_json, rows="tags")
    if show is Show.movements:
        print_found("From layer to layer, by period", found, as_json, rows="movements")
        print_found("Tags gained and lost, by period", found, as_json, rows="tag_movements")
        return
    rows = "tag_rows" if show is Show.tags else "rows"
    print_found("Users at the end of each period", found, as_json, rows=rows)
