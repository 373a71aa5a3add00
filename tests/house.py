"""The whole service without a network: real database, judging and Apprise (into a list), and a fake clock."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apprise.decorators import notify

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Letter, Sent
from budgetd.deliver.outbox import Outbox
from budgetd.deliver.retries import retry_pause
from budgetd.deliver.templates import Template
from budgetd.judge import judge_all, judge_due
from budgetd.store import database, due_times, handover, polls, reports, troubles
from budgetd.store.database import Store
from budgetd.store.polls import Finished
from budgetd.threads import Worker
from budgetd_rules.appointments import Diary, Report, parse_appointment
from budgetd_rules.judgement import Judgement, Ruleset
from budgetd_rules.meters import Account, Reading
from budgetd_rules.own_account import OWN_ACCOUNT
from budgetd_rules.polls import Outage, Poll
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Rule
from budgetd_rules.schedules import Quiet, parse_range
from build import NOON, account, reading, rule


@dataclass
class Mailbox:
    """The messages that arrived, as `channel: title`. It refuses texts that contain `refused`."""

    host: str
    titles: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    refused: str | None = None


_mailboxes: dict[str, Mailbox] = {}


@notify(on="mailbox")  # type: ignore[untyped-decorator]  # Apprise has no type for it
def _receive(body: str, title: str, _type: str, *, meta: Mapping[str, Any], **_: object) -> bool:
    mailbox, channel = _mailboxes[meta["host"]], str(meta["fullpath"]).strip("/")
    if channel in mailbox.failing or (mailbox.refused and mailbox.refused in body):
        # What Apprise's own services say of an answer that is no success.
        logging.getLogger("apprise").warning("Failed to send mailbox notification: Internal server error., error=500.")
        return False
    mailbox.titles.append(f"{channel}: {title}")
    mailbox.bodies.append(body)
    return True


def _new_mailbox() -> Mailbox:
    host = f"mailbox-{len(_mailboxes)}"
    return _mailboxes.setdefault(host, Mailbox(host=host))


@functools.cache
def _empty_database() -> bytes:
    """As made by the migrations, which take 60 ms where the disk is slow."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "budgetd.db"
        database.open_for_daemon(path).close()
        return path.read_bytes()


def _open(path: Path) -> Store:
    """Opened without syncing to disk, as no test cuts the power."""
    db = database.open_for_daemon(path)
    db.execute("PRAGMA synchronous=OFF")
    return db


