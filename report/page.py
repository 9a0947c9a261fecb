"""The page: every section gathered, laid out and written as one file that works offline.

The numbers stand in the page as tables, so that it can be read without a script; figures are
drawn by plotly.js from JSON beside them. The page's security policy allows the three scripts in
it by their digests and no connection at all: what comes from the log cannot run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from events.calendar import PERIODS
from report import (
    cohorts,
    early,
    funnels,
    head,
    layers,
    lifecycle,
    model,
    paths,
    risk,
    sticky,
    tracking,
)
from report.asked import Asked
from report.cohorts import ordered
from report.document import document
from report.head import as_of
from report.parts import Section
from report.shown import shown
from report.words import look_up
from runtime.files import check_file, remove_drafts, write_text
from runtime.progress import progress

SECTIONS: tuple[Callable[[Asked], Section], ...] = (
    head.section,
    cohorts.section,
    funnels.section,
    paths.section,
    lifecycle.section,
    sticky.section,
    layers.section,
    early.section,
    risk.section,
    model.section,
    tracking.section,
)


@dataclass(frozen=True)
class Written:
    """`sections`: what each shows, by name: the number of its panels, 0 where it has nothing."""

    file: Path
    bytes: int
    sections: dict[str, int]


def write_report(asked: Asked, file: Path) -> Written:
    """Raises UsageError, StoreError, OutputError; the file is whole or absent."""
    check_file(file, "--out")
    sections = gather(asked)
    text = render(sections, asked)
    remove_drafts(file)
    write_text(file, text)
    told = {one.name: len(one.panels) for one in sections}
    return Written(file, file.stat().st_size, told)


def gather(asked: Asked) -> list[Section]:
    found = []
    with progress("report", len(SECTIONS), "sections") as advance:
        for make in SECTIONS:
            found.append(make(asked))
            advance()
    return found


def render(sections: list[Section], asked: Asked) -> str:
    """The same sections give the same text."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    # Not HTML's templates by their name alone: everything is escaped.
    look = Environment(
        loader=FunctionLoader(_looked_up),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = {"page": _looked_up("page.js"), "plotly": get_plotlyjs()}
    return look.get_template("page.html.j2").render(
        sections=sections,
        periods=ordered(PERIODS, asked.period),
        words=asked.words,
        lang={"en": "en", "zh": "zh-Hans"}[asked.words.lang],
        project=asked.settings.project.name,
        as_of=as_of(asked),
        shown=partial(_cell, asked=asked),
        style=_looked_up("page.css"),
        document=inline(document(sections, asked.words)),
        scripts=scripts,
        allowed=" ".join(_digest(text) for text in scripts.values()),
    )


def _looked_up(name: str) -> str:
    return look_up(f"look/{name}")


def _cell(value: Any, kind: Any, asked: Asked) -> str:
    return shown(value, kind, asked.words)


def inline(value: Any) -> str:
    """JSON that may stand in a script element, whatever its texts are."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _digest(script: str) -> str:
    """As a content security policy names a script that may run."""
    found = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{found}'"
