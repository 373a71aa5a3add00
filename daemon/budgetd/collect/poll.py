"""One account, polled once: its requests in their order, and what their answers say."""

from datetime import datetime
from typing import Final

from budgetd.collect.answers import Reply
from budgetd.collect.extract import interview
from budgetd.collect.plans import Ask
from budgetd.collect.sources import Keyring, Source
from budgetd.credentials import SecretUnavailableError
from budgetd.http import Answer, Client, RequestFailedError
from budgetd_rules.polls import Cause, Poll

UNAUTHORIZED: Final = 401


async def poll(source: Source, client: Client, now: datetime) -> Poll:
    """Never raises for trouble at the vendor's: that is in the poll's outages."""
    talk = interview(source.provider, source.account, now, source.redact)
    try:
        ask = next(talk)
        while True:
            ask = talk.send(await send(source, client, ask, now))
    except StopIteration as end:
        done: Poll = end.value
        return done


async def send(source: Source, client: Client, ask: Ask, now: datetime) -> Reply:
    """The answer, or why there is none."""
    try:
        if source.keyring:
            return await _send_with(source.keyring, client, ask, now)
        return await client.send(source.request(ask), source.timeout, source.line)
    except RequestFailedError as error:
        return error
    except SecretUnavailableError as error:
        return RequestFailedError(Cause.CREDENTIAL, str(error))
    except ValueError as error:
        return RequestFailedError(Cause.MALFORMED, f"can't be sent: {error}")


async def _send_with(keyring: Keyring, client: Client, ask: Ask, now: datetime) -> Answer:
    """With the present key; where the vendor refuses that, once more with another, if there is one."""
    source = await keyring.current(now)
    answer = await client.send(source.request(ask), source.timeout, source.line)
    if answer.status != UNAUTHORIZED:
        return answer
    renewed = await keyring.after_refusal(now)
    if renewed is source:
        return answer
    return await client.send(renewed.request(ask), source.timeout, source.line)
