"""Reasons: three different things, the strongest first, in words that hold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.attributes import Attribute
from features.definitions import Definitions
from features.dictionary import dictionary
from features.spec import FeatureSpec
from features.time import Window
from runtime.settings import Activity, Churn, Eligible, Value
from serving.reasons import STAYING, explain
from serving.topics import topics
from serving.wording import reads_typical, rounded, sentence

SPEC = FeatureSpec(
    windows=(Window(7), Window(30), Window(90)),
    events=("view", "purchase", "=cmd|' /C calc'!A0", "a\nb"),
    channels=("app", "web"),
    pools_events=True,
    pools_channels=True,
    has_amount=True,
    has_events=True,
    has_channels=True,
    has_times=True,
    session_gap_minutes=30,
    timezone="UTC",
    attributes=(
        Attribute("plan", "category", ("basic", "+premium")),
        Attribute("plan price", "number"),
    ),
    definitions=Definitions(Activity(), Eligible(), Churn(), Value()),
)
KNOWN = dictionary(SPEC)
FEATURES = tuple(KNOWN)
TOPICS = topics(FEATURES, SPEC)
SIX = ("recency_days", "gap_now_over_mean", "events_7d", "events_30d", "amount_mean", "tenure_days")


def _told(contributions: list[list[float]], values: list[list[float]]) -> list[tuple[str, ...]]:
    """SIX's features: silence twice, activity twice, basket, tenure."""
    typical = np.array([3.0, 1.0, 2.0, 8.0, 20.0, math.nan])
    arrays = np.array(contributions), np.array(values)
    return explain(*arrays, SIX, typical, SPEC).rows()


VALUES = [41.2, 5.0, 0.0, 1.0, 12.5, 400.0]


def test_pinned_for_a_user_at_risk() -> None:
    told = _told([[0.6, 0.5, 0.3, 0.4, 0.2, -0.1]], [VALUES])
    assert told == [
        (
            "last active 41 days ago (typical: 3 days)",
            "1 activity in the last 30 days (typical: 8)",
            "12.50 a purchase (typical: 20.00)",
        )
    ]


def test_pinned_for_a_user_who_stays() -> None:
    told = _told([[-0.6, -0.5, -0.3, -0.4, 0.2, 0.1]], [[0.5, 0.2, 9.0, 30.0, math.nan, 2.0]])
    assert told == [
        (
            f"{STAYING}last active 12 hours ago (typical: 3 days)",
            f"{STAYING}30 activities in the last 30 days (typical: 8)",
            "never bought",  # only two topics keep the user: the strongest other fills up
        )
    ]


def test_related_features_are_added_up() -> None:
    """Neither activity feature is the strongest, together they are."""
    told = _told([[0.5, 0.0, 0.3, 0.29, 0.0, 0.0]], [[41.2, 5.0, 1.0, 2.0, 12.5, 400.0]])
    assert told[0] == (
        "1 activity in the last 7 days (typical: 2)",
        "last active 41 days ago (typical: 3 days)",
        None,  # nothing else moves the score
    )


def test_no_activity_and_a_long_silence_are_one_reason() -> None:
    told = _told([[0.5, 0.0, 0.3, 0.29, 0.1, 0.0]], [[41.2, 5.0, 0.0, 0.0, math.nan, 400.0]])
    assert told[0] == ("last active 41 days ago (typical: 3 days)", "never bought", None)


def test_the_last_event_and_the_last_activity_may_be_one() -> None:
    names = ("recency_days", "event_days_since_view", "purchase_recency_days")
    parts, typical = np.array([[0.3, 0.2, 0.1]] * 2), np.full(3, 3.0)
    values = np.array([[41.2, 41.5, 60.0], [2.0, 41.5, math.nan]])
    assert explain(parts, values, names, typical, SPEC).rows() == [
        (
            "last active 41 days ago (typical: 3 days)",
            "last bought 60 days ago (typical: 3 days)",
            None,
        ),
        (
            "last active 2 days ago (typical: 3 days)",
            "last 'view' event 42 days ago (typical: 3 days)",
            "never bought",
        ),
    ]


def test_a_value_that_reads_as_typical_is_no_reason() -> None:
    """The next feature of the topic speaks, then the next topic; what is left is told, no more."""
    told = _told([[0.6, 0.5, 0.3, 0.4, 0.2, -0.1]], [[3.1, 5.0, 2.0, 8.0, 12.5, 400.0]])
    assert told == [
        (
            "silent for 5.00 times the usual gap (typical: 1.00 times)",
            "12.50 a purchase (typical: 20.00)",
            f"{STAYING}first seen 400 days ago",
        )
    ]
    told = _told([[0.6, 0.0, 0.3, 0.4, 0.2, 0.0]], [[3.1, 1.0, 2.0, 8.0, 20.004, 400.0]])
    assert told == [(None, None, None)]


