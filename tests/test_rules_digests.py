"""Digests: what they say, from the facts to the text; and which of several is sent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from budgetd_rules.appointments import Report
from budgetd_rules.digests import (
    AccountFact,
    ChannelFact,
    Facts,
    OpenFact,
    OwedReport,
    compose_digest,
    compose_drill,
    settle_reports,
)
from budgetd_rules.formats import Format, write
from budgetd_rules.kinds import Kind
from budgetd_rules.meters import View
from budgetd_rules.notices import QUIET
from budgetd_rules.rule import Level
from budgetd_rules.schedules import Quiet, parse_range
from build import NOON, STALE_AFTER, account, episode, minutes, reading, viewed

FINE = viewed(reading("connection", Kind.CONNECTION, fields={"reachable": True, "failures": 0, "cause": "none"}))
BROKEN = viewed(
    reading("connection", Kind.CONNECTION, fields={"reachable": False, "failures": 3, "cause": "unreachable"})
)
CREDITS = viewed(reading(remaining=212, granted=50_000))
ENDS = viewed(reading("plan", Kind.SUBSCRIPTION, fields={"expires_at": NOON + timedelta(days=34)}))


def charge(number: int, *, paid: bool = False) -> View:
    due = NOON + timedelta(days=number)
    return viewed(
        reading(f"invoice/{number:02}", Kind.CHARGE, unit="USD", amount=10, currency="USD", due_at=due, paid=paid)
    )


def facts(*views: View, opens: Sequence[OpenFact] = (), channels: Sequence[ChannelFact] = ()) -> Facts:
    return Facts(accounts=[AccountFact(account=account(), views=views)], open=opens, channels=channels)


def opened(level: Level = Level.CRITICAL, id: str = "e1", *, acked: bool = False, silenced: bool = False) -> OpenFact:
    return OpenFact(episode=episode(id, level), acked=acked, silenced=silenced, view=CREDITS)


def lines(found: Facts, now: datetime = NOON) -> list[str]:
    message = compose_digest(found, UTC, now)
    return [message.title, *message.body.splitlines()]


def test_all_is_well() -> None:
    assert lines(facts(FINE, CREDITS, ENDS)) == [
        "DIGEST all is well: 1 account",
        "All is well: 1 account read, nothing is open, and every channel works",
        "",
        "voice: 212 credits left (0.4 %); plan ends in 34 days (25 Dec 2026 12:00 UTC)",
    ]


def test_all_that_is_not_well() -> None:
    channels = [
        ChannelFact(name="ops", failing_since=NOON, held=2, dead=1),
        ChannelFact(name="quiet", held=1),
        ChannelFact(name="fine"),
    ]
    opens = [opened(Level.WARNING, silenced=True, id="e2"), opened(acked=True)]
    assert lines(facts(BROKEN, CREDITS, opens=opens, channels=channels)) == [
        "DIGEST 2 open, 1 not read, 1 channel failing, 1 never told, 1 account",
        "CRITICAL voice: 212 credits left (0.4 %), since 12:00 UTC, acked (low-credits, e1)",
        "WARNING voice: 212 credits left (0.4 %), since 12:00 UTC, silenced (low-credits, e2)",
        "",
        "voice: polls fail, unreachable (3 times in a row); 212 credits left (0.4 %)",
        "",
        "Channel ops: fails since 12:00 UTC, 2 held, 1 never told",
        "Channel quiet: 1 held",
    ]


def test_the_title_of_a_lock_screen() -> None:
    many = [AccountFact(account=account(f"voice-{number}"), views=(FINE,)) for number in range(14)]
    assert compose_digest(Facts(accounts=many, open=(), channels=()), UTC, NOON).title == (
        "DIGEST all is well: 14 accounts"
    )
    two = [opened(), opened(id="e2")]
    assert compose_digest(Facts(accounts=many, open=two, channels=()), UTC, NOON).title == "DIGEST 2 open, 14 accounts"


@pytest.mark.parametrize(
    ("views", "said"),
    [
        pytest.param([], "nothing read yet", id="never polled"),
        pytest.param([FINE], "read, and it has no meters to tell", id="nothing but the connection"),
        pytest.param(
            [FINE, charge(1), charge(2, paid=True)],
            "invoice/01: 10 USD is due in 1 day (22 Nov 2026 12:00 UTC)",
            id="what is paid is left out",
        ),
        pytest.param(
            [FINE, viewed(reading("plan", Kind.SUBSCRIPTION, active=True))],
            "read, and it has no meters to tell",
            id="a subscription without an end",
        ),
        pytest.param(
            [FINE, viewed(reading("plan", Kind.SUBSCRIPTION, active=False))],
            "plan is not active",
            id="one that is over",
        ),
        pytest.param(
            [FINE, viewed(reading("cap", Kind.CAP, value=5))], "read, and it has no meters to tell", id="a cap"
        ),
        pytest.param(
            [FINE, viewed(reading(as_of=NOON - 2 * STALE_AFTER, remaining=5), NOON)],
            "unknown credits left, as last read 10:00 UTC",
            id="a stale one",
        ),
        pytest.param(
            [viewed(reading("connection", Kind.CONNECTION, as_of=NOON - 2 * STALE_AFTER, failures=0), NOON)],
            "no poll lately",
            id="not polled lately",
        ),
    ],
)
def test_an_account(views: list[View], said: str) -> None:
    assert lines(facts(*views))[-1] == f"voice: {said}"


def test_a_long_family_is_shortened_to_what_is_most_urgent() -> None:
    text = lines(facts(FINE, *(charge(number) for number in range(15, 0, -1))))[-1]
    assert [part.partition(":")[0] for part in text.removeprefix("voice: ").split("; ")] == [
        "invoice/01",
        "invoice/02",
        "invoice/03",
        "and 12 more",
    ]
    used = [
        viewed(reading(f"model/{name}", Kind.QUOTA, used=count, limit=100))
        for name, count in zip("abcd", (1, 9, 5, 7), strict=True)
    ]
    text = lines(facts(FINE, *used))[-1]
    assert [part.partition(" ")[0] for part in text.removeprefix("voice: ").split("; ")] == [
        "model/b",
        "model/d",
        "model/c",
        "and",
    ]


def test_the_same_account_says_so() -> None:
    twin = AccountFact(account=replace(account("twin"), same_as="voice"), views=(FINE, CREDITS))
    assert lines(Facts(accounts=[twin], open=(), channels=()))[-1] == "twin: the same as voice"


def test_what_may_have_arrived_says_so() -> None:
    unsure = "may be a repeat: it is not known whether an earlier try arrived"
    assert lines(replace(facts(FINE), may_repeat=True))[1].endswith(f" · {unsure}")
    assert lines(replace(facts(FINE, opens=[opened()]), may_repeat=True))[1] == unsure
    assert unsure in compose_drill(True).body
    assert unsure not in compose_drill(False).body


@pytest.mark.parametrize("to", Format)
def test_a_vendors_text_stays_text(to: Format) -> None:
    nasty = "<b>@here</b> [x](https://evil.example) `rm` *now*\n# title"
    views = [FINE, viewed(reading(nasty, remaining=5)), viewed(reading("spend", Kind.SPEND, unit=nasty, amount=5))]
    one = replace(opened(), episode=episode(account=nasty, meter=nasty, rule=nasty))
    found = facts(*views, opens=[one, replace(one, view=None)], channels=[ChannelFact(name=nasty, dead=1)])
    message = compose_digest(found, UTC, NOON)
    text = write(message.blocks, to)
    for harm in ("<b>@", "@here", "](https", "https://evil", "\n#", "`rm`"):
        assert harm not in text


def test_a_drill() -> None:
    drill = compose_drill(False)
    assert drill.title == "DRILL: budgetd reaches you here"
    assert drill.body == "This is a drill, so that you know that this channel works. There is nothing to do."


# --- which is sent

LOUD = Quiet()
NIGHT = Quiet(ranges=(parse_range("11:00-13:00"),))
UNTIL = minutes(60)


def owed(day: int, report: Report = Report.DIGEST, attempts: int = 0) -> OwedReport:
    return OwedReport(notice=f"{report}-2026-11-{day}@ops", report=report, due_at=NOON, attempts=attempts)


@pytest.mark.parametrize(
    ("waiting", "sent", "settled"),
    [
        pytest.param([], None, [], id="nothing"),
        pytest.param([owed(21)], "digest-2026-11-21@ops", [], id="one"),
        pytest.param(
            [owed(21), owed(20)],
            "digest-2026-11-21@ops",
            ["digest-2026-11-20@ops collapsed: told together with digest-2026-11-21@ops"],
            id="the newest has all",
        ),
        pytest.param([owed(21), owed(21, Report.DRILL)], "digest-2026-11-21@ops", [], id="a digest and a drill"),
        pytest.param(
            [owed(21, attempts=1), owed(21, Report.DRILL)], "drill-2026-11-21@ops", [], id="the least tried goes first"
        ),
    ],
)
def test_which_of_several(waiting: list[OwedReport], sent: str | None, settled: list[str]) -> None:
    report, settlement = settle_reports(waiting, list(Report), LOUD, NOON)
    assert (report.notice if report else None) == sent
    assert [f"{one.notice} {one.state}: {one.reason}" for one in settlement] == settled


def test_what_the_config_does_not_ask_for_any_more_is_dropped() -> None:
    report, (dropped,) = settle_reports([owed(21, Report.DRILL)], [Report.DIGEST], LOUD, NOON)
    assert (report, dropped.state, dropped.reason) == (None, "dropped", "the channel has no drill any more")


def test_quiet_hours_hold_it() -> None:
    report, (held,) = settle_reports([owed(21)], list(Report), NIGHT, NOON)
    assert (report, held.state, held.hold, held.due_at) == (None, "held", QUIET, UNTIL)
    again = replace(owed(21), hold=QUIET, due_at=UNTIL)
    assert settle_reports([again], list(Report), NIGHT, NOON) == (None, [])
