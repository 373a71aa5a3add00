"""What was read of meters, as tables: in `status` a line for each, in `poll` and `probe` all its fields."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from rich.text import Text

from budgetd.cli.layout import Page, make_table, print_table
from budgetd.store.status import AccountStatus, EpisodeStatus
from budgetd_rules.kinds import KINDS
from budgetd_rules.meters import MeterKey, View, family
from budgetd_rules.polls import Outage, Poll
from budgetd_rules.sanitizing import harmless
from budgetd_rules.values import UNKNOWN
from budgetd_rules.wording import describe

# The most meters of one list to show; of a longer list, one fewer. A vendor may have hundreds of prices.
_MANY: Final = 4


def tell_poll(page: Page, poll: Poll, views: Sequence[View]) -> None:
    """All known fields, in the order of the kind; of a long list of meters only the first."""
    page.say(f"{poll.account} ({poll.provider})", "bold")
    table = make_table("meter", "kind", "field", "value")
    for view, more in _shorten(views):
        if more:
            table.add_row(f"{family(view.key.meter)}/…", view.reading.kind, "", _more(more))
            continue
        for number, name in enumerate(KINDS[view.reading.kind].all):
            value = view.fields[name]
            if value is not UNKNOWN or number == 0:
                table.add_row(harmless(view.key.meter), view.reading.kind, name, page.show(value))
    if views:
        print_table(page.console, table)
    _tell_outages(page, poll.outages)
    page.say("")


def _tell_outages(page: Page, outages: Iterable[Outage]) -> None:
    for outage in outages:
        page.say(f"  {outage.cause} at {outage.request}: {outage.detail}", "red")


def tell_accounts(
    page: Page, accounts: Iterable[tuple[AccountStatus, str | None, Sequence[View]]], episodes: Iterable[EpisodeStatus]
) -> None:
    """Each row has the account's `same_as`, if any. A meter with an open episode is always shown."""
    alarming = {one.episode.key.of_meter for one in episodes}
    table = make_table("account", "last poll", "meter", "state")
    for account, same_as, views in accounts:
        name, polled = account.name, page.when(account.last_poll)
        if same_as is not None:
            table.add_row(name, polled, "", f"the same as {same_as}, where its meters are judged")
            name = polled = ""
        for view, more in _shorten(views, alarming):
            if more:
                table.add_row(name, polled, f"{family(view.key.meter)}/…", _more(more))
                continue
            as_last = "last" if view.headline is UNKNOWN else "as last"
            stale = f", {as_last} read {page.when(view.reading.as_of)}" if view.stale else ""
            meter = harmless(view.key.meter)
            # The meter's name is in the column before.
            state = describe(view, page.zone, page.now).removeprefix(meter).lstrip(": ")
            table.add_row(name, polled, meter, state + stale)
            name = polled = ""
        for outage in account.outages:
            others = f" (and {outage.more} more: see `budgetd poll {account.name}`)" if outage.more else ""
            table.add_row(name, polled, Text(outage.cause, "red"), outage.detail + others)
            name = polled = ""
        if name:
            table.add_row(name, polled, "", "nothing read yet")
    print_table(page.console, table)


def _shorten(views: Sequence[View], kept: Collection[MeterKey] = ()) -> Iterator[tuple[View, int]]:
    """Pairs of a view to show and 0; where a long list is cut, the first view left out and how many there are."""
    sizes = Counter(family(view.key.meter) for view in views)
    shown: Counter[str] = Counter()
    left_out: dict[str, list[View]] = {}
    rows: list[View] = []
    for view in views:
        name = family(view.key.meter)
        if sizes[name] <= _MANY or shown[name] < _MANY - 1 or view.key in kept:
            shown[name] += 1
            rows.append(view)
        else:
            left_out.setdefault(name, []).append(view)
    last = {family(view.key.meter): view for view in rows}
    for view in rows:
        yield view, 0
        name = family(view.key.meter)
        if name in left_out and last[name] is view:
            yield left_out[name][0], len(left_out[name])


def _more(count: int) -> str:
    return f"and {count} more: --json has all"
