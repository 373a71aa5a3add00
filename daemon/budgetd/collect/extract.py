"""From what the vendor sends to a poll's readings and outages, by the provider's plan.

No I/O, no clock, and no exception: whatever comes is a right value, an unknown one, or an outage that names it.
"""

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from budgetd.collect.answers import Reply, Seen, State, Visit, classify, has_any, read_values
from budgetd.collect.chains import prepare
from budgetd.collect.pages import Pages
from budgetd.collect.plans import Ask, RequestPlan
from budgetd.collect.provider import Provider
from budgetd.collect.readings import read_meter
from budgetd.collect.texts import Redact
from budgetd.collect.values import MalformedError
from budgetd_rules.meters import Reading
from budgetd_rules.polls import Cause, Outage, Poll
from budgetd_rules.values import Value

MOST_OUTAGES: Final = 50


Interview = Generator[Ask, Reply, Poll]


def interview(provider: Provider, account: str, now: datetime, redact: Redact) -> Interview:
    """Yields each request that is due, is sent what came of it, and returns what all of it says about the account."""
    visit = Visit(provider=provider, account=account, now=now, redact=redact)
    seen: dict[str, Seen] = {}
    values: dict[str, Value] = {}
    yield from converse(visit, seen, values)
    return conclude(visit, seen, values)


def converse(visit: Visit, seen: dict[str, Seen], values: dict[str, Value]) -> Generator[Ask, Reply, None]:
    """Fills `seen` and `values` as the answers come."""
    for plan in visit.provider.requests:
        ask = prepare(visit, plan, seen, values)
        one = (yield from _inquire(visit, ask)) if isinstance(ask, Ask) else Seen(state=ask)
        seen[plan.name], found = _see(visit, plan, one)
        values |= found


def _inquire(visit: Visit, ask: Ask) -> Generator[Ask, Reply, Seen]:
    """The whole answer to a request, with all its pages."""
    seen = classify(visit, ask.plan, (yield ask))
    if ask.plan.pages is None or seen.state is not State.ANSWERED:
        return seen
    first, pages = seen.document, Pages(plan=ask.plan.pages, redact=visit.redact)
    # That there is nothing can be said by the first page alone.
    later = replace(ask.plan, optional=False)
    try:
        while turn := pages.add(seen.document, seen.headers):
            seen = classify(visit, later, (yield replace(ask, turn=turn)))
            if seen.state is not State.ANSWERED:
                return seen
    except MalformedError as error:
        visit.blame(ask.plan.name, f"pages: {error}")
        return Seen(state=State.FAILED, headers=seen.headers)
    return replace(seen, document=pages.bind(first))


def _see(visit: Visit, plan: RequestPlan, seen: Seen) -> tuple[Seen, dict[str, Value]]:
    before = len(visit.outages)
    values = read_values(visit, plan, seen)
    lists = [
        meter.each.path for meter in visit.provider.meters.values() if meter.each and meter.each.request == plan.name
    ]
    is_empty = seen.state is State.ANSWERED and not has_any(values, lists, seen.document)
    if plan.undocumented:
        del visit.outages[before:]
        seen = replace(seen, state=State.ABSENT) if is_empty else seen
    elif is_empty and before == len(visit.outages):
        visit.blame(plan.name, "answered, but with none of the values looked for: has the API changed?")
        seen = Seen(state=State.FAILED)
    return seen, values


def conclude(visit: Visit, seen: dict[str, Seen], values: dict[str, Value]) -> Poll:
    readings: list[Reading] = []
    answered: set[str] = set()
    for meter in visit.provider.meters.values():
        read, complete = read_meter(visit, meter, seen, values)
        readings += read
        answered |= {meter.name} if complete else set()
    identity = values[visit.provider.identity] if visit.provider.identity else None
    return Poll(
        account=visit.account,
        provider=visit.provider.name,
        at=visit.now,
        readings=tuple(readings),
        outages=_limit(visit.outages),
        answered=frozenset(answered),
        retry_after=max(visit.pauses, default=None),
        identity=str(identity) if isinstance(identity, str | Decimal) else None,
    )


def _limit(outages: list[Outage]) -> tuple[Outage, ...]:
    """Each once, and not the thousand of a list that has changed its shape."""
    unique = tuple(dict.fromkeys(outages))
    if len(unique) <= MOST_OUTAGES:
        return unique
    first, rest = unique[: MOST_OUTAGES - 1], unique[MOST_OUTAGES - 1 :]
    return (
        *first,
        Outage(request=rest[0].request, cause=Cause.MALFORMED, detail=f"and {len(rest)} more", more=len(rest) - 1),
    )