class House:
    """One account `voice` with a balance of credits, unless a test says otherwise."""

    def __init__(
        self,
        path: Path,
        rules: Sequence[Rule] | None = None,
        channels: Sequence[str] = ("ops",),
        accounts: Sequence[Account] | None = None,
        routes: Sequence[Route] = (),
        group_wait: timedelta = timedelta(0),
        mailbox: Mailbox | None = None,
        quiet: Sequence[str] = (),
        zone: tzinfo = UTC,
        fallbacks: Mapping[str, str] | None = None,
        templates: Mapping[str, Template] | None = None,
        reports: Mapping[Report, str] | None = None,
    ) -> None:
        """`quiet` are the quiet hours of every channel, and `reports` its appointments."""
        self.templates = templates or {}
        self.path = path
        self.ruleset = Ruleset(rules if rules is not None else [rule()], [*(accounts or [account()]), OWN_ACCOUNT])
        hours = Quiet(ranges=tuple(parse_range(text) for text in quiet), zone=zone)
        self.routing = Routing(
            routes=tuple(routes),
            group_wait=dict.fromkeys(channels, group_wait),
            quiet=dict.fromkeys(channels, hours),
            fallbacks=fallbacks or {},
            diaries=dict.fromkeys(channels, diary(reports, zone)) if reports else {},
        )
        self.mailbox = mailbox or _new_mailbox()
        if not path.exists():
            path.write_bytes(_empty_database())
        self.db = _open(path)

    @property
    def titles(self) -> list[str]:
        return self.mailbox.titles

    def restart(self) -> "House":
        """Restarts as after kill -9: only the database file remains."""
        self.db.close()
        again = House(self.path, mailbox=self.mailbox)
        again.ruleset, again.routing = self.ruleset, self.routing
        return again

    def read(self, *readings: Reading, outages: Sequence[Outage] = (), answered: Sequence[str] = ()) -> None:
        for name in dict.fromkeys(one.key.account for one in readings) or ["voice"]:
            mine = tuple(one for one in readings if one.key.account == name)
            self.poll(name, mine, mine[0].as_of if mine else NOON, outages, answered)

    def poll(
        self,
        name: str,
        readings: tuple[Reading, ...],
        at: datetime,
        outages: Sequence[Outage] = (),
        answered: Sequence[str] = (),
    ) -> None:
        seen = Poll(
            account=name,
            provider="cekura",
            at=at,
            readings=readings,
            outages=tuple(outages),
            answered=frozenset(answered),
        )
        polls.record(self.db, [Finished(poll=seen, next_poll_at=at + timedelta(minutes=5))])

    def balance(self, remaining: int, at: datetime = NOON) -> None:
        """Records and judges a poll with this many credits."""
        self.read(reading(as_of=at, remaining=remaining))
        self.judge(at)

    def judge(self, now: datetime) -> Judgement:
        return judge_due(self.db, self.ruleset, self.routing, now)

    def judge_all(self, now: datetime) -> Judgement:
        return judge_all(self.db, self.ruleset, self.routing, now)

    def plan(self, now: datetime) -> None:
        """Plans as at a start, after a reload, or after the clock was set."""
        due_times.plan(self.db, self.routing.group_wait, retry_pause, now)

    def start(self, now: datetime) -> None:
        """What the service does first under a config."""
        troubles.begin(self.db, list(self.routing.group_wait), now)
        self.judge_all(now)
        handover.remember(self.db, list(self.routing.group_wait), self.routing.fallbacks)
        reports.remember(self.db, self.routing.diaries, now)

    def deliver(self, now: datetime, dies: str | None = None, planned_at: datetime | None = None) -> None:
        """One round of the outbox, in which the process may die; it may have been started just before."""
        asyncio.run(self._deliver(now, dies, planned_at))

    async def _deliver(self, now: datetime, dies: str | None, planned_at: datetime | None) -> None:
        channels: dict[str, Channel] = {}
        for name in self.routing.group_wait:
            url = Secret(f"mailbox://{self.mailbox.host}/{name}")
            channels[name] = (
                _DyingChannel(name, url, dies) if dies else Channel(name, url, template=self.templates.get(name))
            )
        worker = Worker("store of a test")
        db = await worker.run(_open, self.path)
        outbox = Outbox(db, worker, channels, self.ruleset, self.routing, _spawn, lambda: None)
        if planned_at:
            await outbox.plan(planned_at)
        await outbox.deliver(now)
        await outbox.finish(timedelta(seconds=10))
        await worker.run(db.close)
        worker.stop(0)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return list(self.db.execute(sql))


def diary(reports: Mapping[Report, str], zone: tzinfo = UTC) -> Diary:
    return Diary(appointments={report: parse_appointment(text) for report, text in reports.items()}, zone=zone)


class _KilledError(BaseException):  # which no handler takes for a failure
    """Raised in place of the end of the process."""


class _DyingChannel(Channel):
    """A channel whose process is killed before the message is sent, or after it but before its receipt."""

    def __init__(self, name: str, url: Secret, dies: str) -> None:
        super().__init__(name, url)
        self._dies = dies

    async def send(self, letter: Letter) -> Sent:
        if self._dies == "before the send":
            raise _KilledError
        await super().send(letter)
        raise _KilledError


def _spawn(name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    async def until_killed() -> None:
        with contextlib.suppress(_KilledError):
            await work

    return asyncio.create_task(until_killed(), name=name)
