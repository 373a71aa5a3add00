"""An account ready to be polled: its requests, made from the provider's templates, its key and its params."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from urllib.parse import quote

from budgetd.collect.plans import Ask, RequestPlan
from budgetd.collect.provider import Provider
from budgetd.collect.templates import API_KEY, PLACEHOLDER, TemplateValue, fill, fill_all, fill_json, tell_times
from budgetd.collect.texts import Redact, hide
from budgetd.credentials import Secret
from budgetd.errors import ConfigError
from budgetd.http import Request
from budgetd.turns import Line
from budgetd.validation import did_you_mean

Setting = str | int | Secret
_SOME_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMaker:
    """Makes the requests of an account from what they have in common; `known` are its params."""

    base: str
    known: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    auth_headers: Mapping[str, str] = field(repr=False)
    auth_query: Mapping[str, str] = field(repr=False)

    def make(self, plan: RequestPlan, found: Mapping[str, TemplateValue]) -> Request:
        """`found` are values of the clock and of earlier answers. Raises ValueError if it can't be sent."""
        known = {**self.known, **found}
        # A param may be several steps of a path; a value from the vendor is one step.
        steps = {name: quote(text, safe="/") for name, text in self.known.items()}
        steps |= {name: quote(str(value), safe="") for name, value in found.items()}
        return Request(
            method=plan.method,
            url=self.base + _fill_path(plan.path, steps),
            headers=_join_headers(self.headers, fill_all(plan.headers, known), self.auth_headers),
            params={**fill_all(plan.query, known), **self.auth_query},
            json=json.dumps(fill_json(plan.json, known)).encode() if plan.json is not None else None,
        )


class Keyring(Protocol):
    """Where an account's key comes from, if it can change. Both methods raise SecretUnavailableError."""

    async def current(self, now: datetime) -> "Source": ...

    async def after_refusal(self, now: datetime) -> "Source": ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An account ready to be polled. `requests` are those that are the same at every poll, made once for each key.

    `line` is where its requests wait for their turn, if the vendor has a rate limit.
    """

    account: str
    provider: Provider
    requests: Mapping[str, Request]
    maker: RequestMaker
    timeout: timedelta
    secrets: tuple[str, ...] = field(repr=False)
    redact: Redact = field(repr=False)
    line: Line | None = None
    keyring: Keyring | None = None

    def request(self, ask: Ask) -> Request:
        """Raises ValueError where it can't be sent, and RequestFailedError where a link leads to another origin."""
        request = self.requests.get(ask.plan.name) or self.maker.make(ask.plan, ask.found)
        if ask.turn is None:
            return request
        if ask.turn.link is not None:
            return request.at(ask.turn.link, self.maker.auth_query)
        if ask.turn.json:
            return replace(request, json=_put_in(request.json or b"{}", *ask.turn.json))
        return replace(request, params={**request.params, **ask.turn.query})


def make_source(
    account: str,
    provider: Provider,
    api_key: Secret,
    *,
    base_url: str | None = None,
    params: Mapping[str, Setting] | None = None,
    timeout: timedelta = timedelta(seconds=30),
) -> Source:
    """Raises ConfigError, a line for each problem; the lines begin with the key below `accounts.NAME`."""
    given = {name: _text(setting) for name, setting in (params or {}).items()}
    base = (base_url or provider.base_url).rstrip("/")
    problems = _find_problems(provider, given)
    if problems:
        raise ConfigError(f"accounts.{account}.params.{problem}" for problem in problems)
    defaults = {name: param.default for name, param in provider.params.items() if param.default is not None}
    known = {**defaults, **given}
    with_key = {**known, API_KEY: api_key.reveal()}
    basic = fill(provider.auth.basic, with_key) if provider.auth.basic is not None else None
    secrets = [api_key.reveal(), *(text for name, text in given.items() if provider.params[name].secret), basic or ""]
    redact = hide(*secrets)
    maker = RequestMaker(
        base=base,
        known=known,
        headers=fill_all(provider.headers, known),
        auth_headers=fill_all(provider.auth.headers, with_key) | _basic(basic),
        auth_query=fill_all(provider.auth.query, with_key),
    )
    try:
        # All are made now, also those that change, so that what can't be sent is found at the start.
        made = {plan.name: maker.make(plan, _make_up(plan)) for plan in provider.requests}
        line = line_of(provider, base)
    except ValueError as error:
        raise ConfigError([redact(f"accounts.{account}: {error}")]) from error
    return Source(
        account=account,
        provider=provider,
        requests={plan.name: made[plan.name] for plan in provider.requests if plan.is_fixed},
        maker=maker,
        timeout=timeout,
        secrets=tuple(secrets),
        redact=redact,
        line=line,
    )


def line_of(provider: Provider, base_url: str) -> Line | None:
    """Raises ValueError where the URL is none."""
    rate = provider.rate_limit
    return Line(provider=provider.name, place=Request(url=base_url).place, rate=rate) if rate else None


def _make_up(plan: RequestPlan) -> dict[str, TemplateValue]:
    return {**tell_times(plan.times, _SOME_TIME), **dict.fromkeys(plan.needs, 1)}


def _text(setting: Setting) -> str:
    return setting.reveal() if isinstance(setting, Secret) else str(setting)


def _find_problems(provider: Provider, given: Mapping[str, str]) -> list[str]:
    problems = [
        f"{name}: {provider.title} takes no such thing{did_you_mean(name, list(provider.params))}"
        for name in given
        if name not in provider.params
    ]
    problems += [f"{name}: is empty" for name, text in given.items() if not text.strip()]
    problems += [
        f"{name}: is missing: {param.help}"
        for name, param in provider.params.items()
        if param.required and name not in given
    ]
    return problems


def _put_in(body: bytes, place: Sequence[str], value: TemplateValue) -> bytes:
    """At a place in its tables, of which those are made that are missing."""
    document = table = json.loads(body)
    for step in place[:-1]:
        table = table.setdefault(step, {})
    table[place[-1]] = value
    return json.dumps(document).encode()


def _basic(user_and_password: str | None) -> dict[str, str]:
    if user_and_password is None:
        return {}
    return {"Authorization": f"Basic {b64encode(user_and_password.encode()).decode()}"}


def _fill_path(path: str, steps: Mapping[str, str]) -> str:
    filled = PLACEHOLDER.sub(lambda match: steps[match[1]], path)
    if not filled.startswith("/"):
        # Otherwise `@elsewhere` would become a part of the host.
        raise ValueError(f"a path begins with a slash, and {filled!r} does not")
    return filled


def _join_headers(*layers: Mapping[str, str]) -> dict[str, str]:
    """Each name once, whatever its case: later layers have precedence."""
    joined: dict[str, tuple[str, str]] = {}
    for headers in layers:
        joined |= {name.lower(): (name, text) for name, text in headers.items()}
    return dict(joined.values())
