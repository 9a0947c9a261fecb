"""One small project with a model and scores, and its page in two languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_tools import CPU, opened, started, written
from small_project import small_log, write_small_project

from events.ingest import ingest
from runtime.settings import Settings, load_settings
from serving.score import score
from training.recipe import train


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Ingested, trained and scored."""
    config = write_small_project(tmp_path_factory.mktemp("report") / "p", small_log(300))
    settings = load_settings(config)
    ingest(settings)
    train(settings, None, "logistic", CPU)
    score(settings, None, None, CPU)
    return settings


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.fixture(scope="session")
def page_en(project: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(project, tmp_path_factory.mktemp("en") / "report.html").file


@pytest.fixture(scope="session")
def page_zh(project: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(project, tmp_path_factory.mktemp("zh") / "report.html", "zh").file


@pytest.fixture(scope="session")
def opened_page(browser: Any, page_en: Path) -> Iterator[Any]:
    with opened(browser, page_en) as found:
        yield found


@pytest.fixture
def page(opened_page: Any) -> Any:
    """The English page with its first choices, opened once for all tests."""
    opened_page.click("#reset")
    return opened_page
