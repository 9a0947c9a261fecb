"""lifecycle."""

from __future__ import annotations

from holdfast.analysis import Period, opened, print_found
from holdfast.app import CONFIG, AsOf, Config, DeviceName, Json, OnDevice, app, device_of


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

    settings, store = opened(config, as_of)
    print_found("Lifecycle", count(settings, store, device_of(device), period).to_json(), as_json)
