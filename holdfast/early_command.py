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
    from runtime.settings import Settings

SHOWN = ("number", "sentence", "q")


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
    as_of: AsOf = None,
    cluster: OnCluster = "none",
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Which early behaviours mark those who stay and pay: found on earlier, held to later users."""
    from retention.early import early_markers
    from retention.early_users import check_users_file, write_users

    if users is not None:
        check_users_file(users)
    settings, store = opened(config, as_of)
    settings = _with(
        settings, first_days=days, counts=counts, stay_days=stay_days, pay_days=pay_days
    )
    on = device_of(device)
    where = cluster_of(cluster, on)
    found = early_markers(
        settings,
        store,
        on,
        since=instant_of(since, settings),
        until=instant_of(until, settings),
        cluster=where,
    )
    told = found.to_json()
    if users is not None:
        rows = write_users(found, marker, users, store, on, cluster=where)
        told["users_file"] = {"marker": marker, "rows": rows, "path": str(users)}
    _print(told, as_json)


def _with(settings: Settings, **options: Any) -> Settings:
    """The settings with [early] as the options say."""
    from retention.early_options import with_options

    return with_options(settings, options)
