"""Names of days that are known before they come."""

from __future__ import annotations

from events.propose_words import words_of

IN_ADVANCE = {
    *("expire", "expires", "expiry", "expiration", "expiring", "due", "until", "renewal", "renews"),
    *("ablauf", "ablaufdatum", "vencimiento", "caducidad", "echeance", "échéance", "scadenza"),
}
PAIRS_IN_ADVANCE = (
    *({"valid", "to"}, {"valid", "through"}, {"period", "end"}, {"trial", "end"}),
    *({"next", "billing"}, {"next", "payment"}, {"next", "charge"}, {"next", "invoice"}),
    {"next", "day"},  # as a lookup calls it
)


def named_in_advance(name: str) -> bool:
    words = set(words_of(name))
    return bool(words & IN_ADVANCE) or any(pair <= words for pair in PAIRS_IN_ADVANCE)
