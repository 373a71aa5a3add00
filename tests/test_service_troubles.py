"""The daemon on a machine in trouble: a disk that is full, a database that another holds, a channel that hangs.

It says so once, loses nothing, repeats nothing, and goes on by itself when the trouble is over.
"""

import asyncio
import contextlib
import random
import resource
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import ClassVar, Final

import pytest

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Sent
from budgetd.store.notices import Outcome
from budgetd_rules.formats import Block, Row
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from storm import Storm
from storm_oracle import complaints
from storm_receivers import MailReceiver, WebReceiver, read_json
from storm_record import read_record, told
from storm_world import BAD, FINE, FORM, HOOK, MAIL, Asked, Came, Chronicle, Mood, Weather

CHANNELS: Final = (HOOK, FORM, MAIL)


class Trouble:
    """Keeps the daemon from writing, for so many seconds; `says` is what SQLite makes of it."""

    command: ClassVar[Sequence[str]] = ()
    says: ClassVar[str]
    lasts: ClassVar[float] = 3.0

    def __init__(self, storm: Storm) -> None:
        self.storm = storm

    def begin(self) -> None:
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class NoSpace(Trouble):
    """A small disk, full: a tmpfs in a namespace of the daemon's own, for which nobody has to be root."""

    command = (
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("sh", "-c", 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"', "{state}"),
    )
    says = "database or disk is full"

    def begin(self) -> None:
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def end(self) -> None:
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self.storm.process.pid}/root{self.storm.database.parent}/ballast")


