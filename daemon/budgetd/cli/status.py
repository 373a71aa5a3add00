"""`status`: how the accounts, the open episodes and the channels stand, as the daemon last wrote it down."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.text import Text

from budgetd import json_shapes
from budgetd.advice import twins
from budgetd.cli.episodes import tell_episodes
from budgetd.cli.holding import tell_holds
from budgetd.cli.invocation import ConfigOption, JsonOption, load_outline, make_page, print_json, read_clock
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.cli.meter_tables import tell_accounts
from budgetd.judge import views_of
from budgetd.planning import Outline
from budgetd.store import database
from budgetd.store.heartbeats import LastHeartbeat, load_heartbeat
from budgetd.store.status import AccountStatus, ChannelStatus, Status, load_status
from budgetd_rules.appointments import Report
from budgetd_rules.meters import Account, View, family
from budgetd_rules.own_account import OWN_ACCOUNT, OWN_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What the config names, with what is stored of it."""

    has_run: bool
    stored: Status
    accounts: Sequence[tuple[AccountStatus, Account]]
    views: Mapping[str, Mapping[str, View]]
    channels: Sequence[ChannelStatus]
    quiet: Mapping[str, datetime]
    """The channels that are quiet now, and until when."""
    coming: Mapping[str, Mapping[Report, datetime]]
    """The channels with appointments, and when."""
    last_beat: LastHeartbeat | None

    def views_of(self, account: AccountStatus) -> list[View]:
        return list(self.views.get(account.name, {}).values())


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts, open episodes and channels. Reads what the service recorded; polls nothing."""
    outline, now = load_outline(config), read_clock()
    standing = _load(outline, now)
    if as_json:
        print_json(_shape(standing, outline))
    else:
        _tell(make_page(outline, now), standing, outline)


def _load(outline: Outline, now: datetime) -> _Standing:
    db = database.open_for_reading(outline.config.state)
    found = load_status(db, outline.ruleset.accounts, now) if db else Status(accounts={}, episodes=(), channels={})
    accounts = [
        (found.accounts.get(name) or AccountStatus(name=name), account) for name, account in outline.accounts.items()
    ]
    if troubled := _in_trouble(found.accounts.get(OWN_NAME)):
        accounts.append((troubled, OWN_ACCOUNT))
    readings = [reading for one, _ in accounts for reading in one.readings]
    named, routing = outline.routing.group_wait, outline.routing
    channels = [found.channels.get(name) or ChannelStatus(name=name) for name in named]
    channels += [one for name, one in found.channels.items() if name not in named and one.owed]
    return _Standing(
        has_run=db is not None,
        stored=found,
        accounts=accounts,
        views=views_of(db, outline.ruleset, readings, now) if db else {},
        channels=channels,
        quiet={name: until for name, hours in routing.quiet.items() if (until := hours.until(now))},
        coming={name: diary.coming(now) for name, diary in routing.diaries.items()},
        last_beat=load_heartbeat(db) if db else None,
    )


def _in_trouble(ourselves: AccountStatus | None) -> AccountStatus | None:
    """budgetd's own account, reduced to the meters that fail; None if none does."""
    failing = tuple(one for one in ourselves.readings if one.number("failures") != 0) if ourselves else ()
    return replace(ourselves, readings=failing) if ourselves and failing else None


def _shape(standing: _Standing, outline: Outline) -> json_shapes.Json:
    return json_shapes.status_json(
        [
            json_shapes.account_json(one, account.provider, account.same_as, standing.views_of(one))
            for one, account in standing.accounts
        ],
        standing.stored.episodes,
        [
            json_shapes.channel_json(one, standing.quiet.get(one.name), standing.coming.get(one.name))
            for one in standing.channels
        ],
        json_shapes.heartbeat_json(standing.last_beat) if outline.config.file.daemon.heartbeat else None,
    )


# --- for people


def _tell(page: Page, standing: _Standing, outline: Outline) -> None:
    found = standing.stored
    if not standing.has_run:
        page.say(f"{outline.config.state}: nothing yet: the daemon has not run on this config")
    rows = [(one, account.same_as, standing.views_of(one)) for one, account in standing.accounts]
    tell_accounts(page, rows, found.episodes)
    page.say("")
    if found.episodes:
        tell_episodes(page, found.episodes)
    else:
        page.say("no open episodes")
    page.say("")
    _tell_channels(page, standing.channels, standing.quiet, standing.coming)
    _tell_dead(page, sum(channel.dead for channel in standing.channels))
    if outline.config.file.daemon.heartbeat:
        _tell_heartbeat(page, standing.last_beat)
    if found.holds:
        page.say("")
        tell_holds(page, found.holds)
    for hint in twins(outline, {name: one.identity for name, one in found.accounts.items()}):
        page.say(f"\n{hint}", "yellow")
    _tell_gaps(page, outline, [one for meters in standing.views.values() for one in meters.values()], found.unrouted)


def _tell_channels(
    page: Page,
    channels: Iterable[ChannelStatus],
    quiet: Mapping[str, datetime],
    coming: Mapping[str, Mapping[Report, datetime]],
) -> None:
    """`quiet`: the end of the quiet hours of channels now in them; `coming`: their next digests and drills."""
    table = make_table("channel", "last success", "waiting", "held", "dead", "last error")
    if coming:
        table.add_column("next")
    for one in channels:
        waiting = f"{one.waiting} ({one.later} later)" if one.later else str(one.waiting)
        held = f"{one.held}, quiet until {page.when(quiet[one.name])}" if one.name in quiet else str(one.held)
        counts = (waiting, held, Text(str(one.dead), "bold red" if one.dead else ""))
        next_ = ", ".join(f"{report} {page.when(at)}" for report, at in coming.get(one.name, {}).items())
        cells = [one.last_error or "", next_] if coming else [one.last_error or ""]
        table.add_row(one.name, page.when(one.last_success), *counts, *cells)
    print_table(page.console, table)


def _tell_heartbeat(page: Page, last: LastHeartbeat | None) -> None:
    sent = page.when(last.sent_at) if last else "never"
    page.say(f"\nheartbeat: last sent {sent}")
    if last and last.problem:
        page.say(f"{last.problem} (at {page.when(last.checked_at)})", "bold red")


def _tell_dead(page: Page, dead: int) -> None:
    if dead:
        what = "1 notice is dead" if dead == 1 else f"{dead} notices are dead"
        page.say(f"\n{what}, not told on the channel that was to tell it: see `budgetd outbox`", "bold red")


def _tell_gaps(page: Page, outline: Outline, seen: Sequence[View], unrouted: int) -> None:
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
        page.say(f"\nwatched by no rule: {'; '.join(gaps)}")
    if unrouted:
        why = "no route took them, or only to the channel that fails"
        page.say(f"\n{unrouted} changes of open episodes were told to no channel: {why}", "yellow")
