"""What a date, a text or a flag probably means, by the words of its name."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

from budgetd.drafts.leaves import Leaf, Path, words_of
from budgetd_rules.values import ValueType


class Part(StrEnum):
    """What a value that is no amount says about a balance, quota, subscription or charge."""

    RESET = "reset"
    EXPIRY = "expiry"
    END = "end"
    DUE = "due"
    LAST_PAYMENT = "last payment"
    DAYS_LEFT = "days left"
    STATUS = "status"
    PLAN = "plan"
    CURRENCY = "currency"
    ACTIVE = "active"
    TRIAL = "trial"
    AUTO_RENEW = "auto renew"
    CANCELS = "cancels"
    PENDING_CHANGE = "pending change"
    AUTO_TOPUP = "auto top-up"
    PAID = "paid"


TYPES: Final = {
    **dict.fromkeys((Part.RESET, Part.EXPIRY, Part.END, Part.DUE, Part.LAST_PAYMENT), ValueType.TIME),
    **dict.fromkeys((Part.STATUS, Part.PLAN, Part.CURRENCY), ValueType.TEXT),
    Part.DAYS_LEFT: ValueType.NUMBER,
}
"""Those that are not here are true or false."""

_PLANS: Final = frozenset({"plan", "tier", "pack", "package"})


def part_of(leaf: Leaf, scope: Path = ()) -> Part | None:
    around = words_of(leaf.scope[-1]) if leaf.scope else words_of(scope[-1]) if scope else ()
    type_ = leaf.type or (ValueType.TIME if leaf.raw is None else None)
    if type_ is ValueType.TIME or (type_ is ValueType.NUMBER and leaf.has("reset", "resets")):
        found = _time(leaf, around)
        # Of a null nobody knows what type it would have.
        return found or (_text(leaf, around) if leaf.raw is None else None)
    if type_ is ValueType.TEXT:
        return _text(leaf, around)
    if type_ is ValueType.BOOL:
        return _flag(leaf)
    counts_days = type_ is ValueType.NUMBER and "days" in leaf.words
    return Part.DAYS_LEFT if counts_days and leaf.has("expiry", "expires", "expiration", "end", "renewal") else None


def _time(leaf: Leaf, around: tuple[str, ...]) -> Part | None:
    if leaf.has("last", "previous", "created", "updated"):
        return Part.LAST_PAYMENT if leaf.has("payment", "paid") else None
    if leaf.has("reset", "resets", "renewal", "renew", "renews", "refresh", "refreshes", "rollover"):
        return Part.RESET
    if leaf.has("expire", "expires", "expiry", "expiration"):
        return Part.EXPIRY
    if leaf.has("due"):
        return Part.DUE
    if leaf.has("end", "ends", "until"):
        is_period = {"period", "cycle"} & {*leaf.words, *around}
        return Part.RESET if is_period else Part.END
    return None


def _text(leaf: Leaf, around: tuple[str, ...]) -> Part | None:
    if leaf.has("id", "url", "error", "code") or "error" in around:
        return None
    if "currency" in leaf.words:
        return Part.CURRENCY if leaf.raw is None or len(str(leaf.raw)) == 3 else None
    if leaf.words[-1:] in (("status",), ("state",)):
        return Part.STATUS
    is_named = leaf.words == ("name",) and _PLANS & set(around)
    if is_named or (leaf.words and _PLANS & {leaf.words[-1]}) or (_PLANS & set(leaf.words) and leaf.has("name")):
        return Part.PLAN
    return None


def _flag(leaf: Leaf) -> Part | None:
    words = set(leaf.words)
    return next((part for part, is_it in _FLAGS if is_it(words)), None)


_FLAGS: Final[tuple[tuple[Part, Callable[[set[str]], bool]], ...]] = (
    (Part.AUTO_RENEW, lambda words: "auto" in words and bool(words & {"renew", "renewal", "renews"})),
    (
        Part.AUTO_TOPUP,
        lambda words: "auto" in words and bool(words & {"topup", "top", "recharge", "reload", "refill"}),
    ),
    (Part.CANCELS, lambda words: "cancel" in words and "end" in words),
    (Part.PENDING_CHANGE, lambda words: {"pending", "change"} <= words),
    (Part.TRIAL, lambda words: "trial" in words and len(words - {"is", "in", "trial"}) == 0),
    (Part.ACTIVE, lambda words: "active" in words and len(words - {"is", "active", "subscription"}) == 0),
    (Part.PAID, lambda words: words <= {"is", "paid"}),
)


def first_of(part: Part, leaves: Iterable[tuple[Part, Leaf]]) -> Leaf | None:
    """A plain name before one with qualifiers, an outer value before an inner one."""
    found = [leaf for its, leaf in leaves if its is part]
    return min(found, key=lambda leaf: (leaf.raw is None, len(leaf.path), len(leaf.words)), default=None)
