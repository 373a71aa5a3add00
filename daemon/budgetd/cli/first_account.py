"""Asks `init`'s questions about the account: vendor, name and key; then polls once to try it."""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from budgetd.cli.asking import ask, ask_until, choose
from budgetd.cli.init_options import Wish, keep_param
from budgetd.cli.invocation import make_page, read_clock, require_known
from budgetd.cli.meter_tables import tell_poll
from budgetd.collect.poll import poll as poll_once
from budgetd.collect.provider import Provider
from budgetd.collect.sources import Source
from budgetd.drafts.config_text import AccountDraft
from budgetd.drafts.files import require_free
from budgetd.drafts.kept import FORMS, Kept, keep
from budgetd.errors import BudgetdError, ConfigError, UsageError
from budgetd.http import Client
from budgetd.planning import Outline, make_sources
from budgetd.validation import did_you_mean
from budgetd_rules.meters import View, view
from budgetd_rules.own_account import OWN_NAME
from budgetd_rules.polls import Poll

FEW = 15
"""How many vendors are listed at once."""

Try = Callable[[AccountDraft], Outline]


def begin_account(wish: Wish, providers: Mapping[str, Provider], taken: Collection[str], folder: Path) -> AccountDraft:
    """The account from options and, at a terminal, from questions. Raises UsageError that names all that is missing."""
    if not wish.asks:
        _require_enough(wish, providers)
    provider = _choose_provider(wish, providers)
    name = _name_account(wish, provider, taken)
    unknown = sorted(wish.params.keys() - provider.params.keys())
    if unknown:
        hint = did_you_mean(unknown[0], list(provider.params))
        raise UsageError(f"--param {unknown[0]}: {provider.title} takes no such thing{hint}")
    if wish.asks:
        print(f"{provider.title}: {provider.key_hint or 'an API key'}")
    key = wish.key.kept(f"{name}.key") or _ask_key(f"{name}.key")
    if key.literal:
        require_free(folder / f"{name}.key", force=wish.force)
    return AccountDraft(
        name=name,
        provider=provider.name,
        key=key,
        base_url=wish.base_url,
        params=_read_params(wish, provider, name),
    )


def _require_enough(wish: Wish, providers: Mapping[str, Provider]) -> None:
    missing = []
    if wish.provider is None:
        missing.append("--provider NAME: is missing; `budgetd providers` lists them")
    if not wish.key.is_given:
        missing.append("--key-env NAME, --key-file PATH or --key-stdin: is missing")
    provider = providers.get(wish.provider or "")
    for name, param in provider.params.items() if provider else ():
        if param.required and name not in wish.params:
            missing.append(f"--param {name}=VALUE: is missing: {param.help}")
    if missing:
        raise UsageError("\n".join([*missing, "nothing is asked here: there is no terminal, or --yes is given"]))


# --- the vendor, and what to call it


def _choose_provider(wish: Wish, providers: Mapping[str, Provider]) -> Provider:
    if wish.provider is not None:
        require_known([wish.provider], list(providers), "provider", "`budgetd providers` lists them")
        return providers[wish.provider]
    listed = sorted(providers)
    if len(listed) <= FEW:
        _list_providers(listed, providers)
    print(f"There are {len(listed)} vendors. A number, a name or a part of one; ? lists them.")
    while True:
        said = ask("Vendor")
        found = find_providers(said, listed, providers)
        if len(found) == 1:
            return providers[found[0]]
        if not found:
            print(f"  none is called {said!r}{did_you_mean(said, sorted(providers), '? lists them')}")
        listed = found or sorted(providers)
        if found:
            _list_providers(listed, providers)


def find_providers(said: str, listed: Sequence[str], providers: Mapping[str, Provider]) -> list[str]:
    """Finds a vendor by its number in the list last shown, its name, or a part of its name or title."""
    if said == "?":
        return sorted(providers)
    if said.isdigit() and 0 < int(said) <= len(listed):
        return [listed[int(said) - 1]]
    if said in providers:
        return [said]
    part = said.casefold()
    return [name for name, one in sorted(providers.items()) if part in name or part in one.title.casefold()]


def _list_providers(names: Sequence[str], providers: Mapping[str, Provider]) -> None:
    for number, name in enumerate(names, start=1):
        print(f"  {number:3} {name:20} {providers[name].title}")


def _name_account(wish: Wish, provider: Provider, taken: Collection[str]) -> str:
    def read(name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
            raise ValueError("a name has letters, digits, dots, dashes and underscores, and begins with no sign")
        if name in taken or name == OWN_NAME:
            raise ValueError(f"{name} is taken; choose another")
        return name

    names = [provider.name, *(f"{provider.name}-{number}" for number in range(2, 9999))]
    free = next(name for name in names if name not in taken)
    if wish.account is None and wish.asks:
        return ask_until("A name for the account", read, free)
    try:
        return read(wish.account or free)
    except ValueError as error:
        raise UsageError(f"--account: {error}") from error


# --- its key and params


def _ask_key(file: str) -> Kept:
    return _ask_kept(f"Key (not shown; or {FORMS})", file)


def _ask_kept(question: str, file: str) -> Kept:
    return ask_until(question, lambda said: keep(said, file), secret=True)


def _read_params(wish: Wish, provider: Provider, account: str) -> dict[str, str | Kept]:
    params: dict[str, str | Kept] = {}
    for name, param in provider.params.items():
        if name in wish.params:
            params[name] = keep_param(name, wish.params[name]) if param.secret else wish.params[name]
        elif param.required and param.secret:
            params[name] = _ask_kept(f"{name} (not shown; or {FORMS}): {param.help}", f"{account}.{name}")
        elif param.required:
            params[name] = ask(f"{name}: {param.help}")
    return params


# --- one poll


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """The account to be written, and the readings of its poll."""

    account: AccountDraft
    views: tuple[View, ...] = ()
    identity: str | None = None
    """The vendor's own id of the account, if a poll found one."""


def try_account(wish: Wish, account: AccountDraft, outline_of: Try) -> Tried:
    """Polls until it works or the user chooses to write it anyway. Raises BudgetdError to write nothing."""
    if not wish.polls:
        return Tried(account=account)
    while True:
        if account.key.source.credential is not None:
            print("not polled: a credential is there only in the service")
            return Tried(account=account)
        problem, tried = _poll(account, outline_of)
        if not problem:
            return tried
        if not wish.asks:
            raise BudgetdError(f"{problem}\nnothing is written; --no-poll writes it untried")
        print(problem)
        answer = choose("That did not work", {"a": "another key", "w": "write it anyway", "q": "quit"})
        if answer == "q":
            raise BudgetdError("nothing is written")
        if answer == "w":
            return tried
        account = replace(account, key=_ask_key(f"{account.name}.key"))


def _poll(account: AccountDraft, outline_of: Try) -> tuple[str, Tried]:
    """Polls and prints the readings. Returns them with the problem, if there is one."""
    try:
        outline = outline_of(account)
        source = make_sources(outline, [account.name])[account.name]
    except ConfigError as error:
        return str(error), Tried(account=account)
    now = read_clock()
    seen = asyncio.run(_poll_once(source))
    views = tuple(view(reading, now, outline.accounts[account.name].stale_after) for reading in seen.readings)
    tell_poll(make_page(outline, now), replace(seen, outages=()), views)
    problem = "\n".join(f"{one.cause} at {one.request}: {one.detail}" for one in seen.outages)
    return problem, Tried(account=account, views=views, identity=seen.identity)


async def _poll_once(source: Source) -> Poll:
    async with aclosing(Client()) as client:
        return await poll_once(source, client, read_clock())
