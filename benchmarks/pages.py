"""The page of the examples and of a synthetic world: built, opened in a browser, a filter clicked.

    python -m benchmarks.pages [FOLDER] [NAME …]
    python -m benchmarks.pages --large FOLDER      (a log that benchmarks.retention has left there)

For each: ingest, train (logistic regression), score, `holdfast report`; then headless Chromium
opens the file, chooses months in the place of weeks, reads the last full month's active users off
the table of the lifecycle and compares them with what `holdfast lifecycle` says. Prints a row
each: bytes, seconds to build, milliseconds until the page could be used and until every figure
was drawn, what was read. With FOLDER the pages and a picture of each are left there.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.examples import configured, holdfast
from benchmarks.features import CPU, settings_in, timed
from events.store import open_store
from events.synthetic import World, write_world
from report.asked import Asked
from report.page import write_report
from report.words import words_of

NAMES = ("retentioneering_ecom", "megaline", "yandex_afisha", "synthetic")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
USERS = 20_000
WIDTH, HEIGHT = 1200, 1000
ROWS = """[...document.querySelectorAll('[data-panel="lifecycle-states"] tbody tr')]
    .map(row => [...row.cells].map(cell => cell.textContent))"""


def built(name: str, folder: Path, page: Path) -> tuple[Path, dict[str, Any], float]:
    """The configuration, what `report` says, and the seconds that it alone took."""
    folder.mkdir()
    if name == "synthetic":
        config = write_world(World(users=USERS), folder).config
    else:
        config = configured(name, folder)
    holdfast(config, "ingest")
    holdfast(config, "train", "--model", "logistic")
    holdfast(config, "score")
    started = time.perf_counter()
    told = holdfast(config, "report", "--out", str(page))
    return config, told, time.perf_counter() - started


def opened(file: Path) -> tuple[float, float, list[list[str]]]:
    """Milliseconds until it could be used and until all was drawn; the table by month."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit(f"no browser here: install one of {', '.join(BROWSERS)}")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn=all]", state="attached")
        ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
        drawn = page.evaluate("performance.now()")
        page.screenshot(path=file.with_suffix(".png"), full_page=True)
        page.select_option('[data-filter="period"]', "month")
        rows = page.evaluate(ROWS)
        browser.close()
    return ready, drawn, rows


def row(name: str, folder: Path) -> str:
    page = folder / f"{name}.html"
    with tempfile.TemporaryDirectory() as scratch:
        config, told, seconds = built(name, Path(scratch, name), page)
        ready, drawn, rows = opened(page)
        said = holdfast(config, "lifecycle", "--period", "month")["rows"]
    last = [one for one in said if one["complete"]][-1]
    read = next(cells for cells in rows if cells[0] == last["period"])[1]
    assert read == f"{last['active']:,}", f"{name}: the page says {read}, lifecycle {last}"
    figures = (f"{told['bytes']:,}", f"{seconds:.0f}", f"{ready:,.0f}", f"{drawn:,.0f}")
    return f"| {name} | {' | '.join(figures)} | {read} active in the month of {last['period']} |"


def large(folder: Path) -> None:
    """The page of the large log, without a model: what it takes, and how large it is."""
    settings = settings_in(folder)
    asked = Asked(settings, open_store(settings), CPU, words_of("en"))
    started = time.perf_counter(), time.process_time()
    told = write_report(asked, folder / "page.html")
    print(f"{told.bytes:,} bytes", timed(started))


def main(folder: str = "", *names: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(folder or scratch)
        place.mkdir(parents=True, exist_ok=True)
        print("| data | bytes | built in s | usable after ms | all drawn after ms | read |")
        print("|---|---:|---:|---:|---:|---|")
        for name in names or NAMES:
            print(row(name, place.resolve()), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--large"]:
        large(Path(sys.argv[2]))
    else:
        main(*sys.argv[1:])
