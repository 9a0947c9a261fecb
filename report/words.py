"""The page's words: one table a language, looked up by key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from string import Formatter
from typing import Any, Literal, get_args

from runtime.errors import UsageError

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, ...] = get_args(Lang)


class Sentences(Formatter):
    """Fills blanks by name; "{users:user|users}" is the former where `users` reads 1. `page.js`
    does the same in the browser: change both."""

    def format_field(self, value: Any, format_spec: str) -> str:
        one, choice, several = format_spec.partition("|")
        if not choice:
            return str(super().format_field(value, format_spec))
        return one if str(value) == "1" else several


SENTENCES = Sentences()


@dataclass(frozen=True)
class Words:
    """`words("retention.title")`; blanks of a sentence are filled by name."""

    lang: Lang
    table: Mapping[str, str]

    def __call__(self, key: str, **blanks: Any) -> str:
        return SENTENCES.vformat(self.table[key], (), blanks) if blanks else self.table[key]

    def within(self, prefix: str) -> dict[str, str]:
        """The words whose keys begin so, by the rest of the key."""
        start = f"{prefix}."
        return {k.removeprefix(start): v for k, v in self.table.items() if k.startswith(start)}

    def listed(self, names: list[str] | tuple[str, ...]) -> str:
        """Names of the log one after another, in quotes."""
        return self("page.comma").join(self("page.quoted", name=name) for name in names)


@lru_cache
def words_of(lang: str) -> Words:
    """Raises UsageError for a language that the page is not written in."""
    for known in LANGS:
        if lang == known:
            return Words(known, _flat(tomllib.loads(look_up(f"languages/{lang}.toml"))))
    raise UsageError(f"language '{lang}' is not known; choose one of {', '.join(LANGS)}")


def look_up(name: str) -> str:
    """A text that lies beside this module."""
    return files("report").joinpath(name).read_text(encoding="utf-8")


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        found |= (
            {f"{before}{key}": value} if isinstance(value, str) else _flat(value, f"{before}{key}.")
        )
    return found
