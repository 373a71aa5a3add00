"""`ack`, `silence` and `holds`: what to hold back. They write to the database; the service acts within a second."""

import getpass
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from budgetd import json_shapes
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    load_outline,
    make_page,
    print_json,
    read_clock,
    read_length,
    read_pairs,
    require_accounts,
    require_known,
    require_rule,
)
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.errors import UsageError
from budgetd.planning import Outline
from budgetd.store import database, holds
from budgetd.store.database import Store
from budgetd.store.status import load_episodes
from budgetd.validation import did_you_mean
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.memory import Episode
from budgetd_rules.meters import family
from budgetd_rules.own_account import OWN_NAME, own_meters
from budgetd_rules.polls import CONNECTION
from budgetd_rules.sanitizing import harmless
from budgetd_rules.wording import moment

holds_app: Final = typer.Typer(help="List acks and silences, or end one.", no_args_is_help=True)

CommentOption = Annotated[str, typer.Option("--comment", "-m", metavar="TEXT", help="The reason, to be shown with it.")]


def ack(
    episode: Annotated[str, typer.Argument(metavar="EPISODE", help="The id of an open episode, or its first letters.")],
    until: Annotated[
        str, typer.Option(metavar="WHEN", help="`resolved`, `worse`, or a date such as 2026-12-24 or 2026-12-24T08:00.")
    ] = "resolved",
    comment: CommentOption = "",
    config: ConfigOption = None,
) -> None:
    """Acknowledge an episode: no more reminders or escalation. You still hear when it worsens or is over."""
    outline, now = load_outline(config), read_clock()
    with appendable(outline) as db:
        acked = _open_episode(db, episode, outline, now)
        wanted = Hold(
            id="",
            kind=HoldKind.ACK,
            episode=acked.id,
            from_at=now,
            until_at=None if until in ("resolved", "worse") else _date(until, outline.zone, now),
            worse_than=acked.level if until == "worse" else None,
            by=who(),
            comment=comment,
        )
        hold = holds.add_hold(db, wanted)
    ends = f"until {moment(hold.until_at, outline.zone, now)}" if hold.until_at else f"until it is {until}"
    print(f"{hold.id}: episode {hold.episode} is acked {ends}; `budgetd holds end {hold.id}` takes it back")


def _open_episode(db: Store, named: str, outline: Outline, now: datetime) -> Episode:
    """The only open episode whose id begins with `named`. Raises UsageError."""
    accounts = outline.ruleset.accounts
    found = [one.episode for one in load_episodes(db, named, accounts, now, ended_too=True)]
    open_ones = [episode for episode in found if episode.ended_at is None]
    if len(open_ones) == 1:
        return open_ones[0]
    if open_ones:
        raise UsageError(f"{named!r} begins {', '.join(one.id for one in open_ones)}: write more of it")
    if found:
        raise UsageError(f"the episode {found[0].id} has ended: there is nothing to ack")
    ids = [one.episode.id for one in load_episodes(db, None, accounts, now, ended_too=False)]
    hint = did_you_mean(named, ids, "`budgetd episodes` lists them" if ids else "none is open")
    raise UsageError(f"no episode's id begins with {named!r}{hint}")


