"""quality."""

from __future__ import annotations

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
)

SHOWN = ("severity", "kind", "event", "channel", "property", "first_day", "last_day", "message")


@app.command()
def quality(
    config: Config = CONFIG,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """What is wrong with the tracking, by day, event and channel."""
    from events.quality import quality as look
    from holdfast.analysis import opened
    from holdfast.output import print_json, print_rows

    settings, store = opened(config, as_of)
    on = device_of(device)
    found = look(settings, store, on, cluster_of(cluster, on)).to_json()
    if as_json:
        print_json(found)
        return
    findings = [{name: finding[name] for name in SHOWN} for finding in found["findings"]]
    print_rows("Findings, the worst first", findings)
    for name in ("events", "properties", "quarantine"):
        print_rows(name.capitalize(), found[name])
