"""Ratios one below the other: each in a place of its own, whatever its label."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from report.ratios import WIDTH, Series, draw


def _row(told: str, ratio: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {"told": told, "ratio": ratio, "low": low, "high": high, "hollow": False}


def test_labels_that_are_cut_alike_stay_apart() -> None:
    long = "do something with 'campaign' = " + "'x'" * 60
    found = draw([Series("all", "$c1", [_row(long, 2, 1.5, 3), _row(long + "!", 1.2, 1, 2)])], "t")
    assert found is not None
    assert found["data"][0]["y"] == [0, 1]
    labels = found["layout"]["yaxis"]["ticktext"]
    assert len(labels) == 2
    assert all(len(line) <= WIDTH for label in labels for line in label.split("<br>"))
    assert labels[0].endswith("…")


def test_what_the_log_says_is_text() -> None:
    found = draw([Series("all", "$c1", [_row("<b>bold</b> & more", 2, 1.5, 3)])], "t")
    assert found is not None
    assert found["layout"]["yaxis"]["ticktext"] == ["&lt;b&gt;bold&lt;/b&gt; &amp; more"]


def test_what_has_no_place_on_the_axis_is_left_to_the_table() -> None:
    never, alone = _row("never", 0.0, 0.0, 0.4), _row("others never", None, 3.0, None)
    assert draw([Series("all", "$c1", [never, alone])], "t") is None
    two = [Series("a", "$c4", [alone]), Series("b", "$c1", [never, _row("drawn", 0.5, 0.4, 0.6)])]
    found = draw(two, "t")
    assert found is not None
    assert [trace["name"] for trace in found["data"]] == ["b"]
    assert found["layout"]["yaxis"]["ticktext"] == ["drawn"]


def test_ticks_keep_their_distance() -> None:
    found = draw([Series("all", "$c1", [_row("wide", 1.1, 0.011, 90)])], "t")
    assert found is not None
    axis = found["layout"]["xaxis"]
    ticks = axis["tickvals"]
    assert 1.0 in ticks
    assert 3 <= len(ticks) <= 5
    assert all(later / earlier > 3 for earlier, later in pairwise(ticks))
