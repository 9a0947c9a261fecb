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
ACTIVITY = "Activity: means over users"
ACTIVITY_SAYS = """\
frequency: active days of a user; depth: activities a session; breadth: kinds of
events; renewal: share of the users before who came again, 95 % interval.
--json has medians and 90 % points."""


def _print(show: Show, found: dict[str, Any], as_json: bool) -> None:
    from holdfast.output import print_json, print_rows

    if as_json:
        print_json(found)
    elif show is Show.states:
        print_rows("Lifecycle", found["rows"])
    elif show is Show.stickiness:
        print_rows("Stickiness", found["rows"])
    elif show is Show.activity:
        print_rows(ACTIVITY, [_activity_in_short(row) for row in found["rows"]])
        typer.echo(ACTIVITY_SAYS)
    elif show is Show.rfm:
        edges = [{"part": name, "edges": told} for name, told in found["edges"].items()]
        print_rows("Edges between the scores", edges)
        print_rows("RFM", found["rows"])
    else:
        _print_layers(show, found)


def _activity_in_short(row: dict[str, Any]) -> dict[str, Any]:
    """What 80 columns have room for; a period that has not ended has dashes."""
    from holdfast.output import percent

    names = {"frequency_mean": "frequency", "depth_mean": "depth", "breadth_mean": "breadth"}
    means = {called: row[name] for name, called in names.items()}
    shares = {"renewal": "renewal", "renewal_low": "low", "renewal_high": "high"}
    told = {called: percent(row[name]) for name, called in shares.items()}
    return {"period": row["period"], "users": row["users"], **means, **told}


def _print_layers(show: Show, found: dict[str, Any]) -> None:
    from holdfast.output import print_rows

    if show is not Show.tags:
        print_rows("Layers: the first rule that holds", found["layers"])
    if show is not Show.layers:
        print_rows("Tags: every rule that holds", found["tags"])
    if show is Show.movements:
        print_rows("From layer to layer, by period", found["movements"])
        print_rows("Tags gained and lost, by period", found["tag_movements"])
        return
    rows = found["tag_rows" if show is Show.tags else "rows"]
    print_rows("Users at the end of each period", rows)
