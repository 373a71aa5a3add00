"""From a sample answer to a proposal: what the values seem to be by their names, combined to meters."""

from collections.abc import Sequence
from typing import Final

from budgetd.drafts.attributes import TYPES, Part, first_of, part_of
from budgetd.drafts.clusters import Cluster, find_clusters
from budgetd.drafts.leaves import Leaf, Listing, Path, jmespath, walk, words_of
from budgetd.drafts.lists import find_key, is_dated, merge, usable
from budgetd.drafts.proposal import FieldDraft, MeterDraft, Proposal
from budgetd.drafts.roles import Role
from budgetd.drafts.shaping import Parts, shape
from budgetd_rules.kinds import Kind
from budgetd_rules.values import ValueType

_NOUNS: Final = {ValueType.NUMBER: "number", ValueType.TIME: "date", ValueType.BOOL: "true or false"}
_SUBSCRIPTION: Final = (
    ("status", Part.STATUS),
    ("plan", Part.PLAN),
    ("active", Part.ACTIVE),
    ("trial", Part.TRIAL),
    ("expires_at", Part.EXPIRY),
    ("expires_at", Part.END),
    ("expires_at", Part.RESET),
    ("days_until_expiry", Part.DAYS_LEFT),
    ("auto_renew", Part.AUTO_RENEW),
    ("auto_renew", Part.CANCELS),
    ("pending_change", Part.PENDING_CHANGE),
    ("last_payment_at", Part.LAST_PAYMENT),
)


def propose(document: object) -> Proposal:
    """Uses no clock and no I/O, and takes nothing from the sample but names."""
    drafter = _Drafter()
    drafter.proposal.is_list = isinstance(document, list)
    found = list(walk(document))
    drafter.read([one for one in found if isinstance(one, Leaf)])
    for one in found:
        if isinstance(one, Listing):
            drafter.read_list(one)
    return drafter.proposal


