"""`act`: starts an action that a vendor offers. It is confirmed first, sent once, and recorded."""

import asyncio
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from budgetd.cli.holding import appendable, who
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    load_outline,
    make_page,
    print_json,
    read_clock,
    read_pairs,
    require_accounts,
)
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.collect.acting import Acted, Ending, act, read_args
from budgetd.collect.plans import Action
from budgetd.collect.provider import Provider
from budgetd.collect.sources import Source
from budgetd.collect.templates import TemplateValue
from budgetd.credentials import SecretUnavailableError
from budgetd.errors import BudgetdError, UsageError
from budgetd.http import Client
from budgetd.json_shapes import started_json
from budgetd.planning import Outline, make_sources
from budgetd.provider_shapes import action_json
from budgetd.store import actions, database
from budgetd.store.actions import Started
from budgetd.validation import did_you_mean

LONGEST_SECRET = 4096


def start_action(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="The account. Without it: list what was started so far.")
    ] = None,
    action: Annotated[
        str | None, typer.Argument(metavar="ACTION", help="The action. Without it: list the possible ones.")
    ] = None,
    args: Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE", help="The arguments of the action.")] = None,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start an action at a vendor, such as a payment link. Asks first, sends it once, and records it."""
    if account is None:
        _list_started(load_outline(config), as_json)
        return
    outline = load_outline(config)
    require_accounts([account], outline)
    provider = outline.providers[outline.accounts[account].provider]
    if action is None:
        _list_possible(provider, account, as_json)
        return
    if action not in provider.actions:
        hint = did_you_mean(action, list(provider.actions), f"{provider.title} offers nothing to start")
        raise UsageError(f"no action is named {action!r}{hint}")
    source = make_sources(outline, [account])[account]
    wanted = provider.actions[action]
    read = read_args(wanted, _gather(wanted, args or ()))
    if not is_sure:
        _confirm(f"{provider.title}, account {account}: {wanted.title}", wanted, read)
    _start(outline, source, wanted, read, as_json=as_json)


def _start(
    outline: Outline, source: Source, action: Action, args: Mapping[str, TemplateValue], *, as_json: bool
) -> None:
    recorded = {name: value for name, value in args.items() if not action.args[name].secret}
    started = Started(account=source.account, action=action.name, args=recorded, by=who(), at=read_clock())
    with appendable(outline, makes=True) as db:
        id_ = actions.begin_action(db, started)
        acted = asyncio.run(_act(source, action, args))
        actions.end_action(db, id_, acted.ending, acted.detail, read_clock())
    if as_json:
        shape = {"account": source.account, "action": action.name, "ending": acted.ending, "detail": acted.detail}
        print_json(shape | {"shown": dict(acted.shown)})
    _report(action, acted, as_json=as_json)


async def _act(source: Source, action: Action, args: Mapping[str, TemplateValue]) -> Acted:
    async with aclosing(Client()) as client:
        try:
            return await act(source, action, args, client, read_clock())
        except (SecretUnavailableError, UsageError) as error:
            return Acted(ending=Ending.REFUSED, detail=f"nothing was sent: {error}")


def _report(action: Action, acted: Acted, *, as_json: bool) -> None:
    if acted.ending is Ending.UNKNOWN:
        raise BudgetdError(f"{action.name}: it is not known whether it was done, look at the vendor's: {acted.detail}")
    if acted.ending is Ending.REFUSED:
        raise BudgetdError(f"{action.name}: not done: {acted.detail}")
    if not as_json:
        print(f"{action.name}: done" + (f", but {acted.detail}" if acted.detail else ""))
        for label, text in acted.shown.items():
            print(f"{label}: {text}")


# --- arguments


def _gather(action: Action, given: Sequence[str]) -> dict[str, str]:
    """Secret arguments must not appear in process lists: they come from a file (NAME=@FILE) or a prompt."""
    pairs = read_pairs(given)
    for name, arg in action.args.items():
        value = pairs.get(name)
        if value is not None and value.startswith("@"):
            pairs[name] = _read_file(name, Path(value[1:]))
        elif arg.secret and value is not None:
            raise UsageError(f"{name} is a secret, and others can see command lines: leave it out, or {name}=@FILE")
        elif arg.secret:
            pairs[name] = _ask_secret(name, arg.help)
    return pairs


def _read_file(name: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(LONGEST_SECRET).strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageError(f"{name}: {path}: {reason}") from error


def _ask_secret(name: str, what: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"{name} ({what})", hide_input=True))
    try:
        return sys.stdin.readline(LONGEST_SECRET).strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: standard input: is not UTF-8 text") from error


def _confirm(what: str, action: Action, args: Mapping[str, TemplateValue]) -> None:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on: add --yes to start it without a question")
    shown = ", ".join(f"{name} {'***' if action.args[name].secret else value}" for name, value in args.items())
    if not typer.confirm(f"{what}{f' ({shown})' if shown else ''}. Start it?"):
        raise BudgetdError("nothing was sent")


# --- lists


def _list_possible(provider: Provider, account: str, as_json: bool) -> None:
    if as_json:
        print_json(list(map(action_json, provider.actions.values())))
        return
    if not provider.actions:
        print(f"{provider.title} offers nothing to start")
    for action in provider.actions.values():
        print(f"budgetd act {' '.join([account, action.name, *(f'{name}=...' for name in action.args)])}")
        print(f"    {action.title}")
        for name, arg in action.args.items():
            print(f"    {name}: {arg.help}{', a secret: leave it out to be asked' if arg.secret else ''}")


def _list_started(outline: Outline, as_json: bool) -> None:
    db = database.open_for_reading(outline.config.state)
    found = actions.load_actions(db) if db else []
    if as_json:
        print_json(list(map(started_json, found)))
    elif found:
        _tell_started(make_page(outline, read_clock()), found)
    else:
        print("nothing was started yet")


def _tell_started(page: Page, started: Iterable[Started]) -> None:
    table = make_table("when", "account", "action", "with", "by", "ended", "detail")
    for one in started:
        args = ", ".join(f"{name} {value}" for name, value in one.args.items())
        table.add_row(page.when(one.at), one.account, one.action, args, one.by, one.ending, one.detail)
    print_table(page.console, table)
