"""The verbs. Each reads the config, does one thing, and prints it: for people, or as JSON for scripts."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from budgetd import json_shapes, log
from budgetd.advice import programs, twins, warnings
from budgetd.cli.acting import start_action
from budgetd.cli.channels import channels_app
from budgetd.cli.explaining import explain, history
from budgetd.cli.holding import ack, holds_app, silence
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    Verb,
    load,
    load_identities,
    load_outline,
    make_printer,
    print_json,
    read_clock,
    require_accounts,
)
from budgetd.cli.outbox import outbox_app
from budgetd.cli.probing import probe
from budgetd.cli.providing import providers_app
from budgetd.cli.starting import init
from budgetd.cli.tables import Printer
from budgetd.cli.testing import run_tests
from budgetd.collect.poll import poll as poll_once
from budgetd.collect.sources import Source
from budgetd.errors import UsageError
from budgetd.http import Client
from budgetd.judge import views_of
from budgetd.planning import Outline, Plan, make_outline, make_plan, make_sources
from budgetd.same_as import key_of
from budgetd.service import Service
from budgetd.store import database
from budgetd.store import status as stored
from budgetd.store.pulse import load_heartbeat
from budgetd.store.status import AccountStatus, ChannelStatus, Status
from budgetd.wiring import wire
from budgetd_rules.meters import View, family, view
from budgetd_rules.own_account import OWN_ACCOUNT, OWN_NAME
from budgetd_rules.polls import Poll

app = typer.Typer(
    name="budgetd",
    help="Watches the credits, quotas and subscriptions you buy, and tells you once before they run out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Boxes would have a column for the types that Python gives what is typed.
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(channels_app, name="channels")


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"budgetd {version('budgetd')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    log.set_up("warning")


# First in `--help`, as it is in life.
app.command()(init)


@app.command()
def run(
    config: ConfigOption = None,
    log_level: Annotated[LogLevel, typer.Option(help="How much to log, on standard error.")] = LogLevel.INFO,
) -> None:
    """Run the service: poll, judge and tell, until SIGTERM or SIGINT. SIGHUP reads the config anew."""
    log.set_up(log_level)
    plan = make_plan(load(config))
    for warning in warnings(plan.outline):
        logging.getLogger("budgetd.config").warning(warning)
    asyncio.run(_serve(plan, lambda: make_plan(load(config))))


async def _serve(plan: Plan, load_again: Callable[[], Plan]) -> None:
    async with wire(plan) as wired:
        await Service(wired, load=load_again).run()


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the config and its secrets. Prints a line for each problem; exits with 78 where there is one."""
    plan = make_plan(load(config))
    for program in programs(plan.outline):
        print(program)
    Client()  # so that proxies and authorities of the environment which can't be used are said here
    config_, rules = plan.outline.config, plan.outline.ruleset.rules.keys()
    keys = {name: key_of(one.source, config_.file.accounts[name]) for name, one in plan.scheduled.items()}
    for warning in [*warnings(plan.outline), *twins(plan.outline, load_identities(config_.state), keys)]:
        print(f"warning: {warning}")
    own = rules & config_.own_rules
    for name in plan.outline.shelf.replaced:
        print(f"{plan.outline.shelf.own[name]}: replaces the provider {name} that ships")
    counts = [(len(plan.scheduled), "account"), (len(plan.urls), "channel"), (len(own), "rule")]
    counted = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    print(f"{config_.path}: good: {counted} and {len(rules - own)} built-in or included")


