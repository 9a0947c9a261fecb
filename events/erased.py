"""Who was erased, as keyed hashes: enough to keep them out of a later ingest, not to name them.

`store/erased.json` holds a random key of this store and BLAKE2b hashes of the erased ids under
it, each with twenty bits of another keyed hash: a sieve that lets a frame of a million users
through in milliseconds.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import polars_hash as plh

from runtime.errors import StoreError
from runtime.files import write_json

VERSION = 1
KEY_BYTES = 32
HASH_BYTES = 16
SIEVE = (1 << 20) - 1
_WORDS = re.compile(r"""[\s,;|"'{}\[\]]+""")


@dataclass(frozen=True)
class Erased:
    """The hashes of the erased ids, and where each lies in the sieve."""

    key: bytes
    sieve_of: Mapping[str, int]

    def mark(self, user_id: str) -> str:
        """The keyed hash that stands for an id, as hex."""
        digest = hashlib.blake2b(user_id.encode(), key=self.key, digest_size=HASH_BYTES)
        return digest.hexdigest()

    def has(self, user_id: str) -> bool:
        return self.mark(user_id) in self.sieve_of

    def with_ids(self, user_ids: Sequence[str]) -> Erased:
        places = pl.DataFrame({"user_id": user_ids}, schema={"user_id": pl.String()})
        found = places.select(self._place())["user_id"].to_list()
        marks = map(self.mark, user_ids)
        return Erased(self.key, {**self.sieve_of, **dict(zip(marks, found, strict=True))})

    def rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame without the rows whose `user_id` was erased."""
        if not self.sieve_of:
            return frame
        held = pl.Series(sorted(set(self.sieve_of.values())), dtype=pl.UInt64)
        maybe = frame.filter(self._place().is_in(held.implode()))["user_id"].unique()
        gone = [user for user in maybe if self.has(user)]
        if not gone:
            return frame
        return frame.filter(~pl.col("user_id").is_in(gone).fill_null(value=False))

    def rejects(self, frame: pl.DataFrame, user_column: str) -> pl.DataFrame:
        """The frame without the rows whose `raw` holds an erased id; see `ids_in`."""
        if not self.sieve_of or not frame.height:
            return frame
        stays = [not any(map(self.has, ids_in(raw, user_column))) for raw in frame["raw"]]
        return frame.filter(pl.Series(stays, dtype=pl.Boolean()))

    def _place(self) -> pl.Expr:
        seed = int.from_bytes(self.key[:7])
        hashed = plh.col("user_id").nchash.xxhash64(seed=seed)
        return hashed & pl.lit(SIEVE, pl.UInt64)


def erased_path(store: Path) -> Path:
    return store / "erased.json"


def read_erased(store: Path) -> Erased:
    """Raises StoreError where the file is not what this version of Holdfast writes."""
    path = erased_path(store)
    if not path.exists():
        return Erased(secrets.token_bytes(KEY_BYTES), {})
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] == VERSION:
            return Erased(bytes.fromhex(found["key"]), dict(found["erased"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StoreError(
        f"{path}: cannot be read, so it is not known who was erased; put back the file of a backup"
    )


def write_erased(store: Path, erased: Erased) -> None:
    content = {"version": VERSION, "key": erased.key.hex(), "erased": dict(erased.sieve_of)}
    write_json(erased_path(store), content)


def erased_filter(store: Path) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What takes a frame with a `user_id` and gives it back without the erased users' rows; the
    frame itself where nobody of it was erased. Reads the store's list once. Raises StoreError."""
    return read_erased(store).rows


def ids_in(raw: str | None, user_column: str | None) -> set[str]:
    """What a rejected row may name as its user: of a JSON object the user column's value (all
    values where `user_column` is None), of any other text each of its fields."""
    if not raw:
        return set()
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if isinstance(found, dict):
        values = found.values() if user_column is None else [found.get(user_column)]
        return {text for value in values for text in _as_ids(value)}
    fields = set(_WORDS.split(raw)) | {w.partition(":")[2] for w in _WORDS.split(raw)}
    for delimiter in ",;\t|":
        for record in _records(raw, delimiter):
            fields |= set(record) | {field.strip() for field in record}
    return fields - {""}


def _as_ids(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
        if value == value // 1:
            yield str(int(value))


def _records(raw: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader(raw.splitlines(), delimiter=delimiter))
    except csv.Error:
        return []
