"""The figures of a review: calibration, gain, importance and value by tenth."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.wilson import wilson
from training.metrics import Floats

BLUE, ORANGE, GREY = "#3f86e8", "#e07b39", "#8b94a3"
CURVE_POINTS = 200
MOST_FEATURES = 20
LABEL_WIDTH = 30
NARROW = 0.1  # axes of a smaller reach have ticks of tenths of a per cent


def equal_mass(predicted: Floats, bins: int = 10) -> npt.NDArray[np.int64]:
    """The bin of each row, shape (n,), by falling prediction; equal predictions share a bin."""
    _, place, count = np.unique(-predicted, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - count / 2) / len(predicted)
    bin_of = np.minimum((middle * bins).astype(np.int64), bins - 1)
    return np.asarray(bin_of[place])


def rate_interval(rate: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval at 95 %; rounding does not put the rate outside."""
    low, high = wilson(rate, count)
    return np.minimum(low, rate), np.maximum(high, rate)


def reliability(churn: Floats, probability: Floats) -> Any:
    """Observed churn against predicted in ten bins of equal size, above a histogram. The axes reach
    as far as the predictions and the intervals."""
    from plotly import graph_objects as go
    from plotly.subplots import make_subplots

    bins = equal_mass(probability)
    count = np.bincount(bins).astype(np.float64)
    used = count > 0
    mean = np.bincount(bins, probability)[used] / count[used]
    rate = np.bincount(bins, churn)[used] / count[used]
    low, high = rate_interval(rate, count[used])
    begin, end = _reach(min(low.min(), probability.min()), max(high.max(), probability.max()))
    error = {"type": "data", "array": high - rate, "arrayminus": rate - low, "thickness": 1.2}
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.04
    )
    figure.add_trace(_line([begin, end], [begin, end], "perfect", GREY, dash="dot"), 1, 1)
    points = go.Scatter(
        x=mean,
        y=rate,
        error_y=error,
        mode="lines+markers",
        name="observed, 95 % interval",
        line_color=BLUE,
        hovertemplate="predicted %{x:.1%}<br>observed %{y:.1%}<extra></extra>",
    )
    figure.add_trace(points, 1, 1)
    height, edges = np.histogram(probability, bins=40, range=(begin, end))
    bars = go.Bar(
        x=(edges[1:] + edges[:-1]) / 2,
        y=height,
        marker_color=BLUE,
        opacity=0.5,
        showlegend=False,
        hovertemplate="about %{x:.1%}: %{y:,} users<extra></extra>",
    )
    figure.add_trace(bars, 2, 1)
    axis = {"range": [begin, end], "tickformat": ".0%" if end - begin > NARROW else ".1%"}
    figure.update_xaxes(title_text="predicted churn probability", row=2, col=1)
    figure.update_xaxes(**axis)
    figure.update_yaxes(title_text="observed churn", row=1, col=1, **axis)
    figure.update_yaxes(title_text="users", nticks=3, row=2, col=1)
    return styled(figure, height=440)


def _reach(low: float, high: float) -> tuple[float, float]:
    """With a little air at both ends, within 0 and 1."""
    air = 0.04 * max(high - low, 0.01)
    return max(low - air, 0.0), min(high + air, 1.0)


def gains(churn: Floats, probability: Floats, recency: Floats | None) -> Any:
    """Share of churners caught against the share of users looked at, by falling probability."""
    from plotly import graph_objects as go

    figure = go.Figure()
    figure.add_trace(_line([0, 1], [0, 1], "at random", GREY, dash="dot"))
    rate = float(churn.mean())
    figure.add_trace(_line([0, rate, 1], [0, 1, 1], "perfect", GREY, dash="dash"))
    if recency is not None:
        figure.add_trace(_line(*_gain_curve(churn, recency), "recency alone", ORANGE))
    figure.add_trace(_line(*_gain_curve(churn, probability), "model", BLUE))
    figure.update_traces(
        hovertemplate="top %{x:.1%} of users: %{y:.1%} of churners<extra>%{fullData.name}</extra>"
    )
    figure.update_xaxes(title_text="share of users, riskiest first", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title_text="share of churners caught", tickformat=".0%", range=[0, 1.01])
    return styled(figure, height=400)


def _gain_curve(churn: Floats, probability: Floats) -> tuple[Floats, Floats]:
    _, place, count = np.unique(-probability, return_inverse=True, return_counts=True)
    caught = np.bincount(place, churn)
    x = np.r_[0, np.cumsum(count)] / len(churn)
    y = np.r_[0, np.cumsum(caught)] / max(churn.sum(), 1)
    at = np.linspace(0, 1, CURVE_POINTS + 1)
    return at, np.interp(at, x, y)


def importance(contributions: Floats, names: Mapping[str, str]) -> Any:
    """Mean size of each feature's push on the log-odds, (n, features); the largest on top.

    `names`: the features in the order of the columns, with the words to show for each.
    """
    from plotly import graph_objects as go

    size = np.abs(contributions).mean(0)
    top = np.argsort(-size, kind="stable")[:MOST_FEATURES]
    top = top[size[top] > 0][::-1]
    keys, words = list(names), list(names.values())
    labels = ["<br>".join(textwrap.wrap(words[i], LABEL_WIDTH)) or keys[i] for i in top]
    bars = go.Bar(
        x=size[top],
        y=list(range(len(top))),
        orientation="h",
        marker_color=BLUE,
        customdata=[keys[i] for i in top],
        hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
    )
    figure = go.Figure(bars)
    figure.update_yaxes(
        tickvals=list(range(len(top))), ticktext=labels, automargin=True, tickfont_size=11
    )
    figure.update_xaxes(title_text="mean push on the log-odds", rangemode="tozero")
    return styled(figure, height=120 + 36 * max(len(top), 1))


def value_tenths(value: Floats, expected: Floats) -> Any:
    """Mean expected and actual value in ten equal groups by falling expectation."""
    from plotly import graph_objects as go

    bins = equal_mass(expected)
    count = np.bincount(bins, minlength=10)
    used = np.flatnonzero(count)
    figure = go.Figure()
    for name, amounts, colour in (("expected", expected, BLUE), ("actual", value, ORANGE)):
        mean = np.bincount(bins, amounts, minlength=10)[used] / count[used]
        figure.add_trace(
            go.Bar(
                x=[str(b + 1) for b in used],
                y=mean,
                name=name,
                marker_color=colour,
                hovertemplate="tenth %{x}: %{y:,.2f}<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_xaxes(title_text="tenth of users, most valuable first", type="category")
    figure.update_yaxes(title_text="mean value")
    return styled(figure, height=380)


def _line(x: Any, y: Any, name: str, colour: str, dash: str = "solid") -> Any:
    from plotly import graph_objects as go

    return go.Scatter(x=x, y=y, mode="lines", name=name, line={"color": colour, "dash": dash})


def styled(figure: Any, height: int) -> Any:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 12, "t": 8, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        bargap=0.15,
        hovermode="closest",
    )
    figure.update_xaxes(fixedrange=True, zeroline=False)
    figure.update_yaxes(fixedrange=True, zeroline=False)
    return figure
