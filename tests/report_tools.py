"""What the tests of the page share: a project with a page, and a browser to open it in."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from events.store import open_store
from report.asked import Asked
from report.page import Written, write_report
from report.words import words_of
from runtime.device import Device
from runtime.settings import Settings

CPU = Device("cpu", "test")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def asked_of(settings: Settings, lang: str = "en", **given: Any) -> Asked:
    return Asked(settings, open_store(settings), CPU, words_of(lang), **given)


def written(settings: Settings, file: Path, lang: str = "en", **given: Any) -> Written:
    return write_report(asked_of(settings, lang, **given), file)


def document_of(file: Path) -> dict[str, Any]:
    """What the page's script reads."""
    text = file.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="document">(.*?)</script>', text, re.S)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def without_plotly(file: Path) -> str:
    """The page's own text, without the library in it."""
    from plotly.offline import get_plotlyjs

    return file.read_text(encoding="utf-8").replace(get_plotlyjs(), "")


@contextmanager
def started() -> Iterator[Any]:
    """A headless browser. Skips where there is no Chromium on this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, **context: Any) -> Iterator[Any]:
    """A page. Nothing may be asked of a network, and nothing may fail."""
    troubles: list[str] = []
    held = browser.new_context(**context)
    page = held.new_page()
    page.on("console", lambda said: troubles.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("request", lambda asks: _note(asks.url, troubles))
    page.goto(file.as_uri(), wait_until="load")
    page.wait_for_selector("html[data-drawn=all]", state="attached")
    yield page
    held.close()
    assert not troubles


def _note(url: str, troubles: list[str]) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        troubles.append(f"request: {url}")
