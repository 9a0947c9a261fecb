"""alerts."""

from __future__ import annotations

import typer

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

ALERTED = 3  # the exit code where something is to be told


@app.command()
def alerts(
    config: Config = CONFIG,
    as_of: AsOf = None,
    device: OnDevice = DeviceName.auto,
    cluster: OnCluster = "none",
    as_json: Json = False,
) -> None:
    """What has changed: activity, retention, scores, tracking. Exit code 3 where an error or a
    warning is told, 0 where none is."""
    from holdfast.analysis import opened
    from holdfast.output import print_json, print_rows
    from serving.alerts import alerts as look

    settings, store = opened(config, as_of)
    on = device_of(device)
    found = look(settings, store, on, cluster_of(cluster, on))
    said = found.to_json()
    if as_json:
        print_json(said)
    else:
        print_rows("Alerts, the worst first", said["alerts"])
        print_rows("Looked at", [{"what": k, "": v} for k, v in said["looked_at"].items()])
    if any(alert.severity != "info" for alert in found.alerts):
        raise typer.Exit(ALERTED)
