"""From what the vendor sent to a poll's readings and outages, by the provider's plan.

No I/O, no clock, and no exception: whatever comes is a right value, an unknown one, or an outage that names it.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from budgetd.collect.answers import Outcome, Seen, State, Visit, has_any, judge, read_values
from budgetd.collect.failures import read_retry_after
from budgetd.collect.plans import RequestPlan
from budgetd.collect.provider import Provider
from budgetd.collect.readings import read_meter
from budgetd.collect.texts import Redact
from budgetd.http import Answer
from budgetd_rules.meters import Reading
from budgetd_rules.polls import Cause, Outage, Poll
from budgetd_rules.values import Value

MOST_OUTAGES: Final = 50


def extract(provider: Provider, account: str, outcomes: Mapping[str, Outcome], now: datetime, redact: Redact) -> Poll:
    """What the outcomes of the provider's requests, each under its name, say about the account."""
    visit = Visit(provider=provider, account=account, now=now, redact=redact)
    seen: dict[str, Seen] = {}
    values: dict[str, Value] = {}
    for plan in provider.requests:
        seen[plan.name], found = _see(visit, plan, outcomes[plan.name])
        values |= found
    readings: list[Reading] = []
    answered: set[str] = set()
    for meter in provider.meters.values():
        read, complete = read_meter(visit, meter, seen, values)
        readings += read
        answered |= {meter.name} if complete else set()
    identity = values[provider.identity] if provider.identity else None
    return Poll(
        account=account,
        provider=provider.name,
        at=now,
        readings=tuple(readings),
        outages=_limit(visit.outages),
        answered=frozenset(answered),
        retry_after=read_retry_after((one for one in outcomes.values() if isinstance(one, Answer)), now),
        identity=str(identity) if isinstance(identity, str | Decimal) else None,
    )


def _see(visit: Visit, plan: RequestPlan, outcome: Outcome) -> tuple[Seen, dict[str, Value]]:
    seen = judge(visit, plan, outcome)
    before = len(visit.outages)
    values = read_values(visit, plan, seen)
    lists = [
        meter.each.path for meter in visit.provider.meters.values() if meter.each and meter.each.request == plan.name
    ]
    if seen.state is State.ANSWERED and before == len(visit.outages) and not has_any(values, lists, seen.document):
        visit.blame(plan.name, "answered, but with none of the values looked for: has the API changed?")
        seen = Seen(state=State.FAILED)
    return seen, values


def _limit(outages: list[Outage]) -> tuple[Outage, ...]:
    """Each once, and not the thousand of a list that has changed its shape."""
    unique = tuple(dict.fromkeys(outages))
    if len(unique) <= MOST_OUTAGES:
        return unique
    first, rest = unique[: MOST_OUTAGES - 1], unique[MOST_OUTAGES - 1 :]
    return (*first, Outage(request=rest[0].request, cause=Cause.MALFORMED, detail=f"and {len(rest)} more"))