def silence(
    how_long: Annotated[str, typer.Option("--for", metavar="LENGTH", help="How long, such as 4h or 2d.")],
    rule: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this rule, or pattern of names; so too below.")
    ] = None,
    account: Annotated[str | None, typer.Option(metavar="NAME", help="Only this account.")] = None,
    meter: Annotated[str | None, typer.Option(metavar="NAME", help="Only this meter.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only accounts with this label.")
    ] = None,
    comment: CommentOption = "",
    config: ConfigOption = None,
) -> None:
    """Hold back all messages that match, for a while. What is still bad afterwards is sent then."""
    outline, now = load_outline(config), read_clock()
    labels = read_pairs(label or [], "--label")
    if rule is None and account is None and meter is None and not labels:
        raise UsageError("give --rule, --account, --meter or --label; for everything there is --account '*'")
    if rule is not None and not _is_pattern(rule):
        require_rule(rule, outline)
    if account not in (None, OWN_NAME) and not _is_pattern(account):
        require_accounts([account], outline)
    if meter is not None and not _is_pattern(meter):
        families = {name for one in outline.accounts.values() for name in outline.providers[one.provider].meters}
        known = [*sorted(families), CONNECTION, *own_meters(outline.routing.group_wait)]
        require_known([family(meter)], [family(one) for one in known], "meter", "`budgetd status` lists them")
    wanted = Hold(
        id="",
        kind=HoldKind.SILENCE,
        from_at=now,
        until_at=now + read_length(how_long, "--for"),
        by=who(),
        comment=comment,
        rule=rule or "*",
        account=account or "*",
        meter=meter or "*",
        labels=labels,
    )
    with appendable(outline, makes=True) as db:
        hold = holds.add_hold(db, wanted)
    assert hold.until_at
    until = moment(hold.until_at, outline.zone, now)
    print(f"{hold.id}: silent until {until}; `budgetd holds end {hold.id}` ends it sooner")


@holds_app.command("list")
def list_holds(
    ended_too: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the active acks and silences."""
    outline, now = load_outline(config), read_clock()
    db = database.open_for_reading(outline.config.state)
    found = holds.load_holds(db, now, ended_too=ended_too) if db else []
    if as_json:
        print_json([json_shapes.hold_json(hold) for hold in found])
    elif found:
        tell_holds(make_page(outline, now), found)
    else:
        print("no acks or silences" if ended_too else "no acks or silences are active")


@holds_app.command("end")
def end_hold(
    hold: Annotated[str, typer.Argument(metavar="ID", help="Its id, as `budgetd holds list` shows it.")],
    config: ConfigOption = None,
) -> None:
    """End an ack or a silence now."""
    outline, now = load_outline(config), read_clock()
    with appendable(outline) as db:
        active = [one.id for one in holds.load_holds(db, now)]
        if hold not in active:
            raise UsageError(f"no active hold has the id {hold!r}{did_you_mean(hold, active)}")
        holds.end_hold(db, hold, who(), now)
    print(f"{hold}: ended")


def tell_holds(page: Page, holds: Iterable[Hold]) -> None:
    table = make_table("hold", "kind", "of", "until", "by", "comment")
    for hold in holds:
        until = page.when(hold.until_at) if hold.until_at else "worse" if hold.worse_than else "resolved"
        ended = f"ended {page.when(hold.ended_at)}" if hold.ended_at else until
        table.add_row(hold.id, hold.kind, _matcher(hold), ended, hold.by, harmless(hold.comment))
    print_table(page.console, table)


def _matcher(hold: Hold) -> str:
    if hold.kind is HoldKind.ACK:
        return f"episode {hold.episode}"
    parts = {"rule": hold.rule, "account": hold.account, "meter": hold.meter} | dict(hold.labels)
    return ", ".join(f"{name} {glob}" for name, glob in parts.items() if glob != "*") or "everything"


def appendable(outline: Outline, *, makes: bool = False) -> Store:
    """`makes`: creates the database if the service has not done so yet."""
    if makes:
        database.make(outline.config.state)
    db = database.open_for_appending(outline.config.state)
    if db is None:
        what = "nothing yet: the daemon has not run on this config; `budgetd run` makes it"
        raise UsageError(f"{outline.config.state}: {what}")
    return db


def who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _date(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """In the config's time zone; a date without a time is its midnight."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--until: expected resolved, worse or a date such as 2026-12-24, not {text!r}") from error
    until = (given if given.tzinfo else given.replace(tzinfo=zone)).astimezone(now.tzinfo)
    if until <= now:
        raise UsageError(f"--until: {text} is past")
    return until


def _is_pattern(given: str) -> bool:
    """Patterns may match names that do not exist yet; a plain name has to be in the config."""
    return any(mark in given for mark in "*?[")
