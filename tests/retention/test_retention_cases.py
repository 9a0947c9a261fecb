"""The cases of cases/retention*.toml, each worked by hand, and the lists behind their figures."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from oracles.retention_cases import CPU, asked_of, counts, lines_of, numbers, table_of, world_of
from oracles.worked_cases import Case, cases_in

from retention.curve import RetentionTable, retention
from retention.drill import Figure, count_of, write_users
from runtime.errors import UsageError

FILES = sorted((Path(__file__).parent / "cases").glob("retention*.toml"))
CASES = [case for file in FILES for case in cases_in(file)]
COLUMNS = ("value", "mean", "share", "low", "high")
TOLERANCE = 1.1e-6  # what a person writes down


def test_there_are_many_and_no_two_of_one_name() -> None:
    assert len(CASES) >= 65
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_worked_case(case: Case, tmp_path: Path) -> None:
    expected = case.expect
    known = {"cohorts", "groups", "overall", "undecided", "error", *COLUMNS}
    assert expected
    assert set(expected) <= known
    if "error" in expected:
        with pytest.raises(UsageError) as raised:
            table_of(case, tmp_path)
        assert expected["error"] in str(raised.value)
        return
    table = table_of(case, tmp_path)
    lines = lines_of(table)
    if "cohorts" in expected:
        found = {name: counts(rows) for name, rows in lines.items() if "cohort" in rows.columns}
        assert found == expected["cohorts"]
    if "groups" in expected:
        labels = list(table.labels.values())
        assert [f"{name}: {counts(lines[name])}" for name in labels] == expected["groups"]
    if "overall" in expected:
        assert counts(table.overall) == expected["overall"]
    assert table.undecided == expected.get("undecided", table.undecided)
    for column in COLUMNS:
        for name, text in expected.get(column, {}).items():
            found = lines[name][column].to_list()
            assert found == pytest.approx(numbers(text), abs=TOLERANCE), (column, name)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if "error" not in case.expect],
    ids=lambda case: case.name,
)
def test_the_list_behind_each_figure_is_as_long_as_it_says(case: Case, tmp_path: Path) -> None:
    chosen, store = world_of(case, tmp_path)
    table = retention(chosen, store, CPU, **asked_of(case.ask, case.zone))
    if table.asked.is_money:
        with pytest.raises(UsageError, match="counts nobody"):
            count_of(table, Figure(table.overall["cell"][0]))
        return
    for figure in figures_of(table):
        said = count_of(table, figure)
        path = tmp_path / "users.parquet"
        assert write_users(path, table, figure, store, CPU) == said
        listed = pl.read_parquet(path)
        assert listed.height == said
        assert table.anchor == "every" or listed["user_id"].n_unique() == said


def figures_of(table: RetentionTable) -> list[Figure]:
    """Of the last cell: all, each cohort, each group, retained and lost."""
    found = []
    for cell in table.overall["cell"].tail(1):
        for lost in (False, True):
            found.append(Figure(cell, lost=lost))
            found += [Figure(cell, group=label, lost=lost) for label in table.labels.values()]
            rows = table.cells.filter(pl.col("cell") == cell)
            ended = rows.group_by("cohort").agg(pl.col("complete").all())
            days = [day for day, done in ended.iter_rows() if done or not lost]
            found += [Figure(cell, day, lost=lost) for day in days]
    return found
