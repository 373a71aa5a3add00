"""Roles: what a number probably means, by the words of its name: what is left, used, granted, allowed or spent."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from budgetd.drafts.leaves import Leaf, Path, words_of


class Role(StrEnum):
    LEFT = "left"
    USED = "used"
    CAP = "cap"
    AMOUNT = "amount"


class Strength(StrEnum):
    """How sure the name makes us: a weak sense counts only beside others that it fits."""

    STRONG = "strong"
    FAIR = "fair"
    WEAK = "weak"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """`nouns` are what is left of the name's words: what is counted. `period` is how often it starts anew."""

    leaf: Leaf
    role: Role
    strength: Strength
    nouns: tuple[str, ...]
    period: str | None

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(stem(noun) for noun in self.nouns)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_LEFT: Final = _set("remaining remain remained remains left unused")
_LIMIT: Final = _set("limit limits max maximum allowance cap ceiling")
_USED: Final = _set("used usage consumed consumption spent utilized")
_GRANT: Final = _set("quota quotas granted included initial allocated allotment entitlement capacity")
_BALANCE: Final = _set("balance balances")
_COST: Final = _set("amount cost costs spend spending charges owed outstanding payable uninvoiced")
_RECURRING: Final = _set("plan total monthly annual yearly daily weekly")
_COUNTED: Final = _set("count current active")
PURSE: Final = _set("credit credits point points coin coins fund funds")

# Such a number is no amount of anything, whatever else its name says.
_OTHER: Final = _set(
    "average avg code conversion days elapsed factor fraction id invoice last multiplier offset onetime page payment "
    "percent percentage pct price rate ratio refund retry tax threshold timestamp version discount"
)
# Numbers of these are amounts only where a role stands beside them: minutes_used, but not messages_per_hour.
_TIMES: Final = _set("hour hours hourly hr minute minutes min second seconds sec")
_PERIODS: Final = {
    word: period
    for period, words in {
        "daily": "day daily today",
        "weekly": "week weekly",
        "monthly": "month monthly",
        "yearly": "year yearly annual",
    }.items()
    for word in words.split()
}
_NO_NOUNS: Final = _set("available").union(_LEFT, _LIMIT, _USED, _GRANT, _BALANCE, _COST, _COUNTED) | _set(
    "account date eur gbp in is num number of org organization overall per raw sum team the this to total unit usd "
    "user val value"
)
# A number called just that is what its container is called.
NAMELESS: Final = _set("amount value val total sum")
# What comes another time, or came.
_ELSEWHEN: Final = _set("future next previous past history pending upcoming topup")

_OF_CONTAINER: Final = {
    **dict.fromkeys(("usage", "used", "current", "consumption", "consumed"), Role.USED),
    **dict.fromkeys(("limits", "limit", "quotas", "maximum", "maximums", "allowances"), Role.CAP),
    **dict.fromkeys(("remaining", "balances", "balance"), Role.LEFT),
    **dict.fromkeys(("amount", "cost", "costs"), Role.AMOUNT),
}


def stem(word: str) -> str:
    return word.removesuffix("es") if word.endswith(("ches", "xes", "sses")) else word.removesuffix("s")


def container_role(path: Path) -> Role | None:
    """The role that the nearest container gives to what is in it: `limits.messages_per_month`."""
    roles = (_OF_CONTAINER.get("_".join(words_of(part))) for part in reversed(path))
    return next((role for role in roles if role), None)


def home_of(path: Path) -> Path:
    """Where a number belongs: its containers without those that only say its role."""
    return tuple(part for part in path if "_".join(words_of(part)) not in _OF_CONTAINER)


def sense_of(leaf: Leaf, scope: Path = ()) -> Sense | None:
    """What the number is, as far as its name says; `scope` is the path of the list that it is in, if any."""
    around = (*scope, *leaf.scope)
    if any(not _ELSEWHEN.isdisjoint(words_of(part)) for part in around):
        return None
    found = _by_name(leaf)
    if found is None or found[1] is Strength.WEAK or set(leaf.words) <= NAMELESS:
        found = _by_container(leaf, around) or found
    if found is None:
        return None
    return Sense(leaf=leaf, role=found[0], strength=found[1], nouns=_nouns(leaf), period=_period(leaf))


def _by_container(leaf: Leaf, around: Path) -> tuple[Role, Strength] | None:
    role = container_role(around)
    return (role, Strength.FAIR) if role and _OTHER.isdisjoint(leaf.words) else None


def _by_name(leaf: Leaf) -> tuple[Role, Strength] | None:
    words = set(leaf.words)
    if words & _OTHER or (words & _TIMES and "per" in words):
        return None
    if _is_to_date(leaf.words):
        return Role.AMOUNT, Strength.STRONG if words & _USED else Strength.FAIR
    for names, role, strength in _BY_NAME:
        if words & names:
            is_sure = not words & _TIMES or strength is Strength.STRONG
            return (role, strength) if is_sure else None
    return _weakly(words)


def _weakly(words: set[str]) -> tuple[Role, Strength] | None:
    if words & _TIMES:
        return None
    if "per" in words:
        return Role.CAP, Strength.FAIR
    for names, role in ((_COUNTED, Role.USED), (_RECURRING, Role.CAP), (PURSE, Role.LEFT)):
        if words & names:
            return role, Strength.WEAK
    return None


# In this order: usage_limit and max_available are limits, used_quota was used, granted_balance was granted.
_BY_NAME: Final = (
    (_LEFT, Role.LEFT, Strength.STRONG),
    (_LIMIT, Role.CAP, Strength.STRONG),
    (_set("available"), Role.LEFT, Strength.STRONG),
    (_set("uninvoiced owed outstanding"), Role.AMOUNT, Strength.FAIR),
    (_USED, Role.USED, Strength.STRONG),
    (_GRANT, Role.CAP, Strength.STRONG),
    (_BALANCE, Role.LEFT, Strength.FAIR),
    (_COST, Role.AMOUNT, Strength.FAIR),
)


def _is_to_date(words: tuple[str, ...]) -> bool:
    return "to" in words and "date" in words


def _nouns(leaf: Leaf) -> tuple[str, ...]:
    return tuple(word for word in leaf.words if word not in _NO_NOUNS and word not in _PERIODS and not word.isdigit())


def _period(leaf: Leaf) -> str | None:
    return next((_PERIODS[word] for word in leaf.words if word in _PERIODS), None)


def is_purse(words: frozenset[str]) -> bool:
    return not words.isdisjoint(PURSE | _BALANCE)
