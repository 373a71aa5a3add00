"""One account, polled once: its requests in their order, and what their answers say."""

from datetime import datetime

from budgetd.collect.answers import Outcome
from budgetd.collect.extract import extract
from budgetd.collect.plans import RequestPlan
from budgetd.collect.sources import Source
from budgetd.http import Client, RequestFailedError
from budgetd_rules.polls import Poll


async def poll(source: Source, client: Client, now: datetime) -> Poll:
    """Never raises for trouble at the vendor's: that is in the poll's outages."""
    # One after another, so that they share a connection.
    outcomes = {plan.name: await _send(source, client, plan, now) for plan in source.provider.requests}
    return extract(source.provider, source.account, outcomes, now, source.redact)


async def _send(source: Source, client: Client, plan: RequestPlan, now: datetime) -> Outcome:
    """The answer, or why there is none."""
    try:
        return await client.send(source.request(plan, now), source.timeout)
    except RequestFailedError as error:
        return error
