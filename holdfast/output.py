"""What a command prints: one JSON object, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any


def as_dict(result: Any) -> dict[str, Any]:
    """A result's fields by name."""
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else dict(result)


def print_json(value: Mapping[str, Any]) -> None:
    """Exactly one object, on one line; numbers that JSON cannot hold become null."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, datetime):
        from runtime.clock import show

        return show(value)
    if isinstance(value, Path | date):
        return str(value)
    if isinstance(value, Iterable):
        return [_plain(v) for v in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    return str(value)


def print_fields(title: str, fields: Mapping[str, Any]) -> None:
    """One result as two columns: name and value."""
    print_rows(title, [{"": k.replace("_", " "), " ": v} for k, v in fields.items()], heads=False)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]], heads: bool = True) -> None:
    """Rows of equal keys as a table; numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    if not rows:
        console.print(f"{title}: nothing")
        return
    table = Table(title=title, title_justify="left", show_header=heads)
    for name in rows[0]:
        value = next((row[name] for row in rows if row[name] is not None), None)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    console.print(table)


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004
    if isinstance(value, list | tuple):
        told = [_shown(v) for v in value]
        return ("\n" if any(", " in one for one in told) else ", ").join(told)
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