@pytest.mark.parametrize(
    ("name", "value", "typical", "alike"),
    [
        ("recency_days", 3.1, 2.9, True),
        ("recency_days", 3.1, 4.0, False),
        ("events_30d", 0.0, 0.0, True),
        ("events_30d", 0.0, math.nan, False),
        ("purchase_recency_days", math.nan, 3.0, False),
        ("user_plan_is_basic", 1.0, 1.0, False),
    ],
)
def test_what_reads_alike(name: str, value: float, typical: float, alike: bool) -> None:
    assert reads_typical(KNOWN[name], value, typical) is alike


def test_features_of_a_topic_may_cancel_out() -> None:
    told = _told([[0.5, -0.5, 0.0, 0.1, 0.0, 0.0]], [VALUES])
    assert told[0] == ("1 activity in the last 30 days (typical: 8)", None, None)


def test_a_score_that_nothing_moves_has_no_reasons() -> None:
    assert _told([[0.0] * 6], [VALUES]) == [(None, None, None)]


def test_nobody_has_no_reasons() -> None:
    empty = np.empty((0, 6))
    frame = explain(empty, empty, SIX, np.zeros(6), SPEC)
    assert frame.schema == {f"reason_{i}": pl.String for i in (1, 2, 3)}
    assert frame.is_empty()


def test_a_model_of_one_feature_has_one_reason() -> None:
    one = np.array([[0.4]]), np.array([[9.0]])
    frame = explain(*one, SIX[:1], np.array([3.0]), SPEC)
    assert frame.rows() == [("last active 9 days ago (typical: 3 days)", None, None)]


def _topic(feature: int, value: float, recency: float) -> str:
    if math.isnan(value):
        return TOPICS.missing[feature]
    since = FEATURES[feature].startswith(("purchase_recency", "event_days_since"))
    if since and value < recency + 1:
        return "silence"
    return TOPICS.zero[feature] if value == 0 else TOPICS.known[feature]


def _naive(parts: np.ndarray, values: np.ndarray, typical: np.ndarray) -> tuple[str | None, ...]:
    """One user, one topic at a time."""
    order = (*TOPICS.known, *TOPICS.zero, *TOPICS.missing, *TOPICS.latest)
    sums = dict.fromkeys(order, 0.0)
    recency = float(values[FEATURES.index("recency_days")])
    topics_of = [_topic(i, float(value), recency) for i, value in enumerate(values)]
    for part, topic in zip(parts, topics_of, strict=True):
        sums[topic] += round(float(part), 6)
    sums = {topic: round(total, 6) for topic, total in sums.items()}
    at_risk = sum(round(float(part), 6) for part in parts) > 0

    def strength(topic: str) -> tuple[bool, float]:
        return (sums[topic] > 0) != at_risk, -abs(sums[topic])

    found: list[str | None] = []
    for topic in sorted((t for t in sums if sums[t]), key=strength):
        sign = math.copysign(1, sums[topic])
        members = [
            i
            for i, t in enumerate(topics_of)
            if t == topic
            and sign * round(float(parts[i]), 6) > 0
            and not reads_typical(KNOWN[FEATURES[i]], float(values[i]), float(typical[i]))
        ]
        if not members:
            continue
        said = max(members, key=lambda i: sign * round(float(parts[i]), 6))
        text = sentence(KNOWN[FEATURES[said]], float(values[said]), float(typical[said]), SPEC)
        found.append(text if sign > 0 else STAYING + text)
    return (*found, None, None, None)[:3]


CONTRIBUTIONS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 5), st.just(len(FEATURES))), elements=st.integers(-4, 4)
)


@limits(deadline=None)
@given(CONTRIBUTIONS, st.integers(0, 2**32 - 1))
def test_as_the_naive_way_says(steps: np.ndarray, seed: int) -> None:
    """Small whole steps, so that ties are frequent and sums are exact."""
    parts = steps / 64
    # A sum near 0 may round either way; the sign of the whole must be plain in both ways.
    rng = np.random.default_rng(seed)
    values = np.round(rng.exponential(20, parts.shape))
    values[rng.random(parts.shape) < 0.1] = np.nan
    typical = np.round(rng.exponential(20, len(FEATURES)))
    frame = explain(parts, values, FEATURES, typical, SPEC)
    assert frame.rows() == [_naive(p, v, typical) for p, v in zip(parts, values, strict=True)]


