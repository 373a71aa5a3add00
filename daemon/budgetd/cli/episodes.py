"""`episodes`: what went bad, how it went on, and whom it was told."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import typer
from rich.text import Text

from budgetd import json_shapes
from budgetd.cli.invocation import ConfigOption, JsonOption, load_outline, make_page, print_json, read_clock
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.errors import UsageError
from budgetd.store import database
from budgetd.store.status import EpisodeStatus, NoticeStatus, load_episodes
from budgetd_rules.notices import NoticeState
from budgetd_rules.rule import Level
from budgetd_rules.sanitizing import harmless
from budgetd_rules.wording import show

_STYLES: Final[Mapping[Level, str]] = {Level.CRITICAL: "bold red", Level.WARNING: "yellow", Level.INFO: "cyan"}


def episodes(
    episode: Annotated[
        str | None, typer.Argument(metavar="EPISODE", help="An episode to show in full: its id, or the first letters.")
    ] = None,
    config: ConfigOption = None,
    ended_too: Annotated[bool, typer.Option("--all", help="Include those that have ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the open episodes, or show one in full. Shows its changes, and the messages sent about them."""
    outline, now = load_outline(config), read_clock()
    db = database.open_for_reading(outline.config.state)
    found = load_episodes(db, episode, outline.ruleset.accounts, now, ended_too=ended_too) if db else ()
    if episode is not None and not found:
        raise UsageError(f"no episode's id begins with {episode!r}; `budgetd episodes --all` lists them")
    if as_json:
        print_json([json_shapes.course_json(one) for one in found])
        return
    page = make_page(outline, now)
    if episode is not None:
        for one in found:
            tell_course(page, one)
    elif found:
        tell_episodes(page, found)
    else:
        page.say("no episodes" if ended_too else "no open episodes")


def tell_episodes(page: Page, episodes: Iterable[EpisodeStatus]) -> None:
    table = make_table("episode", "level", "rule", "account", "meter", "since", "until")
    for one in episodes:
        episode = one.episode
        level = Text(episode.level.label, _STYLES[episode.level] if not episode.ended_at else "dim")
        marks = (", acked" if one.acked else "") + (", silenced" if one.silenced else "")
        until = page.when(episode.ended_at) if episode.ended_at else ("parked" if one.parked else "open") + marks
        since = page.when(episode.opened_at)
        table.add_row(episode.id, level, *episode.key[:2], harmless(episode.key.meter), since, until)
    print_table(page.console, table)


def tell_course(page: Page, one: EpisodeStatus) -> None:
    """One episode in full: its changes, the channels that were told, and the text sent."""
    tell_episodes(page, [one])
    for change in one.changes:
        values = ", ".join(f"{name} {show(value)}" for name, value in change.values.items())
        level = f" {change.new.label}" if change.new else ""
        page.say(f"{page.when(change.at)}  {change.kind}{level}: {change.reason}  ({values})")
        for notice in one.notices:
            if notice.change == change.id:
                _tell_notice(page, notice)


def _tell_notice(page: Page, notice: NoticeStatus) -> None:
    sent = f" at {page.when(notice.sent_at)}" if notice.sent_at else ""
    tries = f" after {notice.attempts} attempts ({', '.join(notice.outcomes)})" if notice.attempts > 1 else ""
    reason = f": {notice.reason}" if notice.reason and notice.state is not NoticeState.SENT else ""
    if notice.state is NoticeState.WAITING and notice.delay and notice.due_at > page.now:
        page.say(f"    {notice.channel}: waits until {page.when(notice.due_at)}: only if nobody acks")
        return
    page.say(f"    {notice.channel}: {notice.state}{sent}{tries}{reason}")
    if notice.said and notice.state is NoticeState.SENT:
        for line in "\n".join(notice.said).splitlines():
            page.say(f"        {line}", "dim")
