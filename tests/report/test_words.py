"""Two languages: the same keys and blanks, and no English on the Chinese page."""

from __future__ import annotations

import re
import string
import tomllib
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from report_tools import document_of, without_plotly

from events.findings import Finding
from report.model import METRICS
from report.reasons import reason_in
from report.words import look_up, words_of
from retention.early_words import CAUTION
from runtime.settings_lifecycle import LAYERS, TAGS
from training.record import TITLES

# Names of the log, of the settings and of measures; nobody translates them.
NAMES = {
    *("view", "search", "purchase", "app", "web", "small", "channel", "shop", "UTC"),
    *("Holdfast", "holdfast", "toml", "funnel", "lifecycle", "train", "score", "JavaScript"),
    *("ROC", "AUC", "VIP", "JSON", "RFM"),
}
WORD = re.compile(r"[A-Za-z]{3,}")


def _blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same_things() -> None:
    english, chinese = words_of("en").table, words_of("zh").table
    assert english.keys() == chinese.keys()
    differ = [key for key in english if _blanks(english[key]) != _blanks(chinese[key])]
    # Where a language needs fewer blanks it may leave some out, but invent none.
    assert not [key for key in differ if not _blanks(chinese[key]) <= _blanks(english[key])]


def _english(text: str) -> set[str]:
    return {word for word in WORD.findall(text) if word not in NAMES}


def test_no_english_is_left_on_the_chinese_page(page_zh: Path) -> None:
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", without_plotly(page_zh), flags=re.S)
    labels = re.findall(r'aria-label="([^"]*)"', body)
    text = unescape(" ".join([re.sub(r"<[^>]+>", " ", body), *labels]))
    assert _english(text) == set()


SAID = ("told", "note", "text", "name", "label", "ticktext", "customdata", "title")


def _texts(value: Any, key: str = "") -> list[str]:
    if isinstance(value, str):
        return [value] if key in SAID else []
    if isinstance(value, dict):
        return [text for name, one in value.items() for text in _texts(one, name)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one, key)]
    return []


def test_no_english_is_left_in_the_chinese_figures(page_zh: Path) -> None:
    document = document_of(page_zh)
    texts = [text for panel in document["panels"].values() for text in _texts(panel)]
    cells = [
        cell
        for panel in document["panels"].values()
        for view in panel["views"].values()
        for row in view["rows"]
        for cell in row
        if isinstance(cell, str)
    ]
    panels = document["panels"].values()
    heads = [title for panel in panels for title, _ in panel.get("columns", [])]
    found = _english(" ".join([*texts, *cells, *heads, *document["words"].values()]))
    assert found - {*_blank_names(document)} == set()


def _blank_names(document: dict[str, Any]) -> set[str]:
    """Parts of the names of blanks that the script fills."""
    blanks = [name for text in document["words"].values() for name in _blanks(text)]
    return {word for name in blanks for word in WORD.findall(name)}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("last active 41 days ago (typical: 3 days)", "41 天前最后一次活跃（通常：3 天）"),
        (
            "1 'big sale' event in the last 7 days (typical: none)",
            "最近 7 天“big sale”事件 1 次（通常：0）",
        ),
        (
            "sign of staying: no purchases in all (typical)",
            "留下的迹象：累计购买 0 次（与通常相同）",
        ),
        (
            "activity at 2.81 times its earlier rate (the last 90 days against the 275 before) "
            "(typical: 8.84 times)",
            "活动量是此前的 2.81 倍（最近 90 天对比之前 275 天）（通常：8.84 倍）",
        ),
        ("less than 1 % of activity at weekends", "不到 1% 的活动在周末"),
        ("never bought", "从未购买"),
        ("a feature of the project's own", "a feature of the project's own"),
    ],
)
def test_reasons_in_chinese(english: str, chinese: str) -> None:
    assert reason_in(words_of("zh"), english) == chinese
    assert reason_in(words_of("en"), english) == english


def test_every_kind_of_finding_and_every_rule_has_words() -> None:
    from typing import get_args, get_type_hints

    table = words_of("en").table
    assert {f"finding.{kind}" for kind in get_args(get_type_hints(Finding)["kind"])} <= set(table)
    chinese = tomllib.loads(look_up("languages/rules_zh.toml"))
    assert {rule.says for rule in (*LAYERS, *TAGS)} == set(chinese)
    assert "not causes" in CAUTION
    assert "not causes" in table["early.caution"]


def test_every_kind_of_model_and_every_measure_has_words() -> None:
    table = words_of("en").table
    kinds = {f"model.kind_{kind.replace('-', '_')}" for kind in TITLES}
    assert kinds <= set(table)
    # Said as the review page of a run says it.
    assert {table[f"model.kind_{k.replace('-', '_')}"] for k in TITLES} == set(TITLES.values())
    assert {f"metric.{name}" for name in METRICS} <= set(table)