def test_a_user_is_told_the_same_in_any_company() -> None:
    rng = np.random.default_rng(1)
    parts, values = rng.normal(size=(50, len(FEATURES))), rng.exponential(9, (50, len(FEATURES)))
    typical = np.ones(len(FEATURES))
    together = explain(parts, values, FEATURES, typical, SPEC).rows()
    order = rng.permutation(50)
    mixed = explain(parts[order], values[order], FEATURES, typical, SPEC).rows()
    alone = [explain(parts[[i]], values[[i]], FEATURES, typical, SPEC).row(0) for i in range(50)]
    assert together == alone
    assert mixed == [together[i] for i in order]


def test_noise_in_the_last_bits_decides_nothing() -> None:
    parts = np.full((1, len(FEATURES)), 0.01)
    values, typical = np.ones_like(parts), np.ones(len(FEATURES))
    quiet = explain(parts, values, FEATURES, typical, SPEC).row(0)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0, 1e-9, parts.shape)
        assert explain(parts + noise, values, FEATURES, typical, SPEC).row(0) == quiet


def test_every_feature_belongs_to_a_topic_of_several() -> None:
    alone = [name for name, topic in zip(FEATURES, TOPICS.known, strict=True) if name == topic]
    assert alone == []
    assert len(set(TOPICS.known)) > 15


def test_topics_pinned() -> None:
    of = dict(zip(FEATURES, TOPICS.known, strict=True))
    assert of["recency_days"] == of["gap_now_over_max"] == "silence"
    assert of["events_7d"] == of["active_days_total"] == of["sessions_30d"] == "activity"
    assert of["event_total_view"] == of["event_days_since_view"] == "event view"
    assert of["event_total_view"] != of["event_total_purchase"]
    assert of["user_plan_is_basic"] == of["user_plan_is_premium"] == "attribute plan"
    assert of["user_plan_price"] == "attribute plan price"
    assert topics(["brand_new"], SPEC).known == ("brand_new",)


def test_a_topic_depends_on_whether_there_is_anything() -> None:
    zero, missing = (dict(zip(FEATURES, t, strict=True)) for t in (TOPICS.zero, TOPICS.missing))
    assert zero["events_7d"] == zero["sessions_30d"] == zero["kinds_7d"] == "silence"
    assert missing["session_depth_7d"] == "silence"
    assert missing["gap_mean_days"] == missing["gap_now_over_mean"] == "activity"
    assert zero["purchases_7d"] == missing["amount_mean_7d"] == "no purchase"


def test_on_a_log_of_one_kind_buying_is_activity() -> None:
    one = replace(SPEC, has_events=False, events=("purchase",))
    names = ["events_7d", "purchases_7d", "recency_days", "purchase_recency_days"]
    assert topics(names, one).known == ("activity", "activity", "silence", "silence")
    assert set(topics(names, one).zero) == {"silence"}


def test_the_event_that_is_activity_or_value_is_not_told_twice() -> None:
    names = ["event_total_view", "event_days_since_view", "event_total_purchase", "amount_7d"]
    meant = replace(
        SPEC.definitions, activity=Activity(events=("view",)), value=Value(events=("purchase",))
    )
    spec = replace(SPEC, definitions=meant)
    assert topics(names, spec).known == ("activity", "silence", "buying", "buying")


@pytest.mark.parametrize("value", [math.nan, 0, 1, 0.004, 1.5, -5, 99.96, 1234567.891, 1e30])
def test_every_sentence_is_one_safe_line(value: float) -> None:
    for name in FEATURES:
        for typical in (math.nan, value, 7.0):
            text = sentence(KNOWN[name], value, typical, SPEC)
            assert text
            assert text == " ".join(text.split())
            assert text[0] not in "=+-@"
            assert not {"{}", "[", "nan"} & {text, *text.split()}


@pytest.mark.parametrize(
    ("name", "value", "typical", "text"),
    [
        ("recency_days", 41.0, 3.0, "last active 41 days ago (typical: 3 days)"),
        ("events_30d", 1.0, 0.0, "1 activity in the last 30 days (typical: none)"),
        ("amount_total", -5.0, math.nan, "minus 5.00 spent in all"),
        ("user_plan_is_basic", 0.0, 1.0, "plan is not basic"),
        ("purchase_recency_days", math.nan, 3.0, "never bought"),
    ],
)
def test_sentences_pinned(name: str, value: float, typical: float, text: str) -> None:
    assert sentence(KNOWN[name], value, typical, SPEC) == text


@limits(deadline=None)
@given(st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf]), st.booleans())
def test_rounding_is_no_coarser_than_what_is_said(value: float, money: bool) -> None:
    near = float(rounded(np.array([value]), np.array([money]))[0])
    if not math.isfinite(value):
        assert math.isnan(near)
    elif abs(value) < 1e15:
        assert near == pytest.approx(value, rel=0.0051, abs=0.0051)