class _Drafter:
    def __init__(self) -> None:
        self.proposal = Proposal()
        self._read: set[Leaf] = set()

    def read(self, leaves: Sequence[Leaf]) -> None:
        parts = _parts(leaves)
        for cluster in find_clusters(_numbers(leaves, parts)):
            self.proposal.add_meter(shape(cluster, parts, self._value), cluster.home)
        self._add_subscription(parts)
        self._leave(leaves, "")

    def read_list(self, listing: Listing) -> None:
        """A list of charges, of costs by day, or of things with a balance each; else it is left over."""
        leaves, inner = merge(listing.items)
        parts = _parts(leaves, listing.path)
        clusters = find_clusters(_numbers(usable(leaves), parts), listing.path)
        clusters = [cluster for cluster in clusters if cluster.is_sure or cluster.is_purse]
        costs = inner or any(Role.AMOUNT in cluster.senses for cluster in clusters)
        if costs and is_dated(leaves) and not first_of(Part.DUE, parts):
            self._add_costs(listing, clusters, leaves)
            for nested in inner:
                self._add_nested_costs(listing, nested)
        elif key := find_key(listing.items, leaves):
            for cluster in clusters:
                self._add_each(listing, cluster, parts, key)
        self._leave(leaves, _inside(listing.path))

    # --- meters

    def _add_subscription(self, parts: Parts) -> None:
        """What a subscription tells, wherever it stands; a date that a balance reads already is the balance's."""
        renews = any(part in (Part.AUTO_RENEW, Part.CANCELS) for part, _ in parts)
        free = [(part, leaf) for part, leaf in parts if leaf not in self._read]
        fields: dict[str, FieldDraft] = {}
        for name, part in _SUBSCRIPTION:
            leaf = first_of(part, free)
            if leaf and name not in fields and (part is not Part.RESET or renews):
                text = self._value(leaf, TYPES.get(part, ValueType.BOOL))
                fields[name] = FieldDraft(text=f"not {text}" if part is Part.CANCELS else text)
        if fields:
            self.proposal.add_meter(MeterDraft(name="subscription", kind=Kind.SUBSCRIPTION, fields=fields), ())

    def _add_each(self, listing: Listing, cluster: Cluster, parts: Parts, key: Leaf) -> None:
        due = first_of(Part.DUE, parts)
        if due and Role.AMOUNT in cluster.senses:
            fields = {"amount": FieldDraft(text=self._item(cluster.senses[Role.AMOUNT].leaf, ValueType.NUMBER))}
            for name, part in (("currency", Part.CURRENCY), ("due_at", Part.DUE), ("paid", Part.PAID)):
                if leaf := first_of(part, parts):
                    fields[name] = FieldDraft(text=self._item(leaf, TYPES.get(part, ValueType.BOOL)))
            meter = MeterDraft(name=_called(listing.path), kind=Kind.CHARGE, fields=fields)
        else:
            meter = shape(cluster, parts, self._item, listing.path)
        meter.each, meter.key = jmespath(listing.path), jmespath(key.path)
        self._read.add(key)
        self.proposal.add_meter(meter, listing.path)

    def _add_costs(self, listing: Listing, clusters: Sequence[Cluster], leaves: Sequence[Leaf]) -> None:
        """The sum over a list of days, or of what else has a date, unless the answer has the sum itself."""
        costs = [one.senses[Role.AMOUNT].leaf for one in clusters if Role.AMOUNT in one.senses]
        summed = any(meter.kind is Kind.SPEND for meter in self.proposal.meters)
        if not costs or summed:
            return
        inside = _inside(listing.path)
        self._read.add(costs[0])
        amount = self.proposal.add_value(costs[0], ValueType.NUMBERS, path=inside + jmespath(costs[0].path))
        fields = {"amount": FieldDraft(text=f"sum({amount})", note="all that are in the answer: ask for one period")}
        currency = first_of(Part.CURRENCY, _parts(leaves, listing.path))
        if currency:
            path = f"{inside}{jmespath(currency.path)} | [0]"
            fields["currency"] = FieldDraft(text=self.proposal.add_value(currency, ValueType.TEXT, path=path))
        self.proposal.add_meter(MeterDraft(name="costs", kind=Kind.SPEND, fields=fields), listing.path)

    def _add_nested_costs(self, listing: Listing, nested: Listing) -> None:
        leaves, _ = merge(nested.items)
        path = (*listing.path, "[]", *nested.path)
        clusters = find_clusters(_numbers(leaves, _parts(leaves, path)), nested.path)
        self._add_costs(Listing(path, nested.items), clusters, leaves)
        self._leave(leaves, _inside(path))

    # --- what is read, and what is left

    def _value(self, leaf: Leaf, type_: ValueType) -> str:
        self._read.add(leaf)
        return self.proposal.add_value(leaf, type_)

    def _item(self, leaf: Leaf, _type: ValueType) -> str:
        self._read.add(leaf)
        return f"item.{jmespath(leaf.path)}"

    def _leave(self, leaves: Sequence[Leaf], before: str) -> None:
        self.proposal.left_over += [
            (before + jmespath(leaf.path), _NOUNS[leaf.type])
            for leaf in leaves
            if leaf not in self._read and leaf.type in _NOUNS
        ]


def _parts(leaves: Sequence[Leaf], scope: Path = ()) -> Parts:
    return [(part, leaf) for leaf in leaves if (part := part_of(leaf, scope))]


def _numbers(leaves: Sequence[Leaf], parts: Parts) -> list[Leaf]:
    told = {leaf for _, leaf in parts}
    return [leaf for leaf in leaves if leaf.type is ValueType.NUMBER and leaf not in told]


def _inside(path: Path) -> str:
    """The path of a list's items, followed by a dot."""
    return f"{jmespath(path) if path else ''}[].".replace('"[]"', "[]").replace(".[]", "[]")


def _called(path: Path) -> str:
    return "_".join(words_of(path[-1])) if path else "charges"
