"""Routing: which changes go to which channels, after how long, and what each channel's own settings are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from budgetd_rules.appointments import Diary
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind
from budgetd_rules.meters import Account
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet

AT_ONCE: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which changes go to which channels. All that is given must match; texts are glob patterns.

    With `after` it is an escalation: its channels are told later, and the search goes on behind it.
    """

    channels: tuple[str, ...]
    levels: frozenset[Level] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    changes: frozenset[ChangeKind] = frozenset()
    rule: str = "*"
    account: str = "*"
    provider: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)
    goes_on: bool = False
    after: timedelta = AT_ONCE

    def matches(self, change: Change, account: Account, kind: Kind) -> bool:
        return (
            # What is noted has no episode, so nobody could ack it.
            not (self.after and change.kind is ChangeKind.NOTED)
            and (not self.levels or change.new in self.levels)
            and (not self.kinds or kind in self.kinds)
            and (not self.changes or change.kind in self.changes)
            and fnmatchcase(change.key.rule, self.rule)
            and fnmatchcase(account.name, self.account)
            and fnmatchcase(account.provider, self.provider)
            and all(fnmatchcase(account.labels.get(name, ""), glob) for name, glob in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The routes in order, and by channel: how long it collects before it sends, its quiet hours, its appointments.

    Without routes, everything goes to every channel. `fallbacks` names the channel to tell instead of one that fails.
    """

    routes: tuple[Route, ...]
    group_wait: Mapping[str, timedelta]
    quiet: Mapping[str, Quiet] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    diaries: Mapping[str, Diary] = field(default_factory=dict)

    def channels(self, change: Change, account: Account, kind: Kind) -> Mapping[str, timedelta]:
        """channel -> after how long it is told. If several routes lead to a channel, the soonest counts."""
        if not self.routes:
            return dict.fromkeys(self.group_wait, AT_ONCE)
        chosen: dict[str, timedelta] = {}
        for route in self.routes:
            if route.matches(change, account, kind):
                chosen |= {name: min(route.after, chosen.get(name, route.after)) for name in route.channels}
                if not (route.goes_on or route.after):
                    break
        return chosen
