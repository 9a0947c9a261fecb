"""Progress on standard error: a bar with a rate and what is left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    def __call__(self, amount: float = 1.0) -> None: ...


@contextmanager
def progress(label: str, total: float | None, unit: str = "buckets") -> Iterator[Advance]:
    """Yields a function that moves the bar on by an amount of `unit`s."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(label, total=total, rate="")

        def advance(amount: float = 1.0) -> None:
            bar.advance(task, amount)
            speed = bar.tasks[task].speed
            if speed:
                bar.update(task, rate=f"{speed:,.1f}/s")

        yield advance


def say(line: str) -> None:
    """One line of news to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
