"""Early markers in Chinese."""

from __future__ import annotations

from retention.early_plan import Candidate
from retention.early_words import Words, against, number, percent, reached
from retention.twofold import Interval, TwoShares

_OUTCOMES = {"pays": "付费", "stays": "留存"}
_KINDS = {"paid": "付费", "sessions": "会话", "active_days": "活跃天数"}
_NAMED = {"event": "事件", "channel": "渠道", "property": "属性"}
_NO_PAYING = "因此不寻找付费的标志；见 [value]，没有金额的付费见 early.pay_events"
_NO_STAYING = "因此不寻找留存的标志；换一个 early.stay_days 或许能区分用户"


def did(marker: Candidate) -> str:
    """What a marker's users do, to be followed by "的用户"."""
    n, days = marker.at_least, first_days(marker.days)
    if marker.kind == "active_days":
        return f"{days}活跃过" if n == 1 or marker.days == 1 else f"{days}至少 {n} 天活跃"
    if marker.kind == "sessions":
        return f"{days}至少有 {n} 次会话"
    return f"{days}至少 {n} 次{_verb(marker)}"


def _verb(marker: Candidate) -> str:
    if marker.kind == "paid":
        return "付费"
    if marker.kind == "channel":
        return f"使用渠道“{marker.name}”"
    if marker.kind == "property":
        name, _, value = marker.name.partition("=")
        return f"有“{name}”为“{value}”的行为"
    return f"做“{marker.name}”"


def called(behaviour: tuple[str, str]) -> str:
    kind, name = behaviour
    return _KINDS.get(kind) or f"{_NAMED[kind]}“{name}”"


def first_days(days: int) -> str:
    return "在最初 24 小时内" if days == 1 else f"在最初 {days} 天内"


def sentence(marker: Candidate, two: TwoShares, ratio: Interval, adjusted: Interval | None) -> str:
    again = "再次" if marker.kind == "paid" and marker.outcome == "pays" else ""
    told = f"{did(marker)}的用户，{_compared(again + _OUTCOMES[marker.outcome], two, ratio)}："
    told += f"{_against(two.rate, two.other_rate)}。"
    told += f"新用户中有 {_plain(percent(two.users / (two.users + two.others)))} 如此。"
    if adjusted is not None and adjusted.value is not None:
        told += f"在首日同样活跃的用户之间，为 {number(adjusted.value, adjusted.low)} 倍"
        told += f"（{_span(adjusted)}）。"
    return told


def _compared(what: str, two: TwoShares, ratio: Interval) -> str:
    if ratio.value is None:
        return f"{what}的比例至少是其他用户的 {number(ratio.low, ratio.low)} 倍"
    if two.hits == 0:
        most = number(ratio.high or 0, ratio.low)
        return f"从不{what}，比例至多是其他用户的 {most} 倍"
    only = "只有" if ratio.value < 1 else "是"
    times = number(ratio.value, ratio.low)
    return f"{what}的比例{only}其他用户的 {times} 倍（{_span(ratio)}）"


def _span(ratio: Interval) -> str:
    return f"{number(ratio.low, ratio.low)} 至 {number(ratio.high or 0, ratio.low)}"


def _against(one: float, other: float) -> str:
    return _plain(against(one, other)).replace(" against ", " 对 ")


def _plain(text: str) -> str:
    return text.replace(" %", "%")


def experiment(two: TwoShares, users: int) -> str:
    more = two.rate > two.other_rate
    helps = "引导用户这样做是否有用" if more else "让用户免于此事是否有用"
    lead = "一半加以引导" if more else "让一半免于此事"
    shares = _against(reached(two), two.all_rate)
    return (
        f"要知道{helps}，请把新用户随机分为两半：{lead}，另一半保持原样。若全部差异都由此而来，"
        f"每半至少需要 {users:,} 名用户（{shares}；检验效能 80%，双侧 5%）；"
        "若只有一半由此而来，约需四倍。"
    )


def meaning(outcome: str, first: int, end: int) -> str:
    if outcome == "stays":
        return f"首次事件之后第 {first} 天起、不满 {end} 天时活跃"
    return f"最初几天之后、首次事件后不满 {end} 天时付费"


CHINESE = Words(
    caution="这些是关联，不是因果：做这些事的人可能本来就打算留下或付费，而马上离开的人根本来不及做。"
    "让更多用户这样做会带来什么，只有实验才能知道。",
    sentence=sentence,
    experiment=experiment,
    meaning=meaning,
    did=did,
    called=called,
    notes={
        "none pay": f"最初几天之后没有人付费，{_NO_PAYING}",
        "all pay": f"最初几天之后人人付费，{_NO_PAYING}",
        "none stay": f"没有人留存，{_NO_STAYING}",
        "all stay": f"人人留存，{_NO_STAYING}",
        "dates": "日志只有日期：天按日历计算，没有会话",
        "crowd": "{users:,} 名用户首次出现在日志的最初 {days} 天，远多于此后的同样天数：他们可能"
        "早于日志；用 --since 可以不计他们",
        "unfinished": "{users:,} 名用户未计入：他们到来还不满 {days} 天，结果尚不可知",
    },
)
