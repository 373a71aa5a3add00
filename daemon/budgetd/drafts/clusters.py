"""Clusters: numbers that belong together, such as what is left of one thing, what was used, and of how much."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from budgetd.drafts.leaves import Leaf, Path, words_of
from budgetd.drafts.roles import NAMELESS, Role, Sense, Strength, home_of, is_purse, sense_of, stem

_ORDER = list(Strength)


@dataclass
class Cluster:
    """`senses` has one number for each role; `by_sum` are the roles that only follow from the sample's arithmetic."""

    home: Path
    senses: dict[Role, Sense] = field(default_factory=dict)
    by_sum: set[Role] = field(default_factory=set)

    @property
    def nouns(self) -> tuple[str, ...]:
        """Those of the number whose name says the most."""
        return max((sense.nouns for sense in self.senses.values()), key=len, default=())

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(stem(noun) for noun in self.nouns)

    @property
    def period(self) -> str | None:
        return next((sense.period for sense in self.senses.values() if sense.period), None)

    @property
    def is_purse(self) -> bool:
        named = [sense.leaf.words for sense in self.senses.values()]
        around = words_of(self.home[-1]) if self.home else ()
        return is_purse(frozenset(around).union(*named))

    @property
    def is_sure(self) -> bool:
        return any(sense.strength is not Strength.WEAK for sense in self.senses.values())

    def number(self, role: Role) -> Decimal:
        return self.senses[role].leaf.number

    def fit(self, sense: Sense) -> int:
        """How well the number fits in, whether or not its role is free; 0 is not at all."""
        is_cost = sense.role is Role.AMOUNT
        if not self.senses.keys().isdisjoint({Role.LEFT, Role.USED} if is_cost else {Role.AMOUNT}):
            return 0
        if self.period and sense.period and self.period != sense.period:
            return 0
        mine, its = self.stems, sense.stems
        if mine == its:
            return 4 if mine else 3
        if mine and its and (mine <= its or its <= mine):
            return 3
        if mine & its:
            return 2
        return 0 if mine and its else 1


def find_clusters(leaves: Iterable[Leaf], scope: Path = ()) -> list[Cluster]:
    """The numbers with a role, grouped. One that fits nowhere, or whose role is taken, is left out."""
    numbers = list(leaves)
    senses = [sense for leaf in numbers if (sense := sense_of(leaf, scope))]
    by_home: dict[Path, list[Sense]] = {}
    for sense in sorted(senses, key=_rank):
        by_home.setdefault(home_of(sense.leaf.scope), []).append(sense)
    clusters = [cluster for home, found in by_home.items() for cluster in _gather(home, found)]
    clusters = _join_halves(clusters)
    for cluster in clusters:
        _add_by_sum(cluster, [leaf for leaf in numbers if home_of(leaf.scope) == cluster.home], clusters)
        _drop_impossible(cluster)
    found = [cluster for cluster in clusters if _is_something(cluster)]
    sure = [cluster for cluster in found if cluster.is_sure]
    if not scope and all(set(leaf.words) <= NAMELESS for leaf in numbers):
        return _the_only_number(numbers) or found
    return sure or found or _the_only_number(numbers)


def _rank(sense: Sense) -> tuple[int, bool, int]:
    """The surest first; then the whole before its parts: total_searches_left before plan_searches_left."""
    whole = sense.leaf.has("total", "available", "current", "remaining", "net")
    is_converted = sense.leaf.has("usd", "eur", "gbp")
    return _ORDER.index(sense.strength), not whole, len(sense.nouns) + is_converted


