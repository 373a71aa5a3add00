"""One account, polled once: its requests in their order, and what their answers say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from budgetd.collect.answers import Outcome
from budgetd.collect.extract import extract
from budgetd.collect.provider import Provider
from budgetd.collect.tables import API_KEY, PLACEHOLDER
from budgetd.collect.texts import Redact, hide
from budgetd.credentials import Secret
from budgetd.errors import ConfigError
from budgetd.http import Client, Request, RequestFailedError
from budgetd.validation import did_you_mean
from budgetd_rules.polls import Poll


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An account ready to be polled: everything that stays the same from poll to poll is made once."""

    account: str
    provider: Provider
    requests: Mapping[str, Request]
    timeout: timedelta
    redact: Redact = field(repr=False)


def make_source(
    account: str,
    provider: Provider,
    api_key: Secret,
    *,
    base_url: str | None = None,
    params: Mapping[str, str | int] | None = None,
    timeout: timedelta = timedelta(seconds=30),
) -> Source:
    """Raises ConfigError, a line for each problem; the lines begin with the key below `accounts.NAME`."""
    given = {name: str(value) for name, value in (params or {}).items()}
    filled = {name: given.get(name, param.default) for name, param in provider.params.items()}
    known = {name: value for name, value in filled.items() if value is not None}
    problems = [
        f"accounts.{account}.params.{name}: {provider.title} takes no such thing{did_you_mean(name, list(filled))}"
        for name in given
        if name not in filled
    ]
    problems += [
        f"accounts.{account}.params.{name}: is missing: {param.help}"
        for name, param in provider.params.items()
        if param.required and name not in given
    ]
    if problems:
        raise ConfigError(problems)
    key = api_key.reveal()
    headers = _fill(provider.headers, known) | {provider.auth_header: provider.auth_value.replace(API_KEY, key)}
    base = (base_url or provider.base_url).rstrip("/")
    try:
        requests = {
            plan.name: Request(
                url=base + _fill_path(plan.path, known), headers=headers, params=_fill(plan.query, known)
            )
            for plan in provider.requests
        }
    except ValueError as error:
        raise ConfigError([f"accounts.{account}: {error}"]) from error
    return Source(account=account, provider=provider, requests=requests, timeout=timeout, redact=hide(key))


def _fill(texts: Mapping[str, str], params: Mapping[str, str]) -> dict[str, str]:
    """Without those that name a param that was not given."""
    filled = {}
    for name, text in texts.items():
        if all(param in params for param in PLACEHOLDER.findall(text)):
            filled[name] = PLACEHOLDER.sub(lambda match: params[match[1]], text)
    return filled


def _fill_path(path: str, params: Mapping[str, str]) -> str:
    filled = PLACEHOLDER.sub(lambda match: quote(params[match[1]], safe="/"), path)
    if not filled.startswith("/"):
        # Else `@elsewhere` would be a part of the host.
        raise ValueError(f"a path begins with a slash, and {filled!r} does not")
    return filled


async def poll(source: Source, client: Client, now: datetime) -> Poll:
    """Never raises for trouble at the vendor's: that is in the poll's outages."""
    outcomes = await fetch(source, client)
    return extract(source.provider, source.account, outcomes, now, source.redact)


async def fetch(source: Source, client: Client) -> dict[str, Outcome]:
    """The answer to every request, one after another, so that they share a connection; or why there is none."""
    outcomes: dict[str, Outcome] = {}
    for name, request in source.requests.items():
        try:
            outcomes[name] = await client.send(request, source.timeout)
        except RequestFailedError as error:
            outcomes[name] = error
    return outcomes
