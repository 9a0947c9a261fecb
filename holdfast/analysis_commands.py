"""retention, funnel, lifecycle."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.app import (
    CONFIG,
    AsOf,
    Config,
    DeviceName,
    Json,
    OnDevice,
    app,
    device_of,
    instant_of,
    settings_of,
)

if TYPE_CHECKING:
    from events.store import EventStore
    from runtime.settings import Settings

Period = Annotated[str, typer.Option("--period", help="day, week or month.")]


def _opened(config: Config, as_of: str | None) -> tuple[Settings, EventStore]:
    from events.store import open_store

    settings = settings_of(config)
    return settings, open_store(settings, instant_of(as_of, settings))


def _print(title: str, found: dict[str, Any], as_json: bool, rows: str = "rows") -> None:
    from holdfast.output import print_json, print_rows

    print_json(found) if as_json else print_rows(title, found[rows])


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

    settings, store = _opened(config, as_of)
    table = count(settings, store, device_of(device), mode, period, periods, clock=clock)
    _print("Retention, all cohorts", table.to_json(), as_json, rows="overall")


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

    settings, store = _opened(config, as_of)
    window = timedelta(days=within_days)
    table = count(settings, store, device_of(device), step, window)
    _print("Funnel", table.to_json(), as_json)


@app.command()
def lifecycle(
    config: Config = CONFIG,
    period: Period = "week",
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    as_json: Json = False,
) -> None:
    """New, returning, resurrected and dormant users by period."""
    from retention.lifecycle import lifecycle as count

    settings, store = _opened(config, as_of)
    _print("Lifecycle", count(settings, store, device_of(device), period).to_json(), as_json)
