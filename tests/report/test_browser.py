"""The page in a browser: it opens fast, filters change figures and numbers, everyone can use it."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from report_tools import CPU, document_of, opened, written
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from report.cohorts import curve_table, gather
from report.document import BETWEEN
from report.shown import shown
from report.words import words_of
from retention.activity import activity
from retention.curve import retention
from retention.lifecycle import lifecycle
from runtime.settings import Settings, load_settings

GENEROUS_MS = 15_000  # a bound for a busy machine; the figure itself is printed
WORDS = words_of("en")
HEAT = "document.querySelector('[data-panel=retention-heat] .figure').data[1]"


def rows_of(page: Any, panel: str) -> list[list[str]]:
    """The texts of a panel's table, as they stand in the page."""
    found: list[list[str]] = page.evaluate(
        """name => [...document.querySelectorAll(`[data-panel="${name}"] tbody tr`)]
        .map(row => [...row.cells].map(cell => cell.textContent))""",
        panel,
    )
    return found


def told(page: Any, panel: str) -> str:
    text: str = page.text_content(f'[data-panel="{panel}"] .told')
    return text


def test_it_opens_fast_and_draws_every_figure(page: Any) -> None:
    ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
    print(f"interactive after {ready:.0f} ms")
    assert ready < GENEROUS_MS
    drawn = page.evaluate("document.querySelectorAll('.figure .main-svg').length")
    figures = page.evaluate("document.querySelectorAll('.figure').length")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.figure')].map(f => f.querySelectorAll('svg').length)"
    )
    assert figures > 8
    assert drawn >= figures
    assert all(boxes)


def test_the_period_changes_figure_table_and_sentence(page: Any, project: Settings) -> None:
    page.select_option('[data-filter="period"]', "month")
    found = rows_of(page, "lifecycle-states")
    bars = page.evaluate(
        "document.querySelector('[data-panel=lifecycle-states] .figure').data[1].y"
    )
    sentence = told(page, "lifecycle-states")
    address = page.evaluate("location.hash")
    rows = lifecycle(project, open_store(project), CPU, "month").to_json()["rows"]
    names = ("period", "active", "new", "returning", "resurrected", "dormant")
    kinds = ("date", *["count"] * 5)
    assert found == [
        [shown(row[name], kind, WORDS) for name, kind in zip(names, kinds, strict=True)]  # type: ignore[arg-type]
        for row in rows
    ]
    assert bars == [row["returning"] for row in rows]
    assert "In the month from" in sentence
    assert address == "#period=month"


@pytest.mark.parametrize("name", ["frequency", "depth", "breadth", "renewal"])
def test_each_dimension_of_activity_can_be_chosen(page: Any, project: Settings, name: str) -> None:
    page.select_option('[data-filter="period"]', "month")
    page.select_option('[data-filter="dimension"]', name)
    found, sentence = rows_of(page, "lifecycle-activity"), told(page, "lifecycle-activity")
    rows = activity(project, open_store(project), CPU, "month").to_json()["rows"]
    done = [row for row in rows if row["complete"]]
    kind = "share" if name == "renewal" else "number"
    names = ["mean", "median", "p90"] if kind == "number" else ["", "low", "high"]
    figures = [[row[f"{name}_{one}".rstrip("_")] for one in names] for row in done]
    assert [row[0] for row in found] == [row["period"] for row in done]
    assert [row[2:] for row in found] == [
        [shown(value, kind, WORDS) for value in row]  # type: ignore[arg-type]
        for row in figures
    ]
    drawn = page.evaluate(
        "document.querySelector('[data-panel=lifecycle-activity] .figure').data.map(one => one.y)"
    )
    kept = drawn[0] if kind == "number" else drawn[2]
    pairs = zip(kept, (row[0] for row in figures), strict=True)
    assert all(a == b if b is None else a == pytest.approx(b, rel=1e-5) for a, b in pairs)
    assert f"In the month from {done[-1]['period']}" in sentence


