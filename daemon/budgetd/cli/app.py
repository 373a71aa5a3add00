"""The commands. Each reads the config, does one thing, and prints the result as text or as JSON."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated

import typer

from budgetd import json_shapes, log
from budgetd.advice import programs, twins, warnings
from budgetd.cli.acting import start_action
from budgetd.cli.channels import channels_app
from budgetd.cli.episodes import episodes
from budgetd.cli.explaining import explain, history
from budgetd.cli.holding import ack, holds_app, silence
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    Verb,
    load,
    load_identities,
    load_outline,
    make_page,
    print_json,
    read_clock,
    require_accounts,
)
from budgetd.cli.meter_tables import tell_poll
from budgetd.cli.outbox import outbox_app
from budgetd.cli.probing import probe
from budgetd.cli.providing import providers_app
from budgetd.cli.starting import init
from budgetd.cli.status import status
from budgetd.cli.testing import run_tests
from budgetd.collect.poll import poll as poll_once
from budgetd.collect.sources import Source
from budgetd.http import Client
from budgetd.planning import Plan, make_plan, make_sources
from budgetd.same_as import key_of
from budgetd.service import Service
from budgetd.wiring import wire
from budgetd_rules.meters import view
from budgetd_rules.polls import Poll

app = typer.Typer(
    name="budgetd",
    help="Watches the credits, quotas and subscriptions you buy, and tells you once before they run out.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    # Rich help would add a column with Python's type names.
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


# First in `--help`, because it is the first command to run.
app.command()(init)


@app.command()
def run(
    config: ConfigOption = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="The least severe level to log, on standard error.")
    ] = LogLevel.INFO,
) -> None:
    """Run the service until SIGTERM or SIGINT. SIGHUP reloads the config."""
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
    """Check the config and its secrets. Prints one line for each problem; exits with 78 if there is one."""
    plan = make_plan(load(config))
    for program in programs(plan.outline):
        print(program)
    Client()  # reports proxies and certificate authorities of the environment that can't be used
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
        list[str] | None, typer.Argument(metavar="ACCOUNT", help="The accounts to poll. Default: all that are enabled.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Poll once and print the readings. Stores nothing, sends no messages; exits with 1 if a poll failed."""
    outline, now = load_outline(config), read_clock()
    sources = make_sources(outline, require_accounts(accounts or [], outline) or outline.accounts)
    polls = asyncio.run(_poll_all(sources.values(), now))
    known = outline.accounts
    seen = [(one, [view(reading, now, known[one.account].stale_after) for reading in one.readings]) for one in polls]
    if as_json:
        print_json([json_shapes.poll_json(one, viewed) for one, viewed in seen])
    else:
        page = make_page(outline, now)
        for one, viewed in seen:
            tell_poll(page, one, viewed)
    if any(one.outages for one in polls):
        raise typer.Exit(1)


async def _poll_all(sources: Iterable[Source], now: datetime) -> list[Poll]:
    async with aclosing(Client()) as client:
        return await asyncio.gather(*(poll_once(source, client, now) for source in sources))


app.command()(probe)
app.command()(status)
app.command()(episodes)


def demo() -> None:
    """Watch budgetd work, in under a minute. Uses four simulated vendors, a webhook and a mailbox."""
    from budgetd.demo.story import run_demo  # noqa: PLC0415 - only this command needs its servers

    run_demo(print)


# `--help` lists groups of commands last.
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
