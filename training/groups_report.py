"""Groups as plain values for JSON and for tables on a screen; no user ids in either."""

from __future__ import annotations

from typing import Any

from features.dictionary import SHOWN, dictionary
from runtime.clock import show
from training.groups import Found
from training.groups_names import NONE, told
from training.groups_profile import Profile, Typical
from training.groups_stability import Moment, Movement, Refit, Size


def report(found: Found) -> dict[str, Any]:
    """Everything, as JSON holds it."""
    model, choice = found.model, found.choice
    return {
        "as_of": show(found.as_of),
        "fitted_as_of": show(model.as_of),
        "method": model.method,
        "users": found.moments[0].users,
        "groups": [_group(found, profile) for profile in found.profiles],
        "behaviours": list(model.space.behaviours),
        "sampled": found.sampled,
        "chosen": choice.chosen if choice else None,
        "tried": list(choice.tried) if choice else [],
        "over_time": [_over_time(found, moment) for moment in found.moments],
        "movement": [_movement(found, each) for each in found.movements],
        "found_anew": [_found_anew(found, each) for each in found.refits],
        "notes": list(found.notes),
        "out": found.out,
        "saved": found.saved,
        "seconds": found.seconds,
    }


def _group(found: Found, profile: Profile) -> dict[str, Any]:
    size, later = _size(found.moments[0], profile.number), _later(found, profile.number)
    named = found.model.named[profile.number - 1] if profile.number else None
    return {
        "group": profile.number,
        "name": found.model.name(profile.number),
        "core": named.core if named else False,
        "reason": named.reason if named else "no group is near",
        "users": size.users,
        "share": size.share,
        "value_share": size.value_share,
        "activity_share": size.activity_share,
        "churn": later[1].churn if later else None,
        "next_value_share": later[1].next_value_share if later else None,
        "churn_and_next_value_as_of": show(later[0].cutoff.at) if later else None,
        "telling": [_typical(one, found) for one in profile.telling],
        "typical": [_typical(one, found) for one in profile.typical],
    }


def _typical(one: Typical, found: Found) -> dict[str, Any]:
    return {
        "feature": one.feature,
        "median": one.median,
        "everyone": one.everyone,
        "effect": one.effect,
        "known": one.known,
        "told": told(one, found.model.spec),
    }


def _size(moment: Moment, number: int) -> Size:
    return next(size for size in moment.sizes if size.number == number)


def _later(found: Found, number: int) -> tuple[Moment, Size] | None:
    """Of the newest cutoff whose labels have matured."""
    matured = next((each for each in found.moments if each.matured), None)
    return (matured, _size(matured, number)) if matured else None


def _over_time(found: Found, moment: Moment) -> dict[str, Any]:
    shares = {found.model.name(size.number): size.share for size in moment.sizes}
    return {"as of": show(moment.cutoff.at), "users": moment.users, **shares}


def _movement(found: Found, each: Movement) -> dict[str, Any]:
    names = [found.model.name(number) for number in each.numbers]
    rows = [
        {"from": name, "to": dict(zip(names, row, strict=False)), "no_longer_eligible": row[-1]}
        for name, row in zip(names, each.users, strict=True)
    ]
    came = dict(zip(names, each.came, strict=True))
    return {"since": show(each.since.at), "until": show(each.until.at), "rows": rows, "came": came}


def _found_anew(found: Found, each: Refit) -> dict[str, Any]:
    held = {found.model.name(number + 1): value for number, value in enumerate(each.held)}
    return {"as of": show(each.cutoff.at), "adjusted Rand index": each.rand, **held}


def in_short(told_all: dict[str, Any]) -> list[dict[str, Any]]:
    """A line a group; what became of it at the newest cutoff that tells."""
    rows = []
    for group in told_all["groups"]:
        at = group["churn_and_next_value_as_of"]
        rows.append(
            {
                "group": f"{group['group']}: {group['name']}",
                "core": group["core"],
                "users": group["users"],
                "share": _percent(group["share"]),
                "of value": _percent(group["value_share"]),
                "of activity": _percent(group["activity_share"]),
                f"churn after {at}" if at else "churn": _percent(group["churn"]),
                "of value then": _percent(group["next_value_share"]),
                "why this name": group["reason"],
            }
        )
    return rows


def telling(told_all: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for group in told_all["groups"]:
        for one in group["telling"]:
            effect = f"{one['effect']:+.2f}"
            rows.append({"group": group["name"], "effect": effect, "typical user": one["told"]})
    return rows


def typical(found: Found) -> list[dict[str, Any]]:
    """A line a feature, a column a group."""
    kinds = dictionary(found.model.spec)
    rows = []
    for place, one in enumerate(found.profiles[0].typical):
        feature = kinds[one.feature]
        row = {"": feature.description, "everyone": _value(one.everyone, feature.unit)}
        for profile in found.profiles:
            median = profile.typical[place].median
            row[found.model.name(profile.number)] = _value(median, feature.unit)
        rows.append(row)
    return rows


def over_time(told_all: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {k: _percent(v) if isinstance(v, float) else v for k, v in moment.items()}
        for moment in told_all["over_time"]
    ]


def moves_in_short(told_all: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The newest step: shares of those who were in a group before."""
    found = []
    for each in told_all["movement"][:1]:
        rows = []
        for row in each["rows"]:
            total = sum(row["to"].values()) + row["no_longer_eligible"]
            counts = {**row["to"], "no longer eligible": row["no_longer_eligible"]}
            shares = {f"to {k}": _percent(n / total if total else None) for k, n in counts.items()}
            rows.append({"from": row["from"], "users": total, **shares})
        found.append((f"Who moved where, {each['since']} to {each['until']}", rows))
    return found


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _value(value: float | None, unit: Any) -> str:
    if value is None:
        return "-"
    shown = SHOWN[unit](value)
    return NONE.get(shown, shown)
