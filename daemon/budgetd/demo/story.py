"""The demo: half a minute in which credits run down, a subscription nears its end, a quota fills, a vendor fails
and the daemon is killed; and what of it arrives on two channels.

`STEPS` is the story, `run_demo` tells it. No step relies on the clock: each waits until what it expects has arrived.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Final

from budgetd.demo.books import DAY, Books, Vendor
from budgetd.demo.documents import ASSUMPTION
from budgetd.demo.receivers import Received
from budgetd.demo.stage import ACCOUNTS, MAIL, WEBHOOK, DemoError, Stage

# Seconds that a message has: a poll (two, where a vendor fails), and the 5.5 s that Apprise leaves between two mails.
PATIENCE: Final = 20.0
# Time to read, between two steps, at speed 1.
PAUSE: Final = 0.8
# Polls of every vendor after which what has not been said will not be.
SETTLED: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    channel: str
    heading: str
    vendor: Vendor

    def is_met_by(self, received: Received) -> bool:
        on_it = received.channel == self.channel and received.arrived
        return on_it and f"{self.heading} {ACCOUNTS[self.vendor]}" in received.title

    def __str__(self) -> str:
        return f"{self.heading} {ACCOUNTS[self.vendor]} on {self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is said, what then happens, and the messages that must come of it; none means that none may come."""

    say: str
    do: Callable[[Stage], None]
    expect: tuple[Expected, ...] = ()


def _at_the_vendors(change: Callable[[Books], None]) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        with stage.vendors.books() as books:
            change(books)

    return do


def _begin(books: Books) -> None:
    books.cekura_remaining = Decimal("21436.08")
    books.cekura_used = Decimal("22462.14")


def _top_up(books: Books) -> None:
    books.cekura_remaining += books.cekura_granted


def _subscription_ends_in(days: int) -> Callable[[Books], None]:
    def change(books: Books) -> None:
        books.cekura_expires_at = books.opened_at + days * DAY

    return change


def _use_turns(books: Books) -> None:
    books.uniqos_turns = 46000


def _go_down(books: Books) -> None:
    books.trouble[Vendor.CARGO] = HTTPStatus.SERVICE_UNAVAILABLE


def _come_back(books: Books) -> None:
    books.trouble.clear()


def _start(stage: Stage) -> None:
    with stage.vendors.books() as books:
        _begin(books)
    stage.daemon.start()


def _kill_and_start(stage: Stage) -> None:
    """Once every receipt is written: killed before that, the daemon would rightly tell something again."""
    stage.wait_until(lambda: not _waits(stage), "the receipts", PATIENCE)
    stage.daemon.kill()
    stage.daemon.start()


def _waits(stage: Stage) -> bool:
    return any(channel["waiting"] for channel in stage.daemon.ask("status")["channels"])


def _on(channels: Iterable[str], heading: str, vendor: Vendor) -> tuple[Expected, ...]:
    return tuple(Expected(channel=channel, heading=heading, vendor=vendor) for channel in channels)


BOTH: Final = (WEBHOOK, MAIL)

