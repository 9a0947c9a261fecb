"""One writer at a time to a store. The lock dies with its process, even under SIGKILL."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StoreError
from runtime.files import make_folder


@contextmanager
def writing_to(store: Path) -> Iterator[None]:
    """Holds the store's lock. Raises StoreError naming the process that holds it already."""
    make_folder(store)
    path = store / ".lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise StoreError(
                f"store {store}: process {holder} is writing to it; wait for it to end"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
