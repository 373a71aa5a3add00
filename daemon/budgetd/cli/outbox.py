"""`outbox`: notices that wait, are held, or are dead. Requests are written to the database for the service."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

import typer
from rich.text import Text

from budgetd import json_shapes
from budgetd.cli.holding import CommentOption, appendable, who
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    load_outline,
    make_page,
    print_json,
    read_clock,
    require_channel,
)
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.errors import UsageError
from budgetd.planning import Outline
from budgetd.store import database
from budgetd.store.outbox import OutboxEntry, load_entries
from budgetd.store.requests import EVERYTHING, Request, RequestKind, add_requests
from budgetd_rules.notices import NoticeState
from budgetd_rules.sanitizing import harmless, one_line

outbox_app: Final = typer.Typer(
    help="List, retry or drop undelivered notices.",
    invoke_without_command=True,
)
_LAST: Final = timedelta(days=7)
_LONGEST_WHY: Final = 120
_STATE_STYLES: Final[Mapping[NoticeState, str]] = {
    NoticeState.DEAD: "bold red",
    NoticeState.HELD: "cyan",
    NoticeState.WAITING: "yellow",
}

ChannelOption = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="All notices of this channel.")]
NoticesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID", help="Notices: an id, or its first letters; an episode's id means all of its notices."
    ),
]


@outbox_app.callback()
def outbox(
    context: typer.Context,
    settled_too: Annotated[bool, typer.Option("--all", help="Include those settled in the last seven days.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List undelivered notices: those that wait, are held, or are dead."""
    if context.invoked_subcommand is not None:
        return
    outline, now = load_outline(config), read_clock()
    db = database.open_for_reading(outline.config.state)
    entries = load_entries(db, now - _LAST if settled_too else None) if db else []
    if as_json:
        print_json([json_shapes.entry_json(entry) for entry in entries])
    elif entries:
        _tell_entries(make_page(outline, now), entries)
    else:
        print("nothing waits, and nothing is dead")


@outbox_app.command()
def retry(
    notices: NoticesArgument = None,
    channel: ChannelOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead notices, and all channels.")] = False,
    config: ConfigOption = None,
) -> None:
    """Send again now. Dead notices become due again, and a failing channel does not wait for its pause to end."""
    outline, now = load_outline(config), read_clock()
    if sum([bool(notices), channel is not None, everything]) != 1:
        raise UsageError("give the ids of notices, --channel NAME or --all; `budgetd outbox` lists them")
    known = list(outline.routing.group_wait)
    if channel is not None:
        require_channel(channel, outline)
    with appendable(outline) as db:
        found = _named(load_entries(db), notices or [], channel)
        if gone := sorted({entry.channel for entry in found if not everything} - set(known)):
            raise UsageError(f"the config has no channel {gone[0]} any more; `budgetd outbox drop` settles what it had")
        targets = [entry.id for entry in found] if notices else [channel or EVERYTHING]
        add_requests(db, [Request(kind=RequestKind.RETRY, target=target, at=now, by=who()) for target in targets])
    tried = [entry for entry in found if entry.channel in known and entry.state is not NoticeState.HELD]
    if tried or not found:
        _tell(outline, tried, "tried")
    else:
        print("nothing to try: what is held is told when that ends, as `budgetd outbox` shows")


@outbox_app.command()
def drop(
    notices: NoticesArgument = None,
    channel: ChannelOption = None,
    comment: CommentOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    config: ConfigOption = None,
) -> None:
    """Give up on notices. They are not sent any more, but kept on record with your name and comment."""
    outline, now = load_outline(config), read_clock()
    if bool(notices) == (channel is not None):
        raise UsageError("give the ids of notices, or --channel NAME; `budgetd outbox` lists them")
    with appendable(outline) as db:
        found = _named(load_entries(db), notices or [], channel)
        if not found:
            raise UsageError(f"channel {channel} is owed nothing")
        if not yes:
            _tell_entries(make_page(outline, now), found)
            typer.confirm(f"Never tell {'this' if len(found) == 1 else f'these {len(found)}'}?", abort=True)
        add_requests(db, [_drop(entry, now, comment) for entry in found])
    _tell(outline, found, "dropped")


def _drop(entry: OutboxEntry, now: datetime, comment: str) -> Request:
    return Request(kind=RequestKind.DROP, target=entry.id, at=now, by=who(), comment=comment)


def _named(entries: Sequence[OutboxEntry], notices: Sequence[str], channel: str | None) -> list[OutboxEntry]:
    """The notices of the channel, or those with the ids; all of them if neither is given."""
    if not notices:
        return [entry for entry in entries if channel in (None, entry.channel)]
    found: dict[str, OutboxEntry] = {}
    for given in notices:
        named = [entry for entry in entries if _is_whole(given, entry.id)]
        named = named or [entry for entry in entries if given and entry.id.startswith(given)]
        if not named:
            raise UsageError(f"nothing owed or dead has an id that begins with {given!r}: see `budgetd outbox`")
        if len(named) > 1 and not all(_is_whole(given, entry.id) for entry in named):
            raise UsageError(f"{given!r} begins {', '.join(entry.id for entry in named)}: write more of it")
        found |= {entry.id: entry for entry in named}
    return list(found.values())


def _is_whole(given: str, notice: str) -> bool:
    """Whether `given` is the full id of the notice, or of its change or episode."""
    return notice == given or notice.startswith((f"{given}.", f"{given}@"))


def _tell(outline: Outline, found: Sequence[OutboxEntry], done: str) -> None:
    what = "1 notice" if len(found) == 1 else f"{len(found)} notices" if found else "nothing waits; a failing channel"
    is_running = database.is_daemon_running(outline.config.state)
    print(f"{what} will be {done} {'within a second' if is_running else 'when the daemon runs, which it does not'}")


def _tell_entries(page: Page, entries: Iterable[OutboxEntry]) -> None:
    table = make_table("notice", "what", "state", "since", "tries", "next try", "why, or the last error")
    for one in entries:
        state = Text(one.state, _STATE_STYLES.get(one.state, ""))
        next_ = page.when(one.next_try_at) if one.next_try_at else ""
        why = one.reason or one.last_error or ("only if nobody acks" if one.delay and one.next_try_at else "")
        # Not escaped: ids in it have to be typed as they are.
        told = Text(one_line(why, _LONGEST_WHY))
        table.add_row(one.id, _what(one), state, page.when(one.since), str(one.tries), next_, told)
    print_table(page.console, table)


def _what(one: OutboxEntry) -> str:
    if one.kind is None or one.meter is None:
        return one.report or ""
    level = f" {one.level.label}" if one.level is not None else ""
    return f"{one.kind}{level} {one.account} {harmless(one.meter)}"
