"""From a cluster of numbers, and the dates and texts around it, to a meter: its kind, name, unit and fields."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from budgetd.drafts.attributes import Part, first_of
from budgetd.drafts.clusters import Cluster
from budgetd.drafts.leaves import Leaf, Path, words_of
from budgetd.drafts.proposal import FieldDraft, MeterDraft
from budgetd.drafts.roles import PURSE, Role, Strength, home_of, stem
from budgetd_rules.kinds import Kind
from budgetd_rules.values import ValueType

Parts = Sequence[tuple[Part, Leaf]]
Refer = Callable[[Leaf, ValueType], str]
"""How an expression reads a leaf: by the name of a value, or as a part of a list's item."""

# Containers that say nothing about what is in them.
_ENVELOPES: Final = frozenset(["data", "result", "results", "response", "body", "account", "items", "info"])
_CURRENCIES: Final = ("usd", "eur", "gbp")

_FIELDS: Final = {
    Kind.BALANCE: ((Role.LEFT, "remaining"), (Role.CAP, "granted"), (Role.USED, "used")),
    Kind.QUOTA: ((Role.USED, "used"), (Role.CAP, "limit"), (Role.LEFT, "remaining")),
    Kind.SPEND: ((Role.AMOUNT, "amount"), (Role.CAP, "limit")),
}


def shape(cluster: Cluster, parts: Parts, refer: Refer, around: Path = ()) -> MeterDraft:
    """`around` is the path of the list in whose items the cluster is."""
    kind, fields = _kind_of(cluster), {}
    for role, name in _FIELDS[kind]:
        if sense := cluster.senses.get(role):
            fields[name] = FieldDraft(text=refer(sense.leaf, ValueType.NUMBER), note=_note(cluster, role))
    if kind is Kind.BALANCE and "remaining" not in fields:
        text = f"{fields['granted'].text} - {fields['used'].text}"
        fields = {"remaining": FieldDraft(text=text, note="GUESS: nothing in the sample says what is left")} | fields
    for name, leaf in _around(cluster, kind, parts):
        type_ = {"currency": ValueType.TEXT, "auto_topup": ValueType.BOOL}.get(name, ValueType.TIME)
        fields[name] = FieldDraft(text=refer(leaf, type_))
    unit = "" if "currency" in fields else _unit_of(cluster)
    return MeterDraft(name=_name_of(cluster, kind, around), kind=kind, unit=unit, fields=fields)


def _kind_of(cluster: Cluster) -> Kind:
    if Role.AMOUNT in cluster.senses:
        return Kind.SPEND
    is_stock = Role.CAP not in cluster.senses or (cluster.is_purse and cluster.period is None)
    return Kind.BALANCE if is_stock else Kind.QUOTA


def _note(cluster: Cluster, role: Role) -> str:
    sense = cluster.senses[role]
    if role in cluster.by_sum:
        return "GUESS: no name says so, but in the sample used and left are together what was granted"
    if (
        role is Role.LEFT
        and "available" in sense.leaf.words
        and Role.CAP not in cluster.senses
        and len(cluster.senses) > 1
    ):
        return "GUESS: if it means what was granted, this is granted, and remaining = granted - used"
    if role is Role.USED and _is_at_odds(cluster):
        return "in the sample used and remaining do not make granted: the three may not count the same"
    return "GUESS: its name may mean something else" if sense.strength is Strength.WEAK else ""


def _is_at_odds(cluster: Cluster) -> bool:
    if cluster.senses.keys() != {Role.LEFT, Role.USED, Role.CAP}:
        return False
    return cluster.number(Role.LEFT) + cluster.number(Role.USED) != cluster.number(Role.CAP)


def _around(cluster: Cluster, kind: Kind, parts: Parts) -> Iterable[tuple[str, Leaf]]:
    here = [(part, leaf) for part, leaf in parts if home_of(leaf.scope) == cluster.home]
    found: dict[str, Leaf | None] = {}
    if kind is Kind.BALANCE:
        found["expires_at"] = first_of(Part.EXPIRY, here)
        found["auto_topup"] = first_of(Part.AUTO_TOPUP, parts)
    if kind is not Kind.QUOTA:
        found["currency"] = first_of(Part.CURRENCY, here) or _the_only(Part.CURRENCY, parts)
    found["period_end" if kind is Kind.SPEND else "resets_at"] = _reset_of(cluster, here, parts)
    return ((name, leaf) for name, leaf in found.items() if leaf)


def _reset_of(cluster: Cluster, here: Parts, parts: Parts) -> Leaf | None:
    """The one that names what is counted, else the nearest; one from elsewhere only if it is the only one there is."""
    resets = [leaf for part, leaf in here if part is Part.RESET]
    named = [leaf for leaf in resets if cluster.stems & {stem(word) for word in leaf.words}]
    named += [leaf for leaf in resets if leaf.scope in {sense.leaf.scope for sense in cluster.senses.values()}]
    # Of a subscription that stands beside it, an end is the subscription's.
    is_ours = not any(part in (Part.STATUS, Part.AUTO_RENEW) for part, _ in here)
    nearest = first_of(Part.RESET, here) or (first_of(Part.END, here) if is_ours else None)
    return next(iter(named), None) or nearest or _the_only(Part.RESET, parts)


def _the_only(part: Part, parts: Parts) -> Leaf | None:
    found = [leaf for its, leaf in parts if its is part]
    return found[0] if len(found) == 1 else None


def _unit_of(cluster: Cluster) -> str:
    words = [word for sense in cluster.senses.values() for word in sense.leaf.words]
    currency = next((word for word in words if word in _CURRENCIES), None)
    around = words_of(cluster.home[-1]) if cluster.home else ()
    noun = cluster.nouns[-1:] or tuple(word for word in around if word in PURSE)
    return currency.upper() if currency else _plural(noun[0]) if noun else ""


def _name_of(cluster: Cluster, kind: Kind, around: Path) -> str:
    nouns = cluster.nouns
    if not nouns:
        homes = [part for part in (*around, *cluster.home) if not _ENVELOPES & {"_".join(words_of(part))}]
        nouns = words_of(homes[-1]) if homes else (str(kind),)
        nouns = (*((cluster.period,) if cluster.period else ()), *nouns)
    else:
        nouns = nouns if kind is Kind.SPEND else (*nouns[:-1], _plural(nouns[-1]))
    name = "_".join(nouns)[:60]
    return name if name[:1].isalpha() else f"m_{name}"


def _plural(noun: str) -> str:
    if noun.endswith("s"):
        return noun
    return noun + ("es" if noun.endswith(("ch", "x")) else "s")
