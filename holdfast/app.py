"""The Typer application and the options that every command shares."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from runtime.cluster import Cluster
    from runtime.device import Device
    from runtime.settings import Settings

app = typer.Typer(
    name="holdfast",
    help="From raw event logs to a checked CRM list: who is leaving, what they are worth, and why.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class DeviceName(StrEnum):
    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


Config = Annotated[
    Path, typer.Option("--config", "-c", help="The project's holdfast.toml.", show_default=True)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Work as if it were this date or instant; nothing at or after it is read. "
        "Default: just after the last event.",
    ),
]
OnDevice = Annotated[DeviceName, typer.Option("--device", help="Where to run; auto says why.")]
OnCluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        metavar="none|local[:N]|cuda|tcp://HOST:PORT",
        help="What files and buckets are worked on by: this process, N processes of this machine, "
        "one a GPU, or the workers of a Dask scheduler.",
    ),
]

CONFIG = Path("holdfast.toml")


def folder_of(text: str) -> Path:
    """Parses a folder's option. An empty text would be the working folder, which nobody named."""
    if not text:
        raise typer.BadParameter("is empty; name a folder")
    return Path(text)


def settings_of(config: Path) -> Settings:
    from runtime.settings import load_settings

    return load_settings(config)


def instant_of(as_of: str | None, settings: Settings) -> datetime | None:
    from runtime.clock import parse_instant

    return None if as_of is None else parse_instant(as_of, settings.project.timezone)


def device_of(name: DeviceName) -> Device:
    """Decides on the device and says so on standard error."""
    from runtime.device import decide
    from runtime.progress import say

    device = decide(name.value)
    say(f"device: {device.kind} ({device.reason})")
    return device


def cluster_of(text: str, device: Device | None = None) -> Cluster:
    """Reads the option; says so on standard error where it is not this process. `device`: where
    the work runs, None for work that is the CPU's wherever it runs."""
    from runtime.cluster import IN_PROCESS, parse_cluster, require_fitting
    from runtime.progress import say

    cluster = parse_cluster(text)
    if device:
        require_fitting(cluster, device)
    if cluster != IN_PROCESS:
        say(f"cluster: {cluster}")
    return cluster
