"""One account, polled once: its requests in their order, and what their answers say."""

from datetime import datetime

from budgetd.collect.answers import Outcome
from budgetd.collect.extract import interview
from budgetd.collect.plans import Ask
from budgetd.collect.sources import Source
from budgetd.http import Client, RequestFailedError
from budgetd_rules.polls import Cause, Poll


async def poll(source: Source, client: Client, now: datetime) -> Poll:
    """Never raises for trouble at the vendor's: that is in the poll's outages."""
    talk = interview(source.provider, source.account, now, source.redact)
    try:
        ask = next(talk)
        while True:
            ask = talk.send(await _send(source, client, ask))
    except StopIteration as end:
        done: Poll = end.value
        return done


async def _send(source: Source, client: Client, ask: Ask) -> Outcome:
    """The answer, or why there is none."""
    try:
        return await client.send(source.request(ask), source.timeout)
    except RequestFailedError as error:
        return error
    except ValueError as error:
        return RequestFailedError(Cause.MALFORMED, f"can't be sent: {error}")
