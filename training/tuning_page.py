"""The page of a search: what was won, which settings matter, and every trial. One offline file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from training.plots import BLUE
from training.review import listed, noted, sheet

if TYPE_CHECKING:
    from training.spaces import Target
    from training.studies import Found, Study

HEIGHT = 420
ROW_HEIGHT = 34


def tuning_page(
    title: str,
    lead: str,
    searched: Mapping[Target, tuple[str, Study, Found]],
    notes: Sequence[str],
    facts: Mapping[str, str],
) -> str:
    """HTML with plotly.js inside. `searched`: measure, study and best of each target."""
    figures: dict[str, tuple[str, Any]] = {}
    untold: list[str] = []
    for target, (measure, study, _) in searched.items():
        shares = study.importances()
        if shares:
            told = (
                f"The share of the variance of the {measure} that each setting explains (fANOVA)."
            )
            figures[f"{target.capitalize()}: what matters"] = (told, importance(shares))
        else:
            untold.append(f"{target}: too few trials differ to say which setting matters")
        for heading, (told, figure) in study.figures(measure).items():
            figures[f"{target.capitalize()}: {heading.lower()}"] = (told, _plain(figure))
    before = noted([*notes, *untold]) + _won(searched)
    words = {name.replace("_", " "): value for name, value in facts.items()}
    return sheet(title, lead, before, figures, listed(words))


def importance(shares: Mapping[str, float]) -> Any:
    """Bars, the setting that matters most on top."""
    from plotly import graph_objects as go

    names = list(shares)[::-1]
    bars = go.Bar(
        x=[shares[name] for name in names],
        y=[name.replace("_", " ") for name in names],
        orientation="h",
        marker_color=BLUE,
        hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return _plain(figure).update_layout(height=90 + ROW_HEIGHT * len(names), margin_l=140)


def _plain(figure: Any) -> Any:
    """In the page's colours, without a title of its own."""
    return figure.update_layout(
        title=None,
        template="none",
        height=HEIGHT,
        width=None,  # as wide as the page
        margin={"l": 64, "r": 24, "t": 36, "b": 64},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )


def _won(searched: Mapping[Target, tuple[str, Study, Found]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(target)}: {escape(measure)}</td><td>{one.loss:.5f}</td>"
        f"<td>{one.default_loss:.5f}</td><td>{one.gain:.5f} ± {one.gain_error:.5f}</td>"
        f"<td>{one.trials} ({one.stopped_early})</td></tr>"
        for target, (measure, _, one) in searched.items()
    )
    best = "".join(
        f"<tr><td>{escape(target)}: {escape(name.replace('_', ' '))}</td><td>{value:.5g}</td></tr>"
        for target, (_, _, one) in searched.items()
        for name, value in _settled(one).items()
    )
    return (
        "<section><h2>What was won</h2><div class=scroll><table>"
        "<tr><th>loss</th><th>best</th><th>default</th><th>gain<br><small>and its standard error "
        f"over users</small></th><th>trials<br><small>stopped early</small></th></tr>{rows}"
        f"</table></div></section><section><h2>The best settings</h2><div class=scroll><table>"
        f"<tr><th>setting</th><th>value</th></tr>{best}</table></div></section>"
    )


def _settled(one: Found) -> dict[str, float]:
    return {**one.settings, **({} if one.rounds is None else {"rounds": one.rounds})}
