"""Reasons of scores in the page's language.

A reason is a sentence of `features.dictionary` with a value in it. `languages/reasons_zh.toml`
holds each sentence beside its translation. What is in no row of it, such as a project's own
feature, stays as it was written.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache

from report.words import Words, look_up
from serving.reasons import STAYING

# Blanks of a sentence: q a quantity, w a window, n a name of the log, x anything else.
BLANKS = {
    "q": r"(?P<q>less than an hour|less than 1 %|is not|is|no|[+-]?[\d.,e+]+(?: (?:%|[a-z]+))?)",
    "w": r"(?P<w>in the last \d+ days|in all|ever)",
    "n": r"(?P<n>.+?)",
    "x": r"(?P<x>.+?)",
    "a": r"(?P<a>[\d.]+)",
    "b": r"(?P<b>[\d.]+)",
}
TYPICAL = re.compile(r"^(?P<body>.*?)(?: \(typical(?:: (?P<usual>.+))?\))?$", re.DOTALL)


def reason_in(words: Words, text: str) -> str:
    """The reason in the page's language."""
    if words.lang == "en":
        return text
    staying = text.startswith(STAYING)
    found = TYPICAL.match(text.removeprefix(STAYING))
    assert found, "the pattern fits any text"
    said = _said(found["body"])
    if found["body"] + (found["usual"] or "") != text and "(typical" in text:
        usual = found["usual"]
        typical = _quantity(usual) if usual else ""
        said += words("reason.typical", usual=typical) if usual else words("reason.typical_same")
    return words("reason.staying", reason=said) if staying else said


def _said(body: str) -> str:
    for pattern, said in _rules():
        if found := pattern.fullmatch(body):
            blanks = {k: _blank(k, v) for k, v in found.groupdict().items() if v is not None}
            return said.format(**blanks)
    return body


def _blank(name: str, text: str) -> str:
    return {"q": _quantity, "w": _window, "x": _term}.get(name, str)(text)


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads(look_up("languages/reasons_zh.toml"))


@lru_cache(maxsize=1)
def _rules() -> list[tuple[re.Pattern[str], str]]:
    return [(_pattern(said), zh) for said, zh in _table()["said"].items()]


def _pattern(said: str) -> re.Pattern[str]:
    """A sentence with {blanks}, and [one|many] for words that change with the number."""
    parts = re.split(r"(\{\w\}|\[[^\]]*\|[^\]]*\])", said)
    built = []
    for part in parts:
        if part.startswith("{"):
            built.append(BLANKS[part[1]])
        elif part.startswith("["):
            built.append(f"(?:{'|'.join(map(re.escape, part[1:-1].split('|')))})")
        else:
            built.append(re.escape(part))
    return re.compile("".join(built), re.DOTALL)


def _quantity(text: str) -> str:
    terms = _table()["quantity"]
    if text in terms:
        return terms[text]
    number, _, unit = text.partition(" ")
    return f"{number}{terms.get(unit, unit)}" if unit else number


def _window(text: str) -> str:
    if days := re.search(r"\d+", text):
        return _table()["quantity"]["window"].format(days=days[0])
    return _table()["quantity"][text]


def _term(text: str) -> str:
    return _table()["terms"].get(text, text)
