"""retention."""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.analysis import Period, opened, print_found
from holdfast.app import CONFIG, AsOf, Config, DeviceName, Json, OnDevice, app, device_of


@app.command()
def retention(
    config: Config = CONFIG,
    mode: Annotated[str, typer.Option("--mode", help="bracket, nday or rolling.")] = "bracket",
    period: Period = "week",
    periods: Annotated[
        int | None, typer.Option("--periods", help="How many after the anchor.")
    ] = None,
    clock: Annotated[
        str, typer.Option("--clock", help="calendar, or elapsed: 24 hours from the anchor.")
    ] = "calendar",
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """Of the users who came in a period, how many were active so much later."""
    from retention.curve import retention as count

    settings, store = opened(config, as_of)
    table = count(settings, store, device_of(device), mode, period, periods, clock=clock)
    print_found("Retention, all cohorts", table.to_json(), as_json, rows="overall")
