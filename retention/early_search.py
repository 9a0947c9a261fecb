"""Markers chosen on earlier cohorts and judged on later ones.

Each half of the users is counted apart: `search` is handed the earlier one and sees no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from retention.early_plan import EVERYONE, KINDS, Candidate
from retention.twofold import TwoShares, chi_square, false_discovery, fisher

OUTCOMES = ("pays", "stays")
CHI_SQUARE_5 = 3.841458820694124  # one degree of freedom
_BEHAVIOUR = ("kind", "name")

Behaviour = tuple[str, str]  # kind, name


@dataclass(frozen=True)
class Half:
    """The users of some cohorts. `seen`: outcome, days, kind, name, at_least, busy, users, hits,
    and all users' `all_users`, `all_hits` of the stratum beside them. `hits`: all users', by
    outcome and first days."""

    users: int
    hits: dict[tuple[str, int], int]
    seen: pl.DataFrame

    @staticmethod
    def of(counts: pl.DataFrame, first_days: Sequence[int]) -> Half:
        """From the counts of `early_plan`, of one half."""
        found = pl.concat(
            _with_hits(counts, outcome, place, days)
            for place, days in enumerate(first_days)
            for outcome in OUTCOMES
        )
        everyone = found.filter(pl.col("kind") == EVERYONE)
        hits = everyone.group_by("outcome", "days").agg(pl.col("hits").sum())
        strata = everyone.select("outcome", "days", "busy", all_users="users", all_hits="hits")
        seen = found.filter(pl.col("kind") != EVERYONE)
        return Half(
            users=int(counts.filter(pl.col("kind") == EVERYONE)["users"].sum()),
            hits={(outcome, days): n for outcome, days, n in hits.iter_rows()},
            seen=seen.join(strata, on=["outcome", "days", "busy"]),
        )

    def both_ways(self, outcome: str) -> bool:
        """Whether the outcome came to some users and not to others."""
        return any(0 < n < self.users for (name, _), n in self.hits.items() if name == outcome)

    def tables(self) -> dict[Candidate, TwoShares]:
        """Every candidate that somebody fits, in a fixed order."""
        by = ["outcome", *_BEHAVIOUR, "at_least", "days"]
        summed = self.seen.group_by(by).agg(pl.col("users", "hits").sum()).sort(by)
        found = {}
        for outcome, kind, name, at_least, days, users, hits in summed.iter_rows():
            candidate = Candidate(outcome, KINDS[kind], name, at_least, days)
            found[candidate] = self._table(candidate, users, hits)
        return found

    def table(self, candidate: Candidate) -> TwoShares:
        """Zeros where nobody fits."""
        rows = self._rows(candidate)
        return self._table(candidate, int(rows["users"].sum()), int(rows["hits"].sum()))

    def strata(self, candidate: Candidate) -> tuple[TwoShares, ...]:
        """The candidate's tables among users as busy on their first day."""
        rows = self._rows(candidate).sort("busy").select("users", "hits", "all_users", "all_hits")
        return tuple(
            TwoShares(hits, users, all_hits - hits, everyone - users)
            for users, hits, everyone, all_hits in rows.iter_rows()
        )

    def _rows(self, c: Candidate) -> pl.DataFrame:
        wanted = {"outcome": c.outcome, "kind": KINDS.index(c.kind), "name": c.name}
        return self.seen.filter(at_least=c.at_least, days=c.days, **wanted)

    def _table(self, c: Candidate, users: int, hits: int) -> TwoShares:
        return TwoShares(hits, users, self.hits[c.outcome, c.days] - hits, self.users - users)


def _with_hits(counts: pl.DataFrame, outcome: str, place: int, days: int) -> pl.DataFrame:
    """Users and those with the outcome, of who had done it in the first `days`."""
    hit = pl.col("paid") > place if outcome == "pays" else pl.col("stayed") == 1
    done = (pl.col("within") <= place) | (pl.col("kind") == EVERYONE)
    summed = counts.filter(done).group_by("busy", *_BEHAVIOUR, "at_least")
    return summed.agg(pl.col("users").sum(), hits=pl.col("users").filter(hit).sum()).with_columns(
        outcome=pl.lit(outcome), days=pl.lit(days, pl.Int32)
    )


@dataclass(frozen=True)
class Chosen:
    """The best candidate of a behaviour, its table in the search, and the behaviours that the
    very same users had, as often and as early."""

    candidate: Candidate
    table: TwoShares
    also: tuple[Behaviour, ...] = ()


@dataclass(frozen=True)
class Searched:
    """`candidates`: how many were looked at. `chosen`: what is carried over to validation."""

    candidates: int
    chosen: tuple[Chosen, ...]


def search(half: Half, least_users: int) -> Searched:
    """Of each behaviour and outcome the candidate that tells most about it: the largest
    chi-square, then the fewer days, then the lower count. A candidate has `least_users` with it
    and as many without; one whose chi-square does not reach 5 %'s is not carried over. Of
    behaviours that the same users had at every count and day the first of KINDS is taken."""
    twins = _twins(half.seen)
    tables = {
        candidate: two
        for candidate, two in half.tables().items()
        if min(two.users, two.others) >= least_users and candidate.behaviour in twins
    }
    best: dict[tuple[str, Behaviour], Candidate] = {}
    for candidate in sorted(tables, key=lambda c: (-chi_square(tables[c]), c.days, c.at_least)):
        best.setdefault((candidate.outcome, candidate.behaviour), candidate)
    chosen = (
        Chosen(candidate, tables[candidate], twins[candidate.behaviour])
        for candidate in sorted(best.values())
        if chi_square(tables[candidate]) >= CHI_SQUARE_5
    )
    return Searched(len(tables), tuple(chosen))


def _twins(seen: pl.DataFrame) -> dict[Behaviour, tuple[Behaviour, ...]]:
    """Each behaviour that is told, with those that no count sets apart from it."""
    by = ("outcome", "at_least", "days", "busy")
    groups: dict[tuple[object, ...], list[Behaviour]] = {}
    ordered = seen.sort(*_BEHAVIOUR, *by).partition_by(*_BEHAVIOUR, as_dict=True)
    for (kind, name), rows in ordered.items():
        counted = tuple(rows.select(*by, "users", "hits").iter_rows())
        groups.setdefault(counted, []).append((KINDS[kind], name))
    return {group[0]: tuple(group[1:]) for group in groups.values()}


@dataclass(frozen=True)
class Judged:
    """A chosen candidate's tables in validation. `kept`: `q` is small enough, and it goes the
    way it went in the search."""

    chosen: Chosen
    table: TwoShares
    strata: tuple[TwoShares, ...]
    p: float
    q: float
    kept: bool


def judge(half: Half, chosen: Sequence[Chosen], share: float) -> tuple[Judged, ...]:
    """Fisher's exact p of each in cohorts that had no part in its choice, and its q among all
    that were carried over. The surest first."""
    tables = [half.table(one.candidate) for one in chosen]
    ps = [fisher(two) if two.users and two.others else 1.0 for two in tables]
    found = [
        Judged(
            one, two, half.strata(one.candidate), p, q, q <= share and _one_way(one.table, two)
        )
        for one, two, p, q in zip(chosen, tables, ps, false_discovery(ps), strict=True)
    ]
    return tuple(sorted(found, key=lambda j: (j.p, -_strength(j.table), j.chosen.candidate)))


def _one_way(one: TwoShares, other: TwoShares) -> bool:
    return (one.rate > one.other_rate) == (other.rate > other.other_rate)


def _strength(two: TwoShares) -> float:
    return chi_square(two) if two.users and two.others else 0.0
