"""Studies: which trials follow, what an interruption leaves, what is stopped, what matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.errors import OutputError
from training.spaces import Range
from training.studies import AT_RANDOM, BEFORE_PRUNING, Finished, Study, best_of, studies

SPACE = {
    "eta": Range(0.01, 1.0, log=True),
    "depth": Range(1, 8, whole=True),
    "idle": Range(0.0, 1.0),
}
FIRST = {"eta": 0.1, "depth": 4, "idle": 0.5}
TRIALS = AT_RANDOM + 3


def _loss(params: dict[str, float]) -> float:
    return (params["eta"] - 0.2) ** 2 + 0.1 * abs(params["depth"] - 3)


@contextmanager
def _opened(folder: Path, seed: int = 0, steps: tuple[float, ...] = (1.0,)) -> Iterator[Study]:
    with studies(folder, {"toy": (SPACE, steps)}, seed) as found:
        study = found["toy"]
        if not study.has_begun:
            study.begin_with(FIRST)
        yield study


def _run(
    study: Study,
    trials: int,
    slots: int = 1,
    finish: int | None = None,
    loss: Callable[[dict[str, float]], float] = _loss,
) -> None:
    """Up to so many trials; with `finish` a kill after so many are finished, in mid-batch."""
    while (done := len(study.finished())) < trials:
        for trial in study.ask(slots, trials - done):
            if len(study.finished()) == finish:
                return
            study.finish(trial, loss(dict(trial.params)), 1.0, None)


def _told(study: Study) -> list[tuple[object, ...]]:
    return [(t.params, t.loss, t.is_default) for t in study.finished()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[tuple[object, ...]]]:
    """The trials of an undisturbed search, by the number of slots."""
    found = {}
    for slots in (1, 3):
        with _opened(tmp_path_factory.mktemp("whole")) as study:
            _run(study, TRIALS, slots)
            found[slots] = _told(study)
    return found


def test_the_default_comes_first_and_the_seed_decides_the_rest(
    tmp_path: Path, whole: dict[int, list[tuple[object, ...]]]
) -> None:
    with _opened(tmp_path / "again") as study:
        _run(study, TRIALS)
        assert _told(study) == whole[1]
    with _opened(tmp_path / "other", seed=1) as study:
        _run(study, 2)
        other = _told(study)
    assert whole[1][0] == other[0] == (FIRST, _loss(FIRST), True)
    assert whole[1][1] != other[1]
    assert len({str(one) for one in whole[1]}) == TRIALS


@pytest.mark.parametrize(
    ("slots", "finish"),
    [(1, 0), (1, AT_RANDOM + 1), (3, 4)]
    + [pytest.param(s, f, marks=pytest.mark.slow) for s in (1, 3) for f in (1, 5, AT_RANDOM)],
)
def test_an_interrupted_search_goes_on_to_the_same_trials(
    tmp_path: Path, whole: dict[int, list[tuple[object, ...]]], slots: int, finish: int
) -> None:
    with _opened(tmp_path / "cut") as study:
        _run(study, TRIALS, slots, finish)
        kept = _told(study)
        assert len(kept) == finish
    with _opened(tmp_path / "cut") as study:
        assert _told(study) == kept
        states = [trial.state.name for trial in study.study.trials]
        assert "RUNNING" not in states
        assert "FAIL" in states
        _run(study, TRIALS, slots)
        assert _told(study) == whole[slots]


def _killed_while_asking(study: Study, params: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill once so many of a trial's params have been written."""
    write, written = study.study._storage.set_trial_param, iter(range(params))

    def or_die(*args: object) -> None:
        if next(written, None) is None:
            raise KeyboardInterrupt
        write(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(study.study._storage, "set_trial_param", or_die)
        with pytest.raises(KeyboardInterrupt):
            study.ask(1, 1)


@pytest.mark.parametrize("params", range(len(SPACE)))
@pytest.mark.parametrize("finished", [0, 2])
def test_a_kill_while_a_trial_is_asked_for_loses_none(
    tmp_path: Path,
    whole: dict[int, list[tuple[object, ...]]],
    monkeypatch: pytest.MonkeyPatch,
    params: int,
    finished: int,
) -> None:
    """Neither the default nor what an earlier kill had left."""
    with _opened(tmp_path) as study:
        if finished:
            _run(study, TRIALS, finish=finished)
        else:
            _killed_while_asking(study, params, monkeypatch)
    with _opened(tmp_path) as study:
        _killed_while_asking(study, params, monkeypatch)
    with _opened(tmp_path) as study:
        _run(study, finished + 1)
        assert _told(study) == whole[1][: finished + 1]


@pytest.mark.slow
def test_interrupted_again_and_again(
    tmp_path: Path, whole: dict[int, list[tuple[object, ...]]]
) -> None:
    for finish in (0, 0, 1, 1, 5, 6):
        with _opened(tmp_path) as study:
            _run(study, TRIALS, 3, finish)
    with _opened(tmp_path) as study:
        _run(study, TRIALS, 3)
        assert _told(study) == whole[3]


def test_a_hopeless_trial_is_stopped_and_a_fair_one_is_not(tmp_path: Path) -> None:
    steps = (0.3, 1.0)
    with _opened(tmp_path, steps=steps) as study:
        for _ in range(BEFORE_PRUNING):
            (trial,) = study.ask(1, 1)
            loss = _loss(dict(trial.params))
            assert not study.is_hopeless(trial, 0, loss + 0.1)
            assert not study.is_hopeless(trial, 1, loss)
            study.finish(trial, loss, 1.0, 7)
        (good,) = study.ask(1, 1)
        assert not study.is_hopeless(good, 0, 0.05)
        study.finish(good, 0.01, 1.0, 7)
        (bad,) = study.ask(1, 1)
        assert study.is_hopeless(bad, 0, 9.0)
        told = study.finish(bad, None, 1.0, 7)
        assert (told.loss, told.stopped_at, told.rounds) == (None, 0.3, 7)
        assert best_of(study.finished()).number == good.number


def test_of_equal_trials_the_default_wins() -> None:
    def trial(number: int, loss: float | None, is_default: bool = False) -> Finished:
        return Finished(number, {}, loss, None, is_default, 1.0, None)

    assert best_of([trial(0, 1.0), trial(1, 1.0, True), trial(2, None)]).number == 1
    assert best_of([trial(0, 1.0, True), trial(2, 0.5), trial(1, 0.5)]).number == 1


def test_what_matters_is_told_once_there_are_enough_trials(tmp_path: Path) -> None:
    with _opened(tmp_path) as study:
        _run(study, 3, loss=lambda params: params["depth"])
        assert study.importances() == {}
        _run(study, TRIALS, loss=lambda params: params["depth"])
        shares = study.importances()
        assert shares == study.importances()
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares) == sorted(shares, key=lambda name: -shares[name])
    assert shares["depth"] > 0.5


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match="is not a folder"),
        _opened(tmp_path / "file"),
    ):
        pass