class NoWriting(Trouble):
    """A disk that takes no byte any more: the limit to the size of the daemon's files."""

    says = "disk I/O error"

    def begin(self) -> None:
        self._limit(0)

    def end(self) -> None:
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        resource.prlimit(self.storm.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Held(Trouble):
    """Another process, say a backup, holds the database for longer than anyone waits for it."""

    says = "database is locked"
    lasts = 30.0

    def begin(self) -> None:
        self._holder = sqlite3.connect(self.storm.database, isolation_level=None, check_same_thread=False)
        self._holder.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        self._holder.close()


@pytest.fixture(
    params=[
        pytest.param(NoSpace, id="full"),
        pytest.param(NoWriting, id="broken"),
        pytest.param(Held, id="held"),
    ]
)
def trouble(request: pytest.FixtureRequest) -> Iterator[Trouble]:
    """A service without trouble so far, with eight healthy accounts."""
    kind: type[Trouble] = request.param
    if kind.command and subprocess.run([*kind.command[:4], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a namespace")
    with Storm("trouble", accounts=8, remind="", command=kind.command) as storm:
        storm.be_calm()
        storm.vendor.move(FINE)
        storm.start()
        storm.wait_for_polls(2)
        yield kind(storm)


def headings(storm: Storm) -> dict[str, Counter[tuple[str, str]]]:
    """By channel, how often which account was told to be how."""
    lines: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in CHANNELS}
    for at, event in enumerate(storm.chronicle.events):
        if isinstance(event, Came):
            lines[event.channel].update((one.account, one.heading) for one in told(at, *event.text))
    return lines


def everyone_is(storm: Storm, *expected: str) -> bool:
    once = Counter((account, heading) for account in storm.vendor.accounts for heading in expected)
    return all(lines == once for lines in headings(storm).values())


def said_once(log: str, what: str) -> bool:
    """For each job or channel."""
    lines = [line for line in log.splitlines() if what in line]
    return bool(lines) and len(set(lines)) == len(lines) <= 8


def check_the_rest(storm: Storm) -> None:
    """Normal work goes on: ends are told once, and nothing is repeated."""
    storm.vendor.move(FINE)
    storm.wait_until(lambda: everyone_is(storm, "CRITICAL", "RESOLVED"), "what is over")
    storm.wait_for_polls(2)
    assert everyone_is(storm, "CRITICAL", "RESOLVED")
    events = storm.chronicle.events
    storm.stop()
    assert "Traceback" not in storm.log
    if storm.database.exists():  # else it went with the namespace
        assert complaints(events, read_record(storm.database)) == []


@pytest.mark.slow
def test_what_can_not_be_recorded_is_told_afterwards(trouble: Trouble) -> None:
    storm = trouble.storm
    trouble.begin()
    storm.vendor.move(BAD)
    storm.wait_for_log("job failed job=record")
    storm.live(trouble.lasts)
    assert trouble.says in storm.log
    assert said_once(storm.log, "job failed")
    assert everyone_is(storm)
    trouble.end()
    storm.wait_until(lambda: everyone_is(storm, "CRITICAL"), "what happened meanwhile")
    assert "job works again job=record" in storm.log
    check_the_rest(storm)


@pytest.mark.slow
def test_what_can_not_be_receipted_is_not_told_again(trouble: Trouble) -> None:
    """The trouble begins while the first message is read: it arrives, and nobody can write that down."""
    storm, began = trouble.storm, list[bool]()

    def begin() -> None:
        if not began:
            began.append(True)
            trouble.begin()

    storm.weathers[HOOK].on_read = begin
    storm.vendor.move(BAD)
    storm.wait_for_log("no receipt yet channel=hook")
    storm.live(min(trouble.lasts, 10))
    assert trouble.says in storm.log
    assert said_once(storm.log, "no receipt yet")
    assert sum(headings(storm)[HOOK].values()) == len(headings(storm)[HOOK]) > 0
    trouble.end()
    storm.wait_until(lambda: everyone_is(storm, "CRITICAL"), "the rest")
    check_the_rest(storm)


# --- a channel that hangs


@pytest.mark.slow
def test_a_channel_that_hangs_slows_no_poll() -> None:
    """What counts is how the same daemon fares in the same minute without it, on however slow a machine."""
    with Storm("hang", remind="", read_timeout=30) as storm:
        storm.be_calm()
        storm.vendor.move(FINE)
        storm.start()
        storm.wait_for_polls(2)
        usual = median(latency(storm) for _ in range(3))
        storm.weathers[HOOK].always = Mood.HANG
        storm.vendor.move(BAD)
        storm.wait_until(lambda: bool(headings(storm)[HOOK]), "a send that hangs")
        hanging = latency(storm)
        storm.wait_until(lambda: all(headings(storm)[name] for name in (FORM, MAIL)), "messages on the others")
        assert hanging < 3 * usual
        storm.weathers[HOOK].always = None
        storm.calm_down()
        assert complaints(storm.chronicle.events, read_record(storm.database)) == []


def latency(storm: Storm) -> float:
    """From now, how long until an account has been polled for the second time: the median over all."""
    seen, now = len(storm.chronicle.events), time.monotonic()
    storm.wait_for_polls(2)
    polls: dict[str, list[float]] = {name: [] for name in storm.vendor.accounts}
    for event in storm.chronicle.events[seen:]:
        if isinstance(event, Asked):
            polls[event.account].append(event.clock - now)
    return median(times[1] for times in polls.values())


# --- what a receiver's manners prove

ON_THE_WEB: Final = {
    Mood.ACCEPT: Outcome.OK,
    Mood.ERROR: Outcome.FAILED,
    Mood.BUSY: Outcome.FAILED,
    Mood.FORBIDDEN: Outcome.FAILED,
    Mood.HANG: Outcome.UNKNOWN,
    Mood.RESET: Outcome.UNKNOWN,
    Mood.DROP: Outcome.UNKNOWN,
    Mood.LEAVE: Outcome.OK,
    Mood.RESET_EARLY: Outcome.UNKNOWN,
}


async def _send(channel: Channel) -> Sent:
    block = Block((Row("400 credits left"),))
    return await channel.send(await channel.write(Message(title="WARNING voice", level=Level.WARNING, blocks=(block,))))


@pytest.mark.parametrize(("mood", "outcome"), ON_THE_WEB.items())
@pytest.mark.parametrize("name", [HOOK, MAIL])
def test_what_a_receivers_manners_prove(name: str, mood: Mood, outcome: Outcome) -> None:
    """Especially a mail server that hangs up after taking the mail, before or after its reply."""
    chronicle, weather = Chronicle(), Weather(random.Random(0), lambda: None)
    weather.always = mood
    receiver = (
        MailReceiver(name, chronicle, weather) if name == MAIL else WebReceiver(name, chronicle, weather, read_json)
    )
    with receiver:
        url = receiver.url if isinstance(receiver, MailReceiver) else f"json://{receiver.address}/?rto=1"
        channel = Channel(name, Secret(url.replace("cto=4", "cto=1")))
        sent = asyncio.run(_send(channel))
    assert sent.outcome is outcome
    arrived = [event for event in chronicle.events if isinstance(event, Came) and event.mood.arrives]
    assert len(arrived) <= (outcome is not Outcome.FAILED)
