"""The demo's story under fire: the daemon is killed (-9) at random instants, and still everyone is told everything.

BUDGETD_KILLS is how often, in each test; BUDGETD_SEED makes a run begin as the one that printed it. Besides, it is
killed while some of its messages arrive, before the answer is out: the instant that random ones nearly always miss.
"""

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final

import pytest

from budgetd.demo.books import Vendor
from budgetd.demo.receivers import Received, Reply
from budgetd.demo.stage import ACCOUNTS, MAIL, WEBHOOK, Stage
from budgetd.demo.story import MAY_REPEAT, SETTLED, STEPS, Expected, Step, told

# Seconds for what a step expects: also for some sends that hang, and the pauses after each.
PATIENCE: Final = 90.0
# A kill comes so long after a step or a start, at most: starting, polling, judging and sending take about that long.
LONGEST_LIFE: Final = 2.0
FAULTS_IN_A_ROW: Final = 2
# The share of the messages that it does not live to see answered.
KILLED_IN_THE_ACT: Final = 0.4

# The machine's own settings, read before each test begins without any.
_KILLS: Final = int(os.environ.get("BUDGETD_KILLS", "20"))
_SEED: Final = os.environ.get("BUDGETD_SEED", str(random.randrange(10**6)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: int
    channel: str
    outcome: str
    title: str
    body: str
    notices: frozenset[str]

    @property
    def text(self) -> tuple[str, str, str]:
        return self.channel, self.title, self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The service's records in its database."""

    changes: tuple[dict[str, Any], ...]
    notices: tuple[dict[str, Any], ...]
    attempts: tuple[Attempt, ...]

    def settled_unheard(self, arrived: Iterable[Received]) -> list[str]:
        """Notices that did not arrive: not sent, or sent but in no text that arrived."""
        texts = {(one.channel, one.title, one.body) for one in arrived}
        heard = {notice for one in self.attempts if one.outcome == "ok" and one.text in texts for notice in one.notices}
        sound = {notice["id"] for notice in self.notices if notice["state"] in ("sent", "collapsed")}
        return sorted({notice["id"] for notice in self.notices} - (heard & sound))


def read_record(stage: Stage) -> Record:
    with contextlib.closing(sqlite3.connect(stage.folder / "budgetd.db")) as db:
        db.row_factory = sqlite3.Row
        told_by: dict[int, set[str]] = {}
        for row in db.execute("SELECT * FROM attempted"):
            told_by.setdefault(row["attempt"], set()).add(row["notice"])
        return Record(
            changes=tuple(map(dict, db.execute("SELECT * FROM changes ORDER BY at, id"))),
            notices=tuple(
                map(dict, db.execute("SELECT notices.*, episode FROM notices JOIN changes ON changes.id = change"))
            ),
            attempts=tuple(
                Attempt(
                    **{name: row[name] for name in ("id", "channel", "outcome", "title", "body")},
                    notices=frozenset(told_by[row["id"]]),
                )
                for row in db.execute("SELECT * FROM attempts ORDER BY id")
            ),
        )


class Killer:
    """Kills the daemon of a stage, and starts it again."""

    def __init__(self) -> None:
        self.kills = 0
        self._chance = random.Random(_SEED)
        self._seen: set[tuple[str, str]] = set()

    def kill(self, stage: Stage) -> None:
        self.kills += 1
        stage.daemon.kill()

    def kill_at(self, stage: Stage, received: Received) -> None:
        """Runs in the receiver's thread; the thread that waits for the story restarts the service."""
        is_new = (received.channel, received.title) not in self._seen
        self._seen.add((received.channel, received.title))
        if is_new and self._chance.random() < KILLED_IN_THE_ACT:
            self.kill(stage)

    def start(self, stage: Stage) -> None:
        process = stage.daemon._process
        assert process is not None
        assert process.returncode == -signal.SIGKILL, stage.daemon.failure(f"it ended by itself: {process.returncode}")
        stage.daemon.start()

    def wait_until(self, stage: Stage, happened: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if not stage.daemon.is_running:
                self.start(stage)
            assert time.monotonic() < deadline, stage.daemon.failure(f"waited in vain for {what}")
            time.sleep(0.02)

    def play(self, stage: Stage, step: Step, lives: Iterable[float]) -> None:
        """Plays one step, in which the service lives this long again and again, until all expected messages arrived."""
        seen, polled = len(stage.inbox.received), stage.polled()
        if seen and not step.expect:  # the step that waits for the receipts is less patient than failing sends take
            self.wait_until(stage, lambda: nothing_waits(stage), "the receipts")
        step.do(stage)
        for life in lives:
            time.sleep(life)
            self.kill(stage)
            self.start(stage)
        for expected in step.expect:
            self.wait_until(stage, partial(has_come, stage, expected, seen), str(expected))
        self.wait_until(stage, lambda: stage.polled() >= polled + SETTLED, "polls of all vendors")

    def tell(self, stage: Stage) -> None:
        for step, lives in zip(STEPS, spread(_KILLS, self._chance), strict=True):
            self.play(stage, step, lives)
        self.wait_until(stage, lambda: nothing_waits(stage), "the last notice")
        # It may have been started just now: a signal that comes before it listens to any ends it at once.
        polled = stage.polled()
        self.wait_until(stage, lambda: stage.polled() > polled, "polls of all vendors")


def has_come(stage: Stage, expected: Expected, seen: int) -> bool:
    wanted = f"{expected.heading} {ACCOUNTS[expected.vendor]}"
    arrived = [one for one in stage.inbox.received[seen:] if one.arrived and one.channel == expected.channel]
    return any(heading == wanted for one in arrived for _, _, heading in told(one))


def nothing_waits(stage: Stage) -> bool:
    return all(notice["state"] != "waiting" for notice in read_record(stage).notices)


def spread(kills: int, chance: random.Random) -> Iterator[list[float]]:
    """The lives within each step: the kills spread over the steps evenly, and at any instant of each."""
    for number in range(len(STEPS)):
        share = kills * (number + 1) // len(STEPS) - kills * number // len(STEPS)
        yield [chance.uniform(0, LONGEST_LIFE) for _ in range(share)]


def check_routes(record: Record) -> None:
    """Every change that was to be told is owed to exactly the channels that it is routed to."""
    for _, group in groupby(
        sorted(of_vendors(record.changes), key=lambda one: (one["episode"], one["at"])), lambda c: c["episode"]
    ):
        owed_so_far: set[str] = set()
        for change in group:
            owed = {notice["channel"] for notice in record.notices if notice["change"] == change["id"]}
            routed = {WEBHOOK, MAIL} if change["new"] == "critical" else {WEBHOOK}
            expected = owed_so_far if change["kind"] == "resolved" else routed
            assert owed == (set() if change["unsaid"] else expected), change
            owed_so_far = owed_so_far | owed


def of_vendors(changes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the account `budgetd`: notices of a failing channel do not follow the routes."""
    return [change for change in changes if change["account"] != "budgetd"]


def check_receipts(record: Record, received: Iterable[Received]) -> None:
    """The recorded attempts match what the receivers saw, message by message."""
    arrived = Counter((one.channel, one.title, one.body) for one in received if one.arrived)
    refused = Counter((one.channel, one.title, one.body) for one in received if not one.arrived)
    tries = {outcome: Counter[tuple[str, str, str]]() for outcome in ("ok", "failed", "unknown")}
    for attempt in record.attempts:
        tries[attempt.outcome][attempt.text] += 1
    assert tries["ok"] <= arrived <= tries["ok"] + tries["unknown"]
    assert refused <= tries["failed"] + tries["unknown"]


def repeats(record: Record, arrived: Iterable[Received]) -> int:
    """The number of repeats. Each says so, and follows an attempt of unknown outcome."""
    seen: set[tuple[str, str, str]] = set()
    count = 0
    for message in arrived:
        for line in told(message):
            if line in seen:
                count += 1
                assert MAY_REPEAT in block(message, line[1]), message
                assert any(
                    earlier.outcome == "unknown" and earlier.notices & attempt.notices
                    for attempt in record.attempts
                    if attempt.text == (message.channel, message.title, message.body)
                    for earlier in record.attempts[: attempt.id - 1]
                ), message
            seen.add(line)
    return count


def block(message: Received, episode: str) -> str:
    """The part of a message that is about this episode."""
    return next(text for text in message.body.split("\n\n") if f"episode {episode}" in text)


def sum_up(stage: Stage, killer: Killer, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.daemon.stop() == 0
    assert "Traceback" not in (stage.folder / "daemon.log").read_text()
    record, received = read_record(stage), stage.inbox.received
    arrived = [one for one in received if one.arrived]
    polls = sum(stage.vendors.requests(vendor) for vendor in Vendor)
    check_routes(record)
    check_receipts(record, received)
    repeated, lost = repeats(record, arrived), record.settled_unheard(arrived)
    unknown = sum(attempt.outcome == "unknown" for attempt in record.attempts)
    with capsys.disabled():
        print(
            f"\nseed {_SEED}: {killer.kills} kills, {polls} requests, {len(arrived)} messages of {len(received)} sent, "
            f"{unknown} attempts with unknown outcome, {repeated} repeats, {len(lost)} lost"
        )
    assert lost == []
    assert {change["kind"] for change in record.changes} == {"opened", "worsened", "resolved"}


@pytest.mark.slow
def test_killed_at_random_everything_is_told_and_every_repeat_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    killer = Killer()
    stage = Stage(lambda received: killer.kill_at(stage, received))
    with stage:
        killer.tell(stage)
        sum_up(stage, killer, capsys)


@pytest.mark.slow
def test_killed_at_random_while_the_webhook_fails_at_random(capsys: pytest.CaptureFixture[str]) -> None:
    killer, chance, in_a_row = Killer(), random.Random(_SEED), 0

    def fail(received: Received) -> None:
        nonlocal in_a_row
        if received.channel == WEBHOOK:
            in_a_row = in_a_row + 1 if received.reply is not Reply.ACCEPT else 0
            stage.webhook.reply = chance.choice(list(Reply)) if in_a_row < FAULTS_IN_A_ROW else Reply.ACCEPT
        killer.kill_at(stage, received)

    stage = Stage(fail)
    stage.webhook.reply = Reply.RESET
    with stage:
        killer.tell(stage)
        sum_up(stage, killer, capsys)