def test_a_range_of_cohorts_is_summed_as_the_analysis_sums_it(page: Any, project: Settings) -> None:
    since, until = "2024-02-05", "2024-03-17"
    page.select_option('[data-filter="mode"]', "rolling")
    page.fill('[data-filter="from"]', since)
    page.fill('[data-filter="until"]', until)
    found = rows_of(page, "retention-curve")
    cohorts = [row[0] for row in rows_of(page, "retention-heat")]
    drawn = page.evaluate(f"{HEAT}.y")
    table = retention(project, open_store(project), CPU, "rolling", "week")
    day = pl.col("cohort").cast(pl.String)
    chosen = table.cells.filter(day.is_between(pl.lit(since), pl.lit(until)))
    done = chosen.filter(pl.col("complete")).group_by("start")
    expected = done.agg(pl.col("users", "retained").sum()).sort("start").rows()
    assert [row[1:3] for row in found] == [[f"{u:,}", f"{r:,}"] for _, u, r in expected]
    assert [row[3] for row in found] == [shown(r / u, "share", WORDS) for _, u, r in expected]
    days = chosen["cohort"].unique().sort().cast(pl.String).to_list()
    assert cohorts == drawn == days


def test_who_has_no_script_reads_the_same_numbers(browser: Any, page: Any, page_en: Path) -> None:
    """Python wrote them into the tables; the script has made these anew."""
    names = list(document_of(page_en)["panels"])
    held = browser.new_context(java_script_enabled=False)
    plain = held.new_page()
    plain.goto(page_en.as_uri())
    said = {name: rows_of(plain, name) for name in names}
    assert sum(map(bool, said.values())) > 8
    held.close()
    page.select_option('[data-filter="period"]', "day")
    page.select_option('[data-filter="period"]', "week")
    page.fill('[data-filter="from"]', "2024-03-01")
    assert rows_of(page, "retention-curve") != said["retention-curve"]
    page.click("#reset")
    assert {name: rows_of(page, name) for name in names} == said
    assert page.evaluate("location.hash") == ""


def test_every_group_and_mode_can_be_chosen(page: Any, project: Settings) -> None:
    from report_tools import asked_of

    pools, by = gather(asked_of(project))
    assert by == "channel"
    wanted = [key for key in pools if key[0] == "week"]
    for key in wanted:
        page.select_option('[data-filter="mode"]', key[1])
        page.select_option('[data-filter="group"]', key[2])
        table = curve_table(pools[key], WORDS)
        kinds = [column.kind for column in table.columns]
        expected = [
            [shown(value, kind, WORDS) for value, kind in zip(row, kinds, strict=True)]
            for row in table.rows
        ]
        assert rows_of(page, "retention-curve") == expected, BETWEEN.join(key)


def test_the_risk_band_changes_the_list(page: Any) -> None:
    page.select_option('[data-filter="band"]', "low")
    bands = {row[1] for row in rows_of(page, "risk-list")}
    sentence = told(page, "risk-bands")
    assert bands == {"low"}
    assert "at low risk" in sentence


def test_the_layer_changes_the_list_too(page: Any) -> None:
    everyone = rows_of(page, "risk-list")
    page.select_option('[data-filter="layer"]', "silent")
    silent, sentence = rows_of(page, "risk-list"), told(page, "risk-list")
    assert 0 < len(silent) <= 20
    assert silent != everyone
    assert re.match(
        "In the layer “silent”, chosen under “Layers”. (The first|[0-9]+ in all)", sentence
    )
    page.select_option('[data-filter="band"]', "high")
    assert {row[1] for row in rows_of(page, "risk-list")} <= {"high"}
    assert "In the layer “silent”" in told(page, "risk-list")


def test_choices_are_kept_in_the_address(browser: Any, page_en: Path, tmp_path: Path) -> None:
    with opened(browser, page_en) as page:
        page.goto(f"{page_en.as_uri()}#period=month&mode=bracket&theme=dark")
        page.reload()
        page.wait_for_selector("html[data-drawn=all]", state="attached")
        assert page.input_value('[data-filter="mode"]') == "bracket"
        assert "months" in " ".join(row[0] for row in rows_of(page, "retention-curve"))
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        page.click("nav a >> nth=2")
        assert "period=month" in page.evaluate("location.hash")


