"""What of the GPU's check did not hold: told at once, and gone on, for time on a device is dear."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

MOST_TOLD = 400  # characters


class Verdict:
    """`failed`: the names of what differed or broke, in their order."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Whatever is raised inside is printed as a line, and noted."""
        try:
            yield
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_TOLD]
            print(f"| {name} | FAILED: {told} |", flush=True)
            self.failed.append(name)
