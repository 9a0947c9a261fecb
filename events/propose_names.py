"""The words by which a column's name tells what it is, the surest first."""

from __future__ import annotations

USERS = (
    *("user", "customer", "cust", "client", "member", "subscriber", "account", "visitor"),
    *("player", "person", "uid", "userid", "customerid", "clientid", "kunde", "kunden", "cliente"),
    *("usuario", "buyer", "shopper", "sender", "contact", "distinct", "profile", "household"),
    *("owner", "actor", "patient", "student", "driver", "guest", "msisdn", "email", "device"),
    *("who",),
    *("caller", "calling", "imsi", "phone", "card", "author", "reviewer", "login", "panelist"),
    *("passenger", "employee", "reader", "nutzer", "mitglied", "debitor", "kd", "utilisateur"),
    *("cookie", "anonymous", "pseudo", "donor", "supporter", "patron", "backer", "payer"),
    *("spender", "donateur", "donante", "recipient"),
)
NUMBERS = ("no", "nr", "num", "number", "nummer", "numero", "número", "numéro")
KEYS = ("id", "key", "uuid", "guid", "code", "hash", "ref", *NUMBERS)
TIMES = (
    *("timestamp", "ts", "time", "datetime", "date", "when", "at", "occurred", "datum", "zeit"),
    *("zeitpunkt", "fecha", "day", "tag", "created", "purchased", "ordered", "sent", "dt", "dttm"),
)
NOT_WHEN = (  # it happened: when it became known, or what came of it
    *("received", "updated", "modified", "upload", "uploaded", "ingested", "loaded", "processed"),
    *("expire", "expires", "expiry", "due", "end", "birth", "dob", "delivered", "shipped", "ship"),
    *("shipping", "estimated", "refunded", "server", "last", "previous", "first"),
)
CLOCKS = ("time", "clock", "uhrzeit", "zeit", "hora", "heure", "ora", "hhmm", "hhmmss", "tm")
EVENTS = (
    *("event", "action", "activity", "verb", "what", "operation", "ereignis", "evento", "aktion"),
    *("behavior", "behaviour", "interaction", "acción", "type", "kind", "name", "page", "screen"),
)
RECORDS = (  # whose type is an event
    *("record", "row", "entry", "transaction", "trans", "tx", "txn", "trx", "line", "log"),
    *("movement", "posting", "touchpoint"),
)
OF_MAIL = (  # what a status of mail is of
    *("sent", "send", "delivered", "open", "opened", "click", "clicked", "bounce", "bounced"),
    *("unsubscribe", "unsubscribed", "complained", "spam", "failed", "queued"),
)
AMOUNTS = (
    *("revenue", "amount", "dollar", "usd", "eur", "gmv", "paid", "payment", "spend", "spent"),
    *("total", "sales", "price", "betrag", "umsatz", "preis", "value", "importe", "charge", "cost"),
    *("sum", "turnover", "money", "amt", "gross", "brutto", "montant", "monto", "valor", "dollars"),
    *("charged", "net", "netto", "fee", "gift", "donation", "donated", "spende"),
)
LESS = (  # than the whole: what goes off it, or comes on top
    *("discount", "refund", "refunded", "tax", "taxes", "shipping", "fee", "tip", "balance"),
    *("disc", "freight", "vat", "ltv", "rabatt"),
)
CHANNELS = ("channel", "platform", "kanal", "medium", "canal", "device", "app", "os", "where")
EVENT_IDS = (
    *("event", "transaction", "message", "msg", "insert", "order", "invoice", "row", "record"),
    *("purchase", "click", "visit", "call", "tx", "txn", "log", "hit", "payment", "ticket"),
    *("beleg", "rechnung", "bestellung", "receipt", "bon", "facture", "factura", "pedido"),
    *("donation", "gift"),
)
NO_MONEY = (
    *("sec", "secs", "seconds", "min", "mins", "minutes", "hours", "days", "duration", "time"),
    *("count", "num", "items", "qty", "quantity", "hits", "views", "clicks", "click", "plays"),
    *("pages",),
    *("sequential", "sequence", "installment", "installments", "instalment", "instalments"),
    *("visits", "sessions", "events", "songs", "steps", "points", "score", "rows", "length"),
)
THINGS = ("article", "product", "item", "sku", "content", "movie", "song", "track", "category")
