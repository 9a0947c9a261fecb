"""early."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.analysis import opened
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

SMALLEST_Q = 0.001  # that is printed as it is


@app.command()
def early(
    config: Config = CONFIG,
    days: Annotated[
        str | None, typer.Option("--days", help="First days looked at, such as 1,3,7.")
    ] = None,
    counts: Annotated[
        str | None, typer.Option("--counts", help="How often it is done, such as 1,2,3,5.")
    ] = None,
    stay_days: Annotated[
        int | None, typer.Option("--stay-days", help="Who is active from that day on has stayed.")
    ] = None,
    pay_days: Annotated[
        int | None, typer.Option("--pay-days", help="Until which day a payment counts.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only users who first came at or after it.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only users who first came before it.")
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option("--users", help="A .csv or .parquet file of the users of one marker."),
    ] = None,
    marker: Annotated[
        int, typer.Option("--marker", min=1, help="Which marker --users lists, by its number.")
    ] = 1,
    top: Annotated[
        int, typer.Option("--top", min=1, help="How many markers of an outcome are printed.")
    ] = 10,
    as_of: AsOf = None,
    cluster: OnCluster = "none",
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Which early behaviours mark those who stay and pay: found on earlier, held to later users."""
    from runtime.lists import check_list
    from runtime.settings_early import changed

    if users is not None:
        check_list(users)
    settings, store = opened(config, as_of)
    options = {"first_days": days, "counts": counts, "stay_days": stay_days, "pay_days": pay_days}
    settings = settings.model_copy(update={"early": changed(settings.early, options)})
    on = device_of(device)
    over = cluster_of(cluster, on)
    begin, end = instant_of(since, settings), instant_of(until, settings)
    _print(_told(settings, store, on, over, begin, end, users, marker), top, as_json)


def _told(
    settings: Settings,
    store: EventStore,
    device: Device,
    cluster: Cluster,
    since: datetime | None,
    until: datetime | None,
    users: Path | None,
    marker: int,
) -> dict[str, Any]:
    from retention.early import early_markers
    from retention.early_users import write_users

    found = early_markers(settings, store, device, since=since, until=until, cluster=cluster)
    told = found.to_json() | {"users_file": None}
    if users is not None:
        rows = write_users(found, marker, users, store, device, cluster)
        told["users_file"] = {"marker": marker, "rows": rows, "path": str(users)}
    return told


def _print(told: dict[str, Any], top: int, as_json: bool) -> None:
    from holdfast.output import print_fields, print_json, print_rows
    from runtime.progress import say

    if as_json:
        print_json(told)
        return
    searched, checked = told["search"], told["validation"]
    print_fields(
        "Early markers",
        {
            "searched": f"{told['searched']:,} candidates, on {_users(searched)}",
            "validated": f"{told['carried_over']} carried over, on {_users(checked)}",
            "kept": f"{told['kept']}, at a false discovery rate of {told['false_discovery_rate']}",
        },
    )
    for outcome, words in told["outcomes"].items():
        rows = [row for row in told["rows"] if row["outcome"] == outcome]
        print_rows(f"Who {outcome} ({words})", [_shown(row) for row in rows[:top]])
        if len(rows) > top:
            say(f"{len(rows) - top} more markers of who {outcome}: --top {len(rows)}, or --json")
    if told["rows"]:
        say("Experiment: the users that each half needs, were the whole difference its doing: one")
        say("half led to it (spared it, where it marks the worse), drawn at random, one as now.")
    for note in (told["caution"], *told["notes"]):
        say(f"note: {note}")
    if told["users_file"]:
        say(f"users: {told['users_file']['rows']:,} in {told['users_file']['path']}")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    q = row["q"]
    return {
        "": row["number"],
        "marker": row["sentence"],
        "q": "<0.001" if q < SMALLEST_Q else f"{q:.3f}",
        "experiment": row["experiment_users"],
    }


def _users(cohorts: dict[str, Any]) -> str:
    from runtime.counted import counted

    span = f"from {cohorts['since']} to before {cohorts['until']}"
    return f"{counted(cohorts['users'], 'users')} first seen {span}"