def test_events_may_be_called_anything(browser: Any, tmp_path: Path) -> None:
    """Colours of the theme begin with $ in the page's JSON, and so do many trackers' events."""
    names = {"view": "$pageview", "search": "$c1", "purchase": "cut"}
    log = small_log(60).with_columns(what=pl.col("what").replace(names))
    settings = load_settings(write_small_project(tmp_path / "p", log))
    ingest(settings)
    with opened(browser, written(settings, tmp_path / "named.html").file) as page:
        nodes = page.evaluate(
            "[...document.querySelectorAll('[data-panel=paths-flow] .sankey-node text')]"
            ".map(node => node.textContent)"
        )
        lines = page.evaluate(
            "[...document.querySelectorAll('[data-panel=tracking-volume] .legendtext')]"
            ".map(line => line.textContent)"
        )
    assert {*names.values(), "(end of session)"} <= {*nodes}
    assert {*names.values()} == {*lines}


def test_a_figure_is_drawn_once(browser: Any, page_en: Path) -> None:
    """Coming into view draws it no second time."""
    with opened(browser, page_en, viewport={"width": 1200, "height": 800}) as page:
        page.evaluate(
            "window.times = 0; const react = Plotly.react;"
            "Plotly.react = (...given) => { window.times += 1; return react(...given); }; 0"
        )
        page.locator("footer").scroll_into_view_if_needed()
        page.wait_for_timeout(300)
        assert page.evaluate("window.times") == 0


def test_a_range_before_the_listed_cohorts_counts_none_of_the_others(page: Any) -> None:
    """Cohorts that are not listed are summed, and cannot be told apart by a range."""
    page.select_option('[data-filter="period"]', "day")
    listed = page.evaluate(f"{HEAT}.y")
    page.fill('[data-filter="until"]', listed[0])
    whole = rows_of(page, "retention-curve")[0][1]
    page.fill('[data-filter="until"]', "2024-01-02")
    assert listed[0] > "2024-01-02"
    assert int(whole) > 100
    assert rows_of(page, "retention-curve")[0][1] == "0"
    assert told(page, "retention-curve") == "Not counted for this choice."


def test_one_cohort_is_told_as_one(page: Any) -> None:
    first = page.evaluate(f"{HEAT}.y")[0]
    page.fill('[data-filter="from"]', first)
    page.fill('[data-filter="until"]', first)
    sentence = told(page, "retention-heat")
    assert sentence.startswith("1 cohort. In week 4 ")
    assert sentence.endswith(f" were still active of those who came in the period from {first}.")
    assert told(page, "lifecycle-states").endswith("In the chosen range: 1 of 35 rows.")


