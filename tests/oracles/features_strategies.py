"""Small awkward logs, users, definitions and specs for the feature tests to draw from."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from oracles.features_logs import ATTRIBUTES, CHANNELS, EDGES, EVENTS_SEEN, USERS, T

from features.definitions import Definitions
from features.spec import FeatureSpec
from features.time import Window
from runtime.settings import Activity, Churn, Eligible, Value

amounts = st.none() | st.integers(-40_000, 400_000).map(lambda quarters: quarters / 4)
moments = st.one_of(
    st.sampled_from(EDGES).flatmap(lambda edge: st.sampled_from((T - edge, T + edge))),
    st.integers(-500 * 24 * 60, 60 * 24 * 60).map(lambda minutes: T + timedelta(minutes=minutes)),
    st.integers(-300, 30).map(lambda minutes: T + timedelta(minutes=minutes)),
    st.integers(-60, 5).map(lambda days: T.replace(hour=0, minute=0) + timedelta(days=days)),
)
rows = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(USERS),
        "ts": moments,
        "event": st.sampled_from(EVENTS_SEEN),
        "amount": amounts,
        "channel": st.sampled_from(CHANNELS),
    }
)
logs = st.lists(rows, min_size=1, max_size=25)
people = st.dictionaries(
    st.sampled_from(USERS),
    st.fixed_dictionaries(
        {
            "age": st.none() | st.floats(-10, 200, allow_nan=False),
            "plan": st.sampled_from((None, "gold", "free", "new")),
            "left": st.none() | moments,
        }
    ),
)
names = st.sampled_from(EVENTS_SEEN)
churns = st.one_of(
    st.just(Churn(kind="passive")),
    st.just(Churn(kind="active", events=("cancel",), gap_days=7)),
    st.just(Churn(kind="active", events=("cancel", "Buy"), date_column="left")),
    st.just(Churn(kind="active", date_column="left", gap_days=2)),
    st.just(Churn(kind="lapse", events=("buy", "view"), period_days=30, grace_days=1)),
    st.just(Churn(kind="lapse", events=("buy",), period_days=7, gap_days=7)),
)
definitions = st.builds(
    Definitions,
    activity=st.builds(
        Activity,
        events=st.none() | st.lists(names, min_size=1, max_size=4).map(tuple),
        exclude=st.lists(names, max_size=1).map(tuple),
    ),
    eligible=st.builds(Eligible, within_days=st.sampled_from((None, None, 7, 90))),
    churn=churns,
    value=st.builds(Value, events=st.none() | st.lists(names, min_size=1, max_size=3).map(tuple)),
)
specs = st.builds(
    FeatureSpec,
    windows=st.sampled_from(
        (tuple(map(Window, (7, 30, 90, 365))), (Window(31),), (), tuple(map(Window, (1, 7, 3650))))
    ),
    events=st.lists(names, unique=True, min_size=1, max_size=6).map(tuple),
    channels=st.lists(st.sampled_from(CHANNELS[1:]), unique=True, max_size=3).map(tuple),
    pools_events=st.booleans(),
    pools_channels=st.booleans(),
    has_amount=st.booleans(),
    has_events=st.booleans(),
    has_channels=st.booleans(),
    has_times=st.booleans(),
    session_gap_minutes=st.sampled_from((1, 30, 3 * 24 * 60)),
    timezone=st.sampled_from(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu")),
    definitions=definitions,
    attributes=st.sampled_from(((), ATTRIBUTES)),
)
