"""funnel."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from holdfast.analysis import opened, print_found
from holdfast.app import CONFIG, AsOf, Config, DeviceName, Json, OnDevice, app, device_of


@app.command()
def funnel(
    step: Annotated[list[str], typer.Argument(help="Event names, in order.")],
    config: Config = CONFIG,
    within_days: Annotated[
        float, typer.Option("--within-days", help="The conversion window from the first step.")
    ] = 7,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Who does one thing, then the next, and where they drop."""
    from retention.funnel import funnel as count

    settings, store = opened(config, as_of)
    window = timedelta(days=within_days)
    table = count(settings, store, device_of(device), step, window)
    print_found("Funnel", table.to_json(), as_json)
