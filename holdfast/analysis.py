"""What the commands of analysis share: a store opened as of an instant, and how they print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.app import Config, instant_of, settings_of

if TYPE_CHECKING:
    from events.store import EventStore
    from runtime.settings import Settings

Period = Annotated[str, typer.Option("--period", help="day, week or month.")]


def opened(config: Config, as_of: str | None) -> tuple[Settings, EventStore]:
    from events.store import open_store

    settings = settings_of(config)
    return settings, open_store(settings, instant_of(as_of, settings))


def print_found(title: str, found: dict[str, Any], as_json: bool, rows: str = "rows") -> None:
    from holdfast.output import print_json, print_rows

    print_json(found) if as_json else print_rows(title, found[rows])