STEPS: Final = (
    Step(say="budgetd starts, polls four vendors each second, and finds nothing to say.", do=_start),
    Step(
        say="Cekura: 14,000 credits are spent, 7,436.08 of 50,000 are left.",
        do=_at_the_vendors(lambda books: books.spend_cekura(down_to="7436.08")),
        expect=_on([WEBHOOK], "WARNING", Vendor.CEKURA),
    ),
    Step(
        say="Cekura: 212 credits are left. Critical also goes by mail.",
        do=_at_the_vendors(lambda books: books.spend_cekura(down_to="212.00")),
        expect=_on(BOTH, "CRITICAL", Vendor.CEKURA),
    ),
    Step(
        say="Cekura: someone tops up.",
        do=_at_the_vendors(_top_up),
        expect=_on(BOTH, "RESOLVED", Vendor.CEKURA),
    ),
    Step(
        say="Cekura: the subscription ends in 29 days.",
        do=_at_the_vendors(_subscription_ends_in(29)),
        expect=_on([WEBHOOK], "WARNING", Vendor.CEKURA),
    ),
    Step(
        say="Cekura: it is renewed.",
        do=_at_the_vendors(_subscription_ends_in(365)),
        expect=_on([WEBHOOK], "RESOLVED", Vendor.CEKURA),
    ),
    Step(
        say="uniqOS: 46,000 of 50,000 turns are used.",
        do=_at_the_vendors(_use_turns),
        expect=_on([WEBHOOK], "WARNING", Vendor.UNIQOS),
    ),
    Step(
        say="The daemon is killed (-9) and started again. What it has told, it does not tell again.",
        do=_kill_and_start,
    ),
    Step(
        say="Cargo answers 503.",
        do=_at_the_vendors(_go_down),
        expect=_on(BOTH, "CRITICAL", Vendor.CARGO),
    ),
    Step(
        say="Cargo is back.",
        do=_at_the_vendors(_come_back),
        expect=_on(BOTH, "RESOLVED", Vendor.CARGO),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    polls: int
    episodes: int
    messages: Mapping[str, int]
    repeated: int

    def __str__(self) -> str:
        told = ", ".join(f"{count} by {channel}" for channel, count in self.messages.items())
        return f"{self.polls} requests, {self.episodes} episodes, messages: {told}; repeated: {self.repeated}"


def run_demo(
    out: Callable[[str], None], *, speed: float = 1.0, look: Callable[[Stage], None] = lambda _stage: None
) -> Summary:
    """Tells the story through `out`, a text at a time. Raises DemoError where a message does not come, or one too many.

    `out` is also called from the receivers' threads; `look` once, at the end, while everything is still there.
    """
    out(f"Four vendors, a webhook and a mailbox on this machine. {ASSUMPTION}")
    with Stage(lambda received: out(_in_brief(received))) as stage:
        for step in STEPS:
            out(f"\n{step.say}")
            play(stage, step)
            time.sleep(PAUSE / speed)
        code = stage.daemon.stop()
        if code:
            raise stage.daemon.failure(f"the daemon ended with exit code {code} on SIGTERM")
        summary = summarize(stage)
        look(stage)
    out(f"\n{summary}")
    return summary


def play(stage: Stage, step: Step) -> None:
    """One step, until all that it expects has arrived; or, if it expects nothing, until it would have."""
    seen = len(stage.inbox.received)
    polled = stage.polled()
    step.do(stage)
    for expected in step.expect:
        stage.wait_until(partial(_has_come, stage, expected, seen), str(expected), PATIENCE)
    if not step.expect:
        stage.wait_until(lambda: stage.polled() >= polled + SETTLED, "polls of all vendors", PATIENCE)
    uncalled = [one for one in stage.inbox.received[seen:] if not any(each.is_met_by(one) for each in step.expect)]
    if uncalled:
        raise DemoError(f"nobody expected {uncalled[0].title!r} on {uncalled[0].channel}")


def _has_come(stage: Stage, expected: Expected, seen: int) -> bool:
    return any(expected.is_met_by(received) for received in stage.inbox.received[seen:])


def summarize(stage: Stage) -> Summary:
    """Counts what arrived, and asks the daemon's own record for the episodes."""
    arrived = [received for received in stage.inbox.received if received.arrived]
    return Summary(
        polls=sum(stage.vendors.requests(vendor) for vendor in Vendor),
        episodes=len(stage.daemon.ask("episodes", "--all")),
        messages=Counter(received.channel for received in arrived),
        repeated=repeated(arrived),
    )


_EPISODE: Final = re.compile(r"episode (\w+)")
MAY_REPEAT: Final = "may be a repeat"


def told(received: Received) -> list[tuple[str, str, str]]:
    """Channel, episode and heading of each thing that a message says: a group has a block for each."""
    blocks = received.body.split("\n\n")
    texts = blocks if len(blocks) > 1 else [f"{received.title}\n{received.body}"]
    return [(received.channel, found[1], text.partition(":")[0]) for text in texts if (found := _EPISODE.search(text))]


def repeated(received: Iterable[Received]) -> int:
    """How often a channel was told the same change of an episode again, without a word that it may be a repeat."""
    times = Counter(one for message in received if MAY_REPEAT not in message.body for one in told(message))
    return sum(count - 1 for count in times.values())


def _in_brief(received: Received) -> str:
    # The last line names the episode; the first ones say at length what the title says.
    return f"  {received.channel:8} {received.title}\n           {received.body.splitlines()[-1]}"
