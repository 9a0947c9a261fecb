"""The additive features in pandas, as one writes them: a masked column each, one groupby."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from benchmarks.big_log import CHANNELS, KINDS
from benchmarks.feature_set import DAY_US, MONTH, PARTS, WINDOWS

COLUMNS = ["user_id", "ts", "event", "amount", "channel"]


def plain_pandas(paths: Sequence[Path], cutoff_us: int) -> pd.DataFrame:
    rows = pd.concat([pq.ParquetFile(path).read(COLUMNS).to_pandas() for path in paths])
    rows["us"] = rows["ts"].astype("datetime64[us, UTC]").astype("int64")
    rows = rows[rows["us"] < cutoff_us]
    paid, month = rows["amount"].notna(), rows["us"] >= cutoff_us - MONTH * DAY_US
    rows["paid"], rows["refund"] = paid, rows["amount"] < 0
    rows["paid_us"] = rows["us"].where(paid)
    sums, last = ["paid", "refund", "amount"], []
    for w in WINDOWS:
        inside = rows["us"] >= cutoff_us - w * DAY_US
        rows[f"events_{w}d"], rows[f"purchases_{w}d"] = inside, inside & paid
        rows[f"amount_{w}d"] = rows["amount"].where(inside)
        sums += [f"{name}_{w}d" for name in ("events", "purchases", "amount")]
    for kind in KINDS:
        mine = rows["event"] == kind
        rows[f"event_total_{kind}"], rows[f"event_30d_{kind}"] = mine, mine & month
        rows[f"last_{kind}"] = rows["us"].where(mine)
        sums += [f"event_total_{kind}", f"event_30d_{kind}"]
        last.append(f"last_{kind}")
    for channel in CHANNELS:
        rows[f"channel_share_{channel}"] = rows["channel"] == channel
        sums.append(f"channel_share_{channel}")
    rows["weekend_share"] = (rows["us"] // DAY_US + 3) % 7 >= 5
    for number, part in enumerate(PARTS):
        rows[f"{part}_share"] = rows["us"] % DAY_US // (DAY_US // 4) == number
    sums += ["weekend_share", *(f"{part}_share" for part in PARTS)]
    users = rows.groupby("user_id", sort=False)
    found = users[sums].sum()
    found["events_total"], found["kinds_total"] = users.size(), users["event"].nunique()
    found["amount_max"] = users["amount"].max()
    latest, earliest = users[["us", "paid_us", *last]].max(), users[["us", "paid_us"]].min()
    return _finished(found, latest, earliest, cutoff_us)


def _finished(
    found: pd.DataFrame, latest: pd.DataFrame, earliest: pd.DataFrame, cutoff_us: int
) -> pd.DataFrame:
    n, paid = found["events_total"], found["paid"]
    found["recency_days"] = (cutoff_us - latest["us"]) / DAY_US
    found["tenure_days"] = (cutoff_us - earliest["us"]) / DAY_US
    found["purchase_recency_days"] = (cutoff_us - latest["paid_us"]) / DAY_US
    found["purchase_tenure_days"] = (cutoff_us - earliest["paid_us"]) / DAY_US
    for kind in KINDS:
        found[f"event_days_since_{kind}"] = (cutoff_us - latest[f"last_{kind}"]) / DAY_US
    found["amount_mean"] = (found["amount"] / paid).where(paid > 0)
    found["refund_share"] = (found["refund"] / paid).where(paid > 0)
    for w in WINDOWS:
        bought = found[f"purchases_{w}d"]
        found[f"amount_mean_{w}d"] = (found[f"amount_{w}d"] / bought).where(bought > 0)
    shares = [f"channel_share_{channel}" for channel in CHANNELS]
    for name in (*shares, "weekend_share", *(f"{part}_share" for part in PARTS)):
        found[name] = found[name] / n
    return found.rename(columns={"paid": "purchases_total", "amount": "amount_total"})