@pytest.mark.parametrize("width", [375, 1200])
def test_no_sideways_scroll(browser: Any, page_en: Path, width: int) -> None:
    with opened(browser, page_en, viewport={"width": width, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def _lightness(page: Any, script: str) -> float:
    colour = page.evaluate(script)
    parts = [float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
    return sum(parts) / 3


def test_dark_mode_follows_the_system_and_the_switch(browser: Any, page_en: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.figure .xtick text')).fill"
    with opened(browser, page_en, color_scheme="dark") as page:
        assert _lightness(page, paper) < 60
        assert _lightness(page, ink) > 180
        page.click("#theme")
        assert _lightness(page, paper) > 200
        assert _lightness(page, ink) < 100
        assert page.get_attribute("#theme", "aria-pressed") == "false"


def test_the_keyboard_reaches_every_table(page: Any) -> None:
    page.reload()
    page.wait_for_selector("html[data-drawn=all]", state="attached")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached: set[str] = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        tag, name = page.evaluate(
            "(el => [el.tagName, el.classList.contains('scroll') ? "
            "el.closest('[data-panel]').dataset.panel : ''])(document.activeElement)"
        )
        if tag == "SUMMARY":
            page.keyboard.press("Enter")
        reached |= {name} if name else set()
    shown_panels = page.evaluate(
        "[...document.querySelectorAll('[data-panel]')].filter(p => "
        "!p.querySelector('.scroll').hidden).map(p => p.dataset.panel)"
    )
    assert reached == set(shown_panels)


def test_a_screen_reader_is_told_what_everything_is(page: Any) -> None:
    nameless = page.evaluate(
        """[...document.querySelectorAll('select, input, button, summary, .figure, .scroll')]
        .filter(el => !(el.labels?.length || el.textContent.trim() ||
          el.getAttribute('aria-label') || el.getAttribute('aria-labelledby'))).length"""
    )
    assert nameless == 0
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("document.querySelectorAll('main, nav, header, footer').length") == 4
    dangling = page.evaluate(
        """[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].filter(el =>
        [...(el.getAttribute('aria-labelledby') ?? '').split(' '),
         ...(el.getAttribute('aria-describedby') ?? '').split(' ')]
        .some(id => id && !document.getElementById(id))).length"""
    )
    assert dangling == 0


def test_the_chinese_page_works_too(browser: Any, page_zh: Path) -> None:
    with opened(browser, page_zh, viewport={"width": 375, "height": 800}) as page:
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        page.select_option('[data-filter="period"]', "month")
        assert "第 1 月" in [row[0] for row in rows_of(page, "retention-curve")]
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_the_period_of_the_last_days_is_never_drawn_as_a_fall(page: Any, project: Settings) -> None:
    """Points of the curve stop where nobody's period has ended; empty cells have no value."""
    store = open_store(project)
    z = page.evaluate(f"{HEAT}.z")
    days = page.evaluate(f"{HEAT}.y")
    for day, row in zip(days, z, strict=True):
        monday = pl.Series([day]).str.to_datetime(time_zone="UTC")[0]
        for n, value in enumerate(row):
            ended = monday + timedelta(weeks=n + 1) <= store.covered_until
            assert (value is not None) == ended, (day, n)


def test_what_has_not_ended_is_hatched_and_said_so(browser: Any, page_en: Path) -> None:
    """The last cell of a cohort: striped where it is null, of one colour where it is known."""
    fill = "r => getComputedStyle(r).fill"
    with opened(browser, page_en) as page:
        page.select_option('[data-filter="period"]', "month")
        heat = page.locator("[data-panel=retention-heat]")
        assert heat.locator("rect.bg").evaluate(fill) == 'url("#hatch")'
        assert heat.locator(".key rect").evaluate(fill) == 'url("#hatch")'
        assert "Hatched: that period has not ended yet" in heat.locator(".key").text_content()
        assert page.locator(".key").count() == 1
        assert page.evaluate(f"{HEAT}.z.flat().includes(null)")
        drawn = page.evaluate(COLOURS_OF, _picture(heat))
    assert drawn["null"] > 2  # stripes
    assert drawn["known"] == 1


COLOURS_OF = """async picture => {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const canvas = document.createElement("canvas");
  const panel = document.querySelector("[data-panel=retention-heat]");
  canvas.width = image.width; canvas.height = image.height;
  const drawn = canvas.getContext("2d", { willReadFrequently: true });
  drawn.drawImage(image, 0, 0);
  const [data, at] = [panel.querySelector(".figure").data[1], panel.getBoundingClientRect()];
  const box = panel.querySelector("rect.bg").getBoundingClientRect();
  const [wide, high] = [box.width / data.z[0].length, box.height / data.z.length];
  const colours = row => {
    const x = box.right - wide - at.left + 4, y = box.top + row * high - at.top + 4;
    const held = drawn.getImageData(x, y, wide - 8, high - 8).data, seen = new Set();
    for (let n = 0; n < held.length; n += 4) seen.add(held.slice(n, n + 3).join());
    return seen.size;
  };
  const last = data.z.map(row => row[row.length - 1]);
  return { null: colours(last.indexOf(null)), known: colours(last.findIndex(one => one !== null)) };
}"""


def _picture(part: Any) -> str:
    return "data:image/png;base64," + base64.b64encode(part.screenshot()).decode()
