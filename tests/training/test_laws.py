"""What models of buying have learned, said: by one, among others, and where it is not told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from buying_frames import HORIZON, a_buying_task, buying_frame
from training_frames import cutoffs

from training.blend import Blend
from training.buying_silence import Silence
from training.buying_spec import BuyingSpec
from training.buying_spending import Spending
from training.fitting import fit
from training.laws import facts_of, law_notes, laws_of, metrics_of
from training.linear import flat
from training.model import Model
from training.split import plan_split

AT = cutoffs(4)
SPLIT = plan_split(AT, AT[0].at - AT[1].at)
OTHER = flat(8)


@pytest.fixture(scope="module")
def model() -> Model:
    frame = buying_frame(AT, users=300, horizon=HORIZON)
    return fit(frame, SPLIT.fit, SPLIT.calibrate, BuyingSpec(), a_buying_task()).model


def test_among_others_they_are_said_as_alone(model: Model) -> None:
    alone = laws_of(model)
    assert [one.of for one in alone] == ["activity"] * 6 + ["purchases"] * 6 + ["amounts"] * 5
    parts = {"churn": model.churn, "value": model.value}
    blends = {
        of: Blend(of, ("logistic", "buying"), (OTHER, part), (0.5, 0.5))  # type: ignore[arg-type]
        for of, part in parts.items()
    }
    assert laws_of(replace(model, **blends)) == alone
    assert laws_of(replace(model, churn=OTHER, value=None)) == ()
    assert metrics_of(alone)["law_activity_r_low"] == alone[0].low


def test_one_law_of_both_is_said_once(model: Model) -> None:
    assert isinstance(model.churn, Silence)
    assert isinstance(model.value, Spending)
    both = replace(model, value=replace(model.value, fit=model.churn.fit, spend=None))
    assert {one.of for one in laws_of(both)} == {"activity"}


def test_what_the_data_do_not_tell_has_no_interval_and_a_note(model: Model) -> None:
    assert isinstance(model.churn, Silence)
    fit = model.churn.fit
    untold = ((None,) * 4, *(fit.log_covariance[1:]))
    why = "r runs to infinity: the data do not tell it"
    blind = replace(model.churn, fit=replace(fit, log_covariance=untold, notes=(why,)))
    found = replace(model, churn=blind)
    (r, *_) = laws_of(found)
    assert (r.parameter, r.low, r.high) == ("r", None, None)
    assert "law_activity_r_low" not in metrics_of([r])
    name = f"{model.churn.kind.upper()} of activity"
    assert facts_of([r]) == {name: f"r {r.value:.6g}"}
    assert f"{name}: {why}" in law_notes(found)
