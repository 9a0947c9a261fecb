"""The page as a file: whole, offline, the same twice, and of nothing but what was asked."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from report_tools import CPU, asked_of, document_of, without_plotly, written
from small_project import small_log, write_small_project

from events.ingest import ingest
from events.store import open_store
from report import activity, head, layers, lifecycle, rfm, risk, risk_list, tracking
from report.asked import funnels_asked
from report.page import inline
from report.words import words_of
from retention.lifecycle_users import layers_now
from runtime.clock import parse_instant, show
from runtime.collect import collect
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings
from serving.ranking import ranked, summarise

MOST_BYTES = 6_000_000


def test_the_same_inputs_give_the_same_bytes(
    project: Settings, page_en: Path, tmp_path: Path
) -> None:
    again = written(project, tmp_path / "again.html")
    assert again.file.read_bytes() == page_en.read_bytes()
    assert again.bytes == len(page_en.read_bytes()) < MOST_BYTES


def test_it_calls_nobody_and_tells_nothing_of_the_machine(project: Settings, page_en: Path) -> None:
    own = without_plotly(page_en)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", own)
    assert str(project.store) not in own
    assert str(Path.home()) not in own
    assert "default-src 'none'" in own


def test_no_user_is_named_unless_asked(project: Settings, page_en: Path, tmp_path: Path) -> None:
    scores = risk.scores_before(project, open_store(project).as_of)
    users = collect(scores.scan().select("user_id"), risk.CPU)["user_id"].to_list()
    own = without_plotly(page_en)
    assert not [user for user in users if re.search(rf'[">]{user}["<]', own)]
    named = without_plotly(written(project, tmp_path / "ids.html", ids=True).file)
    assert any(f">{user}<" in named for user in users)


def test_the_list_holds_as_many_as_its_figure_says(project: Settings) -> None:
    asked = asked_of(project)
    scores = risk.scores_before(project, asked.store.as_of)
    found = risk.gather(scores)
    standing = layers_now(project, asked.store, CPU)
    listed = risk_list.gather(scores, found.summary, standing, 10_000)
    for band in (risk_list.ALL, *risk_list.BANDS):
        here = listed[band, risk_list.ALL]
        assert len(here.rows) == here.users == risk.users_of(found, band)
    drawn = risk.section(asked).panels[0].views[risk.ALL,]
    assert sum(row[1] for row in drawn.table.rows) == found.summary.rows
    assert drawn.figure is not None
    assert sum(sum(trace["y"]) for trace in drawn.figure["data"]) == found.summary.rows


def test_the_list_follows_the_layer(project: Settings) -> None:
    """As counted from the layers that the lifecycle lists, one user at a time."""
    asked = asked_of(project)
    scores = risk.scores_before(project, asked.store.as_of)
    summary = summarise(scores.scan())
    standing = layers_now(project, asked.store, CPU)
    drawn = {row["layer"]: row["users"] for row in layers.gather(asked).to_json()["rows"]}
    assert dict(standing["layer"].value_counts().rows()) == {k: n for k, n in drawn.items() if n}
    of = dict(standing.rows())
    ranks = collect(ranked(scores.scan(), summary, show(scores.as_of)), CPU).to_dicts()
    listed = risk_list.gather(scores, summary, standing, 50)
    assert {layer for _, layer in listed} == {risk_list.ALL, *of.values()}
    for (band, layer), found in listed.items():
        mine = [
            row["rank"]
            for row in ranks
            if band in (risk_list.ALL, row["risk_band"])
            and layer in (risk_list.ALL, of[row["user_id"]])
        ]
        most = 50 if layer == risk_list.ALL else risk_list.MOST_OF_A_LAYER
        assert found.users == len(mine), (band, layer)
        assert found.rows["rank"].to_list() == mine[:most], (band, layer)
    assert sum(found.users > 20 for (_, layer), found in listed.items() if layer != "all") > 1


def test_rfm_shows_the_cells_of_the_analysis(project: Settings) -> None:
    asked = asked_of(project)
    found = rfm.rfm(project, asked.store, CPU)
    panel = rfm.panel(asked)
    assert panel is not None
    (view,) = panel.views.values()
    cells = {
        f"{row['recency']}-{row['frequency']}-{row['monetary']}": row
        for row in found.cells.to_dicts()
    }
    assert len(view.table.rows) == len(cells)
    for segment, users, share, low, high, mean_value in view.table.rows:
        assert users == cells[segment]["users"]
        assert low < share < high
        assert share == pytest.approx(users / found.users)
        assert mean_value == pytest.approx(cells[segment]["value"] / users)
    assert view.figure is not None
    assert sum(map(sum, view.figure["data"][0]["z"])) == found.users
    best = found.cells.filter((pl.col("recency") == 5) & (pl.col("frequency") == 5))
    assert f"{found.users} users have bought. {best['users'].sum()} of them" in view.told
    assert f"{best['value'].sum() / found.cells['value'].sum():.1%}"[:-1] in view.told


def test_a_log_without_amounts_has_no_rfm_and_says_so(tmp_path: Path) -> None:
    log = small_log(40).with_columns(paid=pl.lit(None, dtype=pl.Float64))
    settings = load_settings(write_small_project(tmp_path / "p", log))
    ingest(settings)
    found = lifecycle.section(asked_of(settings))
    assert [panel.name for panel in found.panels] == ["lifecycle-states", "lifecycle-activity"]
    assert found.lines == ("RFM: nobody has bought, or the log has no amounts.",)


def test_a_log_of_dates_has_no_depth(tmp_path: Path) -> None:
    config = write_small_project(tmp_path / "p", small_log(40))
    for file in config.parent.glob("data/*.csv"):
        held = pl.read_csv(file, infer_schema=False).with_columns(pl.col("when").str.head(10))
        held.write_csv(file)
    settings = load_settings(config)
    ingest(settings)
    panel = activity.panel(asked_of(settings), lifecycle.MOST)
    assert panel.views["week", "depth"].figure is None
    assert "no sessions" in panel.views["week", "depth"].told
    assert "active on 1" in panel.views["day", "frequency"].told
    assert panel.views["day", "frequency"].figure is not None


def test_a_log_in_which_nobody_is_active_has_no_funnel_and_says_so(tmp_path: Path) -> None:
    config = write_small_project(tmp_path / "p", small_log(40))
    config.write_text(config.read_text() + '\n[activity]\nevents = ["nope"]\n')
    settings = load_settings(config)
    ingest(settings)
    done = written(settings, tmp_path / "nobody.html")
    assert done.sections["funnel"] == done.sections["paths"] == 0
    assert "Nobody has been active so far." in without_plotly(done.file)


def test_a_funnel_whose_start_has_no_channel_is_drawn_of_everyone(tmp_path: Path) -> None:
    config = write_small_project(
        tmp_path / "p",
        small_log(60).with_columns(where=pl.when(pl.col("what") != "view").then("where")),
    )
    text = config.read_text() + '\n[[funnel]]\nname = "way"\nsteps = ["view", "purchase"]\n'
    config.write_text(text)
    settings = load_settings(config)
    ingest(settings)
    done = written(settings, tmp_path / "report.html")
    assert done.sections["funnel"] == 1
    assert set(document_of(done.file)["panels"]["funnel-steps"]["views"]) == {""}


def test_days_without_a_row_are_none_and_count(tmp_path: Path) -> None:
    """The days of the log are told, though a year of them at most is listed."""
    log = small_log(60)
    silent = pl.col("when").dt.date().is_between(date(2024, 3, 1), date(2024, 3, 4))
    settings = load_settings(write_small_project(tmp_path / "p", log.filter(~silent)))
    ingest(settings)
    asked = asked_of(settings)
    found = tracking.gather(asked)
    view = tracking.section(asked).panels[1].views[()]
    rows = {row[0]: row[1] for row in view.table.rows}
    assert [rows[f"2024-03-0{n}"] for n in (1, 2, 3, 4)] == [0, 0, 0, 0]
    assert sum(rows.values()) == found.daily["rows"].sum()
    days = (log["when"].max().date() - log["when"].min().date()).days + 1  # type: ignore[union-attr]
    assert len(rows) == days
    assert view.told == f"{days} days and 3 kinds of events."


def test_rows_years_away_do_not_stretch_the_days(tmp_path: Path) -> None:
    log = small_log(60)
    stray = log.head(2).with_columns(pl.col("when").dt.offset_by("-9y"), id=pl.col("id") + 10**6)
    settings = load_settings(write_small_project(tmp_path / "p", pl.concat([log, stray])))
    ingest(settings)
    asked = asked_of(settings)
    assert "stray" in {one.kind for one in tracking.gather(asked).findings}
    rows = tracking.section(asked).panels[1].views[()].table.rows
    assert sum(row[1] for row in rows) == len(log)


def test_dates_are_those_of_the_project(tmp_path: Path) -> None:
    """A midnight of Moscow is the day before at nine in the evening of UTC."""
    config = write_small_project(tmp_path / "p", small_log(60))
    named = 'name = "small"\ntimezone = "Europe/Moscow"'
    config.write_text(config.read_text().replace('name = "small"', named))
    settings = load_settings(config)
    ingest(settings)
    now = asked_of(settings)
    store = open_store(settings, parse_instant("2024-08-20", "Europe/Moscow"))
    asked = type(now)(settings, store, now.device, now.words)
    assert show(store.as_of) == "2024-08-19T21:00:00Z"
    assert head.as_of(asked) == "2024-08-20"
    base = next(fact for fact in head.section(asked).facts if "churn" in fact.title)
    assert "users on 2024-07-30, within 21 days" in base.about


def test_every_figure_has_its_numbers_and_a_sentence(page_en: Path) -> None:
    for name, panel in document_of(page_en)["panels"].items():
        for view in panel["views"].values():
            assert view["told"], name
            if view["figure"]:
                assert view["rows"], name
                assert all(len(row) == len(view["columns"]) for row in view["rows"]), name


def test_a_log_without_scores_or_model_has_a_page_that_says_so(tmp_path: Path) -> None:
    settings = load_settings(write_small_project(tmp_path / "p", small_log(60)))
    ingest(settings)
    done = written(settings, tmp_path / "bare.html")
    assert done.sections["risk"] == done.sections["model"] == 0
    assert "holdfast score" in without_plotly(done.file)


def test_a_model_that_knows_what_the_as_of_hides_is_not_shown(project: Settings) -> None:
    from report import model

    asked = asked_of(project)
    assert model.gather(asked) is not None
    earlier = open_store(project, asked.store.as_of - timedelta(days=30))
    early = type(asked)(project, earlier, asked.device, asked.words)
    assert model.gather(early) is None
    assert risk.section(early).nothing


EVIL = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>"


def test_what_the_log_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    log = small_log(120).with_columns(
        what=pl.col("what").replace({"view": EVIL, "search": "{0} & <b>bold</b>"}),
        where=pl.col("where").replace({"app": EVIL}),
    )
    settings = load_settings(write_small_project(tmp_path / "p", log))
    ingest(settings)
    own = without_plotly(written(settings, tmp_path / "evil.html").file)
    assert EVIL not in own
    assert "<script>document.title" not in own
    assert "<img" not in own
    assert own.count("<script") == 3
    assert EVIL in json.dumps(document_of(tmp_path / "evil.html"), ensure_ascii=False)


def test_json_in_the_page_cannot_end_its_element() -> None:
    held = {"a": "</script><!--", "b": "\u2028", "c": 0.1}
    assert not set(inline(held)) & set("<>&\u2028")
    assert json.loads(inline(held)) == held


def test_many_users_make_the_page_no_larger(tmp_path: Path) -> None:
    sizes = []
    for users in (150, 3000):
        folder = tmp_path / str(users)
        log = small_log(150)
        copies = [
            log.with_columns(customer=pl.col("customer") + f"-{n}", id=pl.col("id") + n * 10**6)
            for n in range(users // 150)
        ]
        settings = load_settings(write_small_project(folder, pl.concat(copies)))
        ingest(settings)
        written(settings, folder / "report.html")
        sizes.append((folder / "report.html").stat().st_size)
    # Longer numbers, and nothing else.
    assert sizes[1] < 1.02 * sizes[0]


def test_a_funnel_is_named_or_written_out(project: Settings) -> None:
    (one,) = funnels_asked(project, ["view > purchase"])
    assert one.steps == ("view", "purchase")
    with pytest.raises(UsageError, match=r"funnel 'nope' is not known: holdfast.toml has none"):
        funnels_asked(project, ["nope"])


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="language 'fr' is not known; choose one of en, zh"):
        words_of("fr")