def _gather(home: Path, senses: Sequence[Sense]) -> list[Cluster]:
    clusters: list[Cluster] = []
    for sense in senses:
        fits = [(cluster.fit(sense), cluster) for cluster in clusters]
        room = [(fit, _wants(cluster), cluster) for fit, cluster in fits if fit and sense.role not in cluster.senses]
        if room:
            max(room, key=lambda each: each[:2])[2].senses[sense.role] = sense
        elif sense.strength is not Strength.WEAK and (not any(fit for fit, _ in fits) or _has_twin(sense, senses)):
            clusters.append(Cluster(home=home, senses={sense.role: sense}))
    alone = [sense for sense in senses if sense.strength is Strength.WEAK and is_purse(frozenset(sense.leaf.words))]
    if not clusters and alone:
        # Nothing but `credits`, or `total_credits`: that is what there is.
        clusters.append(Cluster(home=home, senses={Role.LEFT: alone[0]}))
    return clusters


def _wants(cluster: Cluster) -> int:
    """A limit without a use needs it more than a balance does."""
    return Role.CAP in cluster.senses and Role.USED not in cluster.senses


def _has_twin(sense: Sense, others: Sequence[Sense]) -> bool:
    """Whether another number, of another role, counts the same thing, so that the two form a cluster of their own."""
    return any(
        one.role is not sense.role and one.stems == sense.stems and one.period == sense.period
        for one in others
        if sense.stems or sense.period
    )


def _join_halves(clusters: list[Cluster]) -> list[Cluster]:
    """`plan.character_limit` and `usage.characters`: a limit and a use, each by itself, of the same noun."""
    whole = list(clusters)
    for cap in clusters:
        for use in clusters:
            if (
                cap.senses.keys() == {Role.CAP}
                and use.senses.keys() == {Role.USED}
                and cap.fit(use.senses[Role.USED]) == 4
            ):
                cap.senses |= use.senses
                whole.remove(use)
                break
    return whole


def _add_by_sum(cluster: Cluster, numbers: Sequence[Leaf], all_of_them: Sequence[Cluster]) -> None:
    """Where names say nothing, the sample's own arithmetic may: used + left = granted."""
    taken = {sense.leaf for one in all_of_them for sense in one.senses.values()}
    free = [leaf for leaf in numbers if leaf not in taken and leaf.number > 0]
    have = {role: cluster.number(role) for role in cluster.senses}
    if Role.LEFT not in have or have[Role.LEFT] <= 0 or Role.AMOUNT in have:
        return
    for used in [have.get(Role.USED)] if Role.USED in have else [leaf.number for leaf in free]:
        for cap in [have.get(Role.CAP)] if Role.CAP in have else [leaf.number for leaf in free]:
            if used and cap and used + have[Role.LEFT] == cap:
                _add(cluster, Role.USED, used, free)
                _add(cluster, Role.CAP, cap, free)
                return


def _add(cluster: Cluster, role: Role, number: Decimal, free: Sequence[Leaf]) -> None:
    if role not in cluster.senses:
        leaf = next(leaf for leaf in free if leaf.number == number)
        cluster.senses[role] = Sense(leaf=leaf, role=role, strength=Strength.WEAK, nouns=(), period=None)
        cluster.by_sum.add(role)


def _drop_impossible(cluster: Cluster) -> None:
    """Drops a limit that is below what is left: it is the limit of something else."""
    if {Role.CAP, Role.LEFT} <= cluster.senses.keys() and 0 <= cluster.number(Role.CAP) < cluster.number(Role.LEFT):
        del cluster.senses[Role.CAP]


def _is_something(cluster: Cluster) -> bool:
    """Whether there is something to watch: not a limit alone, nor a use alone."""
    roles = cluster.senses.keys()
    return bool(roles & {Role.LEFT, Role.AMOUNT}) or {Role.CAP, Role.USED} <= roles


def _the_only_number(numbers: Sequence[Leaf]) -> list[Cluster]:
    """`{"amount": 9.2}`: the only number of an answer counts, whatever it is called."""
    if len(numbers) != 1:
        return []
    sense = Sense(leaf=numbers[0], role=Role.LEFT, strength=Strength.WEAK, nouns=(), period=None)
    return [Cluster(home=home_of(numbers[0].scope), senses={Role.LEFT: sense})]