@app.command()
def poll(
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="ACCOUNT", help="Only these; else all that are enabled.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Poll once and print what the vendors say. Stores nothing, tells no one; exits with 1 where a poll failed."""
    outline, now = load_outline(config), read_clock()
    sources = make_sources(outline, require_accounts(accounts or [], outline) or outline.accounts)
    polls = asyncio.run(_poll_all(sources.values(), now))
    known = outline.accounts
    seen = [(one, [view(reading, now, known[one.account].stale_after) for reading in one.readings]) for one in polls]
    if as_json:
        print_json([json_shapes.poll_json(one, viewed) for one, viewed in seen])
    else:
        printer = make_printer(outline, now)
        for one, viewed in seen:
            printer.poll(one, viewed)
    if any(one.outages for one in polls):
        raise typer.Exit(1)


async def _poll_all(sources: Iterable[Source], now: datetime) -> list[Poll]:
    client = Client()
    try:
        return await asyncio.gather(*(poll_once(source, client, now) for source in sources))
    finally:
        await client.aclose()


app.command()(probe)


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts, open episodes and channels. As last read by the daemon; nothing is polled."""
    outline = make_outline(load(config))
    db = database.open_for_reading(outline.config.state)
    now = read_clock()
    found = (
        stored.load_status(db, outline.ruleset.accounts, now) if db else Status(accounts={}, episodes=(), channels={})
    )
    accounts = [
        (found.accounts.get(name) or AccountStatus(name=name), account) for name, account in outline.accounts.items()
    ]
    if troubled := _in_trouble(found.accounts.get(OWN_NAME)):
        accounts.append((troubled, OWN_ACCOUNT))
    readings = [reading for one, _ in accounts for reading in one.readings]
    viewed = views_of(db, outline.ruleset, readings, now) if db else {}
    channels = [found.channels.get(name) or ChannelStatus(name=name) for name in outline.routing.group_wait]
    channels += [one for name, one in found.channels.items() if name not in outline.routing.group_wait and one.owed]
    quiet = {name: until for name, hours in outline.routing.quiet.items() if (until := hours.until(now))}
    coming = {name: diary.coming(now) for name, diary in outline.routing.diaries.items()}
    heartbeat, last_beat = outline.config.file.daemon.heartbeat, load_heartbeat(db) if db else None
    if as_json:
        shapes = [
            json_shapes.account_json(one, account.provider, account.same_as, viewed.get(one.name, {}).values())
            for one, account in accounts
        ]
        told = [json_shapes.channel_json(one, quiet.get(one.name), coming.get(one.name)) for one in channels]
        beats = json_shapes.heartbeat_json(last_beat) if heartbeat else None
        print_json(json_shapes.status_json(shapes, found.episodes, told, beats))
        return
    printer = make_printer(outline, now)
    if db is None:
        printer.say(f"{outline.config.state}: nothing yet: the daemon has not run on this config")
    rows = [(one, account.same_as, list(viewed.get(one.name, {}).values())) for one, account in accounts]
    printer.accounts(rows, found.episodes)
    printer.say("")
    if found.episodes:
        printer.episodes(found.episodes)
    else:
        printer.say("no open episodes")
    printer.say("")
    printer.channels(channels, quiet, coming)
    _print_dead(printer, sum(channel.dead for channel in channels))
    if heartbeat:
        printer.heartbeat(last_beat)
    if found.holds:
        printer.say("")
        printer.holds(found.holds)
    for hint in twins(outline, {name: one.identity for name, one in found.accounts.items()}):
        printer.say(f"\n{hint}", "yellow")
    _print_gaps(printer, outline, [one for meters in viewed.values() for one in meters.values()], found.unrouted)


def _print_dead(printer: Printer, dead: int) -> None:
    if dead:
        what = "1 notice is dead" if dead == 1 else f"{dead} notices are dead"
        printer.say(f"\n{what}, not told on the channel that was to tell it: see `budgetd outbox`", "bold red")


def _in_trouble(ourselves: AccountStatus | None) -> AccountStatus | None:
    """budgetd itself, which is shown only with what fails."""
    failing = tuple(one for one in ourselves.readings if one.number("failures") != 0) if ourselves else ()
    return replace(ourselves, readings=failing) if ourselves and failing else None


def _print_gaps(printer: Printer, outline: Outline, seen: Sequence[View], unrouted: int) -> None:
    """What nobody would hear of."""
    unwatched: dict[str, list[str]] = {}
    for one in seen:
        account, meter = one.key
        if outline.ruleset.accounts[account].judges(one.reading.kind) and not outline.ruleset.watching(
            one.key, one.reading.kind
        ):
            shown = meter if family(meter) == meter else f"{family(meter)}/…"
            unwatched.setdefault(account, []).append(shown)
    if unwatched:
        gaps = [f"{account} {', '.join(dict.fromkeys(meters))}" for account, meters in unwatched.items()]
        printer.say(f"\nwatched by no rule: {'; '.join(gaps)}")
    if unrouted:
        why = "no route took them, or only to the channel that fails"
        printer.say(f"\n{unrouted} changes of open episodes were told to no channel: {why}", "yellow")


@app.command()
def episodes(
    episode: Annotated[
        str | None, typer.Argument(metavar="EPISODE", help="An id, or how it begins: show that one whole.")
    ] = None,
    config: ConfigOption = None,
    ended_too: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the open episodes, or show one whole. What happened, whom it was told, and in which words."""
    outline = make_outline(load(config))
    db = database.open_for_reading(outline.config.state)
    now, known = read_clock(), outline.ruleset.accounts
    found = stored.load_episodes(db, episode, known, now, ended_too=ended_too) if db else ()
    if episode is not None and not found:
        raise UsageError(f"no episode's id begins with {episode!r}; `budgetd episodes --all` lists them")
    if as_json:
        print_json([json_shapes.course_json(one) for one in found])
        return
    printer = make_printer(outline, now)
    if episode is not None:
        for one in found:
            printer.course(one)
    elif found:
        printer.episodes(found)
    else:
        printer.say("no episodes" if ended_too else "no open episodes")


def demo() -> None:
    """Watch it work, in under a minute. Four vendors on loopback, a real webhook and a real mailbox."""
    from budgetd.demo.story import run_demo  # noqa: PLC0415 - its servers are of no use to the other verbs

    run_demo(print)


# After those above, in the order of `--help`, which has the groups last.
app.command()(explain)
app.command()(history)
app.command()(ack)
app.command()(silence)
app.command("act")(start_action)
app.command("test")(run_tests)
app.command()(demo)
app.add_typer(holds_app, name="holds")
app.add_typer(outbox_app, name="outbox")
app.add_typer(providers_app, name="providers")
for group in (app, channels_app, holds_app, outbox_app, providers_app):
    for verb in group.registered_commands:
        verb.cls = Verb
