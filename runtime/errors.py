"""Every error a user can meet, in one tree.

    HoldfastError                 exit 1: the work failed
    ├── UserError                 exit 2: the call, the configuration or the data is wrong
    │   ├── UsageError            a command-line value that cannot be meant
    │   ├── SettingsError         holdfast.toml is missing, unreadable or wrong
    │   ├── InputError            a source file or folder that cannot be used
    │   │   └── SchemaError       a column that is missing, doubled or of a wrong type
    │   ├── StoreError            a store that is missing, empty, locked or of another version
    │   ├── LabelError            no matured label, one class only, no eligible user
    │   ├── ModelError            a model or run that is unknown or does not fit the data
    │   ├── ClusterError          no scheduler or worker there, or workers that cannot do the work
    │   └── OutputError           a folder that is full, read-only or not a folder
    ├── TrackingError             the tracking is broken and the gate before scoring stops
    └── BucketError               a bucket failed twice, or its workers died; the others are kept

A message is one line: the thing, the value found, the remedy.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator


class HoldfastError(Exception):
    """Base of all errors that are shown to a user without a traceback."""

    exit_code = 1


class UserError(HoldfastError):
    exit_code = 2


class UsageError(UserError): ...


class SettingsError(UserError): ...


class InputError(UserError): ...


class SchemaError(InputError): ...


class StoreError(UserError): ...


class LabelError(UserError): ...


class ModelError(UserError): ...


class ClusterError(UserError): ...


class OutputError(UserError): ...


class TrackingError(HoldfastError): ...


class BucketError(HoldfastError): ...


_FULL = (
    "no space left on device",
    "os error 28",
    "disk quota exceeded",
    "database or disk is full",  # SQLite
)
_READ_ONLY = (
    "read-only file system",
    "os error 30",
    "permission denied",
    "os error 13",
    "readonly database",  # SQLite
    "unable to open database file",  # SQLite
)


def from_foreign(error: BaseException, doing: str) -> HoldfastError | None:
    """The user's error behind a library's error, or None where it is a fault of ours.

    Libraries wrap the operating system's errors in classes of their own (Delta's `DeltaError`,
    Polars' `ComputeError`), so the text is looked at as well as `errno`, along the whole chain
    of causes.
    """
    for seen in _chain(error):
        text = str(seen).lower()
        number = getattr(seen, "errno", None)
        where = getattr(seen, "filename", None) or doing
        if number in (errno.ENOSPC, errno.EDQUOT) or any(t in text for t in _FULL):
            return OutputError(f"{where}: the disk is full; free some space and run again")
        if number in (errno.EROFS, errno.EACCES, errno.EPERM) or any(t in text for t in _READ_ONLY):
            return OutputError(
                f"{where}: cannot be written (read-only or not permitted); "
                "choose another folder or change its permissions"
            )
        if number == errno.ENAMETOOLONG:
            return OutputError(f"{where}: the name is too long for the file system; shorten it")
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; each once, for an error may be raised from itself."""
    met: set[int] = set()
    seen: BaseException | None = error
    while seen is not None and id(seen) not in met:
        yield seen
        met.add(id(seen))
        seen = seen.__cause__ or seen.__context__
