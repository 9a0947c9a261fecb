"""Markers chosen on earlier cohorts and judged on later ones.

Each half of the users is counted apart: `search` is handed the earlier one and sees no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from retention.early_plan import EVERYONE, KINDS, Candidate
from retention.risk_ratio import q_values
from retention.twofold import TwoShares, chi_square, fisher

OUTCOMES = ("pays", "stays")
CHI_SQUARE_5 = 3.841458820694124  # one degree of freedom
_BEHAVIOUR = ("kind", "name")
_STRATUM = ("busy", "users", "hits", "all_users", "all_hits")

TWINS = 0.02  # behaviours of whose users no more differ are told as one

Behaviour = tuple[str, str]  # kind, name
_Asked = tuple[str, int, int]  # outcome, at_least, days
_Cells = dict[tuple[int, bool], int]  # users by stratum and outcome
_Seen = dict[Behaviour, dict[_Asked, _Cells]]


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

    def strata(self, candidate: Candidate) -> dict[int, TwoShares]:
        """The candidate's tables among users as busy on their first day, where somebody fits."""
        rows = self._rows(candidate).sort("busy")
        return {
            busy: TwoShares(hits, users, all_hits - hits, everyone - users)
            for busy, users, hits, everyone, all_hits in rows.select(_STRATUM).iter_rows()
        }

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
    """The best candidate of a behaviour, its table in the search, and the behaviours that (all
    but) the same users had: as often and as early, or as their own best candidate."""

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
    behaviours that hardly a count sets apart (TWINS) the first of KINDS is taken, and so it is of
    those whose best candidates for an outcome are of the same users."""
    tables = {
        candidate: two
        for candidate, two in half.tables().items()
        if min(two.users, two.others) >= least_users and half.both_ways(candidate.outcome)
    }
    cells = _cells(half, {c.behaviour for c in tables})
    twins = _twins(cells, tables)
    best: dict[tuple[str, Behaviour], Candidate] = {}
    for candidate in sorted(tables, key=lambda c: (-chi_square(tables[c]), c.days, c.at_least)):
        if candidate.behaviour in twins:
            best.setdefault((candidate.outcome, candidate.behaviour), candidate)
    telling = [c for c in sorted(best.values()) if chi_square(tables[c]) >= CHI_SQUARE_5]
    also = _told_once(sorted(telling, key=_plainer), cells, twins)
    chosen = (Chosen(c, tables[c], also[c]) for c in telling if c in also)
    return Searched(sum(c.behaviour in twins for c in tables), tuple(chosen))


def _plainer(c: Candidate) -> tuple[int, Candidate]:
    return KINDS.index(c.kind), c


def _cells(half: Half, behaviours: Collection[Behaviour]) -> _Seen:
    """Their users in the search, by outcome, count and days, then by stratum and outcome."""
    cells: _Seen = {behaviour: {} for behaviour in behaviours}
    for outcome, days, kind, name, at_least, busy, users, hits in half.seen.select(
        "outcome", "days", *_BEHAVIOUR, "at_least", "busy", "users", "hits"
    ).iter_rows():
        if (KINDS[kind], name) in cells:
            here = cells[KINDS[kind], name].setdefault((outcome, at_least, days), {})
            here[busy, True], here[busy, False] = hits, users - hits
    return cells


def _told_once(
    telling: Sequence[Candidate], cells: _Seen, twins: Mapping[Behaviour, tuple[Behaviour, ...]]
) -> dict[Candidate, tuple[Behaviour, ...]]:
    """Each that is told, with the behaviours told with it: its twins, and of later candidates for
    its outcome those of whose users no more than TWINS differ from its own."""
    told: dict[Candidate, tuple[Behaviour, ...]] = {}
    for one in telling:
        for first in told:
            if one.outcome == first.outcome and _alike(_of(one, cells), _of(first, cells)):
                told[first] += (one.behaviour, *twins[one.behaviour])
                break
        else:
            told[one] = twins[one.behaviour]
    return told


def _of(c: Candidate, cells: _Seen) -> _Cells:
    return cells[c.behaviour].get((c.outcome, c.at_least, c.days), {})


def _twins(cells: _Seen, tables: Iterable[Candidate]) -> dict[Behaviour, tuple[Behaviour, ...]]:
    """Each behaviour that is told, with those told with it: of whose users, by count, days,
    outcome and stratum, no more than TWINS differ from its own."""
    asked: dict[Behaviour, set[_Asked]] = {}
    for c in sorted(tables, key=_plainer):
        asked.setdefault(c.behaviour, set()).add((c.outcome, c.at_least, c.days))
    told: dict[Behaviour, list[Behaviour]] = {}
    for behaviour, own in asked.items():
        for first, others in told.items():
            both = own | asked[first]
            if all(_alike(cells[behaviour].get(c, {}), cells[first].get(c, {})) for c in both):
                others.append(behaviour)
                break
        else:
            told[behaviour] = []
    return {behaviour: tuple(others) for behaviour, others in told.items()}


def _alike(one: _Cells, other: _Cells) -> bool:
    apart = sum(abs(one.get(cell, 0) - other.get(cell, 0)) for cell in one.keys() | other.keys())
    return apart <= TWINS * sum(one.values())


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
    found = []
    for one, two, p, q in zip(
        chosen, tables, ps, q_values(np.array(ps, float)).tolist(), strict=True
    ):
        strata = tuple(half.strata(one.candidate).values())
        kept = q <= share and _one_way(one.table, two)
        found.append(Judged(one, two, strata, p, q, kept))
    return tuple(sorted(found, key=lambda j: (j.p, -_strength(j.table), j.chosen.candidate)))


def _one_way(one: TwoShares, other: TwoShares) -> bool:
    return (one.rate > one.other_rate) == (other.rate > other.other_rate)


def _strength(two: TwoShares) -> float:
    return chi_square(two) if two.users and two.others else 0.0
