"""Progress on standard error: a bar with a rate and what is left on a terminal; elsewhere a line
every half minute."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from runtime.counted import counted, named

LINE_SECONDS = 30.0


class Advance(Protocol):
    def __call__(self, amount: float = 1.0) -> None: ...


class _Work:
    """How far the work under one label has come; told by its threads."""

    def __init__(self, label: str, total: float | None, unit: str, noting: str) -> None:
        self.label, self.total, self.noting = label, total, noting
        self.unit = named(total or 0, unit)
        self.lock = threading.Lock()
        self.done, self.noted, self.told = 0.0, 0, ""
        self.begun = self.spoken = time.monotonic()

    def add(self, done: float = 0.0, noted: int = 0) -> None:
        with self.lock:
            self.done += done
            self.noted += noted

    def counted(self) -> str:
        noted = counted(self.noted, self.noting) if self.noting and self.noted else ""
        return ", ".join(filter(None, (noted, self.told)))

    def left(self) -> str:
        """The time left at the rate so far; of work that tells how it goes."""
        if not self.told or not self.total or not self.done:
            return ""
        seconds = (time.monotonic() - self.begun) * (self.total / self.done - 1)
        return f", {timedelta(seconds=round(seconds))} left"

    def speak(self) -> None:
        """Says a line where the last one is LINE_SECONDS old."""
        with self.lock:
            due = time.monotonic() - self.spoken >= LINE_SECONDS
            self.spoken = time.monotonic() if due else self.spoken
        if due:
            of = "" if self.total is None else f" of {self.total:,.0f}"
            noted = self.counted() and f", {self.counted()}"
            say(f"{self.label}: {self.done:,.0f}{of} {self.unit}{noted}{self.left()}")


_shown: list[_Work] = []  # the innermost last
_spoken: list[_Work] = []  # those of them that are told in lines


def note(amount: int) -> None:
    """Counts what the steps of the work in front consist of, such as the rows of a file, so that
    a long step is seen to go on. Of no effect where nothing is shown, as in a cluster's worker."""
    for work in _shown[-1:]:
        work.add(noted=amount)
    for work in _spoken[-1:]:
        work.speak()


def tell(text: str) -> None:
    """Says how the work in front goes, such as its loss; shown until something else is told."""
    for work in _shown[-1:]:
        work.told = text


@contextmanager
def progress(
    label: str, total: float | None, unit: str = "buckets", noting: str = ""
) -> Iterator[Advance]:
    """Yields a function that moves the bar on by an amount of `unit`s; `noting`: the unit of what
    the work counts with `note`."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    work = _Work(label, total, unit, noting)

    class Counted(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(work.counted())

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(work.unit),
        Counted(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    lists = [_shown] if console.is_terminal else [_shown, _spoken]
    for each in lists:
        each.append(work)
    try:
        with bar:
            task = bar.add_task(label, total=total, rate="")

            def advance(amount: float = 1.0) -> None:
                work.add(done=amount)
                bar.advance(task, amount)
                speed = bar.tasks[task].speed
                if speed:
                    bar.update(task, rate=f"{speed:,.1f}/s")
                if not console.is_terminal:
                    work.speak()

            yield advance
    finally:
        for each in lists:
            each.remove(work)


def say(line: str) -> None:
    """One line of news to standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
