"""Messages: titles and bodies for every kind, formatted numbers and times, and vendors' texts made harmless."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.entries import Fact
from budgetd_rules.formats import Format, write
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Line, Told
from budgetd_rules.memory import ChangeKind, Episode, Reason
from budgetd_rules.messages import Message, compose
from budgetd_rules.meters import Account, View, view
from budgetd_rules.rule import Level, Rule
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value
from budgetd_rules.wording import describe, moment, show, show_percent
from build import NOON, STALE_AFTER, account, change, episode, minutes, reading, rule

WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)
NOW = minutes(5)
BARE = Account(name="voice", provider="cekura", title="Cekura", stale_after=STALE_AFTER)


def seen(meter: str, kind: Kind, unit: str = "", now: datetime = NOW, **fields: Value | int) -> View:
    return view(reading(meter, kind, unit=unit, fields=fields), now, STALE_AFTER)


def fact(
    told: Told = Told.OPENED,
    of: Episode | None = None,
    *,
    account: Account = BARE,
    rule: Rule | None = None,
    view: View | None = None,
    old: Level | None = None,
    may_repeat: bool = False,
) -> Fact:
    of = of or episode()
    kind = ChangeKind.RESOLVED if told is Told.PASSED else ChangeKind(told)
    line = Line(told=told, episode=of, change=change(kind, of, old=old), notices=("e1.1@ops",), may_repeat=may_repeat)
    return Fact(line=line, account=account, rule=rule, view=view)


def credits_(remaining: int | str | Value = 212, now: datetime = NOW, **fields: Value | int) -> View:
    left = Decimal(remaining) if isinstance(remaining, str) else remaining
    return seen("credits", Kind.BALANCE, "credits", now, remaining=left, **fields)


def composed(*facts: Fact, now: datetime = NOW) -> Message:
    return compose(facts, UTC, now)


class Said(NamedTuple):
    """A message in plain text."""

    title: str
    body: str
    level: Level | None


def said(*facts: Fact) -> Said:
    message = composed(*facts)
    return Said(message.title, message.body, message.level)


# --- a meter in words


@pytest.mark.parametrize(
    ("view", "words"),
    [
        pytest.param(credits_(granted=50_000), "212 credits left (0.4 %)", id="balance"),
        pytest.param(credits_("36462.14"), "36,462.14 credits left", id="balance: of nobody knows how much"),
        pytest.param(credits_(-12, granted=100), "12 credits over", id="balance: overdrawn"),
        pytest.param(credits_(0, granted=100), "0 credits left (0.0 %)", id="balance: empty"),
        pytest.param(credits_(UNKNOWN), "unknown credits left", id="balance: unknown"),
        pytest.param(credits_(UNKNOWN, used=30), "30 credits used", id="balance: only what was used"),
        pytest.param(credits_(UNLIMITED), "unlimited credits left", id="balance: unlimited"),
        pytest.param(
            seen("credits", Kind.BALANCE, "USD", remaining=212), "credits: 212 USD left", id="balance: which of several"
        ),
        pytest.param(
            seen("credits", Kind.BALANCE, "USD", remaining=-5, currency="EUR"),
            "credits: 5 EUR over",
            id="balance: the vendor's currency",
        ),
        pytest.param(seen("credits", Kind.BALANCE, remaining=212), "credits: 212 left", id="balance: no unit"),
        pytest.param(
            seen("turns", Kind.QUOTA, "turns", used=46_000, limit=50_000),
            "turns 92.0 % used (46,000 of 50,000 turns)",
            id="quota",
        ),
        pytest.param(
            seen("turns", Kind.QUOTA, "turns", used=46_000, limit=UNLIMITED),
            "turns 0.0 % used (46,000 of unlimited turns)",
            id="quota: unlimited",
        ),
        pytest.param(
            seen("turns", Kind.QUOTA, "turns", used=5, limit=0), "turns 5 of 0 turns", id="quota: none at all"
        ),
        pytest.param(seen("turns", Kind.QUOTA, "turns", used=5), "turns 5 turns used", id="quota: limit unknown"),
        pytest.param(
            seen("turns", Kind.QUOTA, "turns", remaining=5), "turns 5 turns left", id="quota: only what remains"
        ),
        pytest.param(seen("turns", Kind.QUOTA), "turns unknown of unknown", id="quota: unknown"),
        pytest.param(seen("usage", Kind.SPEND, "USD", amount=12), "usage 12 USD spent", id="spend"),
        pytest.param(
            seen("usage", Kind.SPEND, "USD", amount=12, limit=50), "usage 12 of 50 USD spent", id="spend: of a limit"
        ),
        pytest.param(
            seen("usage", Kind.SPEND, "USD", amount=12, limit=UNLIMITED), "usage 12 USD spent", id="spend: unlimited"
        ),
        pytest.param(seen("usage", Kind.SPEND, "USD"), "usage unknown USD spent", id="spend: unknown"),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, expires_at=NOON + 12 * DAY),
            "subscription ends in 12 days (3 Dec 2026 12:00 UTC)",
            id="subscription: ahead",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, expires_at=minutes(90)),
            "subscription ends in 1 day (13:30 UTC)",
            id="subscription: ahead, within a day",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, days_until_expiry=0),
            "subscription ends today",
            id="subscription: today, as the vendor counts",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, days_until_expiry=0, expires_at=minutes(90)),
            "subscription ends today (13:30 UTC)",
            id="subscription: today, and later",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, expires_at=minutes(2)),
            "subscription ended less than a day ago (12:02 UTC)",
            id="subscription: just over",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, expires_at=NOON - DAY / 2),
            "subscription ended less than a day ago (00:00 UTC)",
            id="subscription: over since last night",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, expires_at=NOON - 2 * DAY),
            "subscription ended 2 days ago (19 Nov 2026 12:00 UTC)",
            id="subscription: past",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, active=False, expires_at=NOON + DAY),
            "subscription is not active",
            id="subscription: inactive",
        ),
        pytest.param(seen("plan", Kind.SUBSCRIPTION, plan="Pro"), "plan is Pro", id="subscription: the plan alone"),
        pytest.param(
            seen("payment", Kind.SUBSCRIPTION, last_payment_at=NOON - timedelta(days=3)),
            "payment last paid 3 days ago",
            id="subscription: the last payment alone",
        ),
        pytest.param(
            seen("plan", Kind.SUBSCRIPTION, plan="Pro", changes_to="Basic", changes_at=NOON + timedelta(days=2)),
            "plan is Pro, changes to Basic in 2 days (23 Nov 2026 12:00 UTC)",
            id="subscription: a change ahead",
        ),
        pytest.param(
            seen("overage/records", Kind.BALANCE, overage_allowed=False),
            "overage/records: overage is denied",
            id="balance: overage alone",
        ),
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION), "subscription ends at a time nobody knows", id="subscription: when"
        ),
        pytest.param(
            seen("schedule/2026-12", Kind.CHARGE, "USD", amount=500, due_at=NOON + 3 * DAY),
            "schedule/2026-12: 500 USD is due in 3 days (24 Nov 2026 12:00 UTC)",
            id="charge: ahead",
        ),
        pytest.param(
            seen("schedule/2026-12", Kind.CHARGE, "USD", amount=500, due_at=NOON - DAY - DAY / 24),
            "schedule/2026-12: 500 USD was due 1 day ago (20 Nov 2026 11:00 UTC)",
            id="charge: past",
        ),
        pytest.param(
            seen("schedule/2026-12", Kind.CHARGE, "USD", amount=500, due_at=NOON),
            "schedule/2026-12: 500 USD was due less than a day ago (12:00 UTC)",
            id="charge: just past",
        ),
        pytest.param(
            seen("schedule/2026-12", Kind.CHARGE, "USD", amount=500, due_at=NOON - DAY, paid=True),
            "schedule/2026-12: 500 USD is paid",
            id="charge: paid",
        ),
        pytest.param(seen("cap/seats", Kind.CAP, "seats", value=5), "cap/seats is 5 seats", id="cap"),
        pytest.param(seen("cap/seats", Kind.CAP, value=UNLIMITED), "cap/seats is unlimited", id="cap: unlimited"),
        pytest.param(seen("connection", Kind.CONNECTION, failures=0, cause="none"), "polls succeed", id="connection"),
        pytest.param(
            seen("connection", Kind.CONNECTION, failures=1, cause="rate_limited"),
            "polls fail, rate limited (once)",
            id="connection: failed once",
        ),
        pytest.param(
            seen("connection", Kind.CONNECTION, failures=1200, cause="unreachable"),
            "polls fail, unreachable (1,200 times in a row)",
            id="connection: fails",
        ),
        pytest.param(seen("connection", Kind.CONNECTION), "no poll lately", id="connection: unknown"),
    ],
)
def test_a_meter_in_words(view: View, words: str) -> None:
    assert describe(view, UTC, NOW) == words


CENTS = Decimal("1234.5")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (seen("wallet", Kind.BALANCE, "USD", remaining=CENTS), "wallet: 1,234.50 USD left"),
        (seen("wallet", Kind.BALANCE, "USD", remaining=-CENTS), "wallet: 1,234.50 USD over"),
        (seen("wallet", Kind.BALANCE, "EUR", used=CENTS), "wallet: 1,234.50 EUR used"),
        (seen("spent", Kind.QUOTA, "USD", used=CENTS, limit=2469), "spent 50.0 % used (1,234.50 of 2,469 USD)"),
        (seen("spent", Kind.QUOTA, "USD", used=CENTS), "spent 1,234.50 USD used"),
        (seen("spent", Kind.QUOTA, "USD", remaining=CENTS), "spent 1,234.50 USD left"),
        (seen("usage", Kind.SPEND, "", amount=CENTS, limit=CENTS, currency="USD"),
         "usage 1,234.50 of 1,234.50 USD spent"),
        (seen("usage", Kind.SPEND, "", amount=CENTS, currency="USD"), "usage 1,234.50 USD spent"),
        (seen("invoice", Kind.CHARGE, "", amount=CENTS, currency="USD", paid=True), "invoice: 1,234.50 USD is paid"),
        (seen("cap/usd", Kind.CAP, "", value=CENTS, currency="USD"), "cap/usd is 1,234.50 USD"),
        (seen("cap/usd", Kind.CAP, "USD", value=Decimal("0.0045")), "cap/usd is 0.0045 USD"),
        (seen("cap/usd", Kind.CAP, "USD", value=Decimal("12.000")), "cap/usd is 12.00 USD"),
        (seen("cap/usd", Kind.CAP, "USD", value=12), "cap/usd is 12 USD"),
        (credits_(CENTS), "1,234.5 credits left"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_money_in_words(view: View, words: str) -> None:
    assert describe(view, UTC, NOW) == words


# --- one line


def test_a_body_says_everything() -> None:
    one = fact(of=episode(level=CRITICAL), account=account(), rule=rule(), view=credits_(granted=50_000))
    assert said(one) == Said(
        title="CRITICAL voice: 212 credits left (0.4 %)",
        body="""\
212 credits left (0.4 %), as of 12:00 UTC
Since 12:00 UTC
Rule low-credits: critical when remaining < 100, warning when remaining < 500
Now: remaining 212
At zero: calls stop
Owner: voice@acme.example
Refill: https://dashboard.example/billing
Ack: budgetd ack e1
Account voice at Cekura · episode e1""",
        level=CRITICAL,
    )


def test_a_body_says_only_what_is_known() -> None:
    unnamed = Account(name="voice", provider="", title="", stale_after=STALE_AFTER)
    assert said(fact(account=unnamed)) == Said(
        title="WARNING voice: credits: nothing read yet",
        body="credits: nothing read yet\nSince 12:00 UTC\nAck: budgetd ack e1\nAccount voice · episode e1",
        level=WARNING,
    )


ENDED = episode(level=WARNING, peak=CRITICAL, ended_at=minutes(4), worst=90)


@pytest.mark.parametrize(
    ("one", "title", "course", "level"),
    [
        pytest.param(fact(), "WARNING", "Since 12:00 UTC", WARNING, id="opened"),
        pytest.param(
            fact(Told.WORSENED, episode(level=CRITICAL), old=WARNING),
            "CRITICAL",
            "Since 12:00 UTC, warning before",
            CRITICAL,
            id="worsened",
        ),
        pytest.param(
            fact(Told.WORSENED, episode(level=WARNING, peak=CRITICAL), old=WARNING),
            "WARNING",
            "Since 12:00 UTC, critical meanwhile",
            WARNING,
            id="worsened, and eased before it could be told",
        ),
        pytest.param(fact(Told.REMINDED), "REMINDER WARNING", "Since 12:00 UTC, still so", WARNING, id="reminded"),
        pytest.param(
            fact(Told.REMINDED, episode(level=CRITICAL, opened_at=NOON - 2 * DAY)),
            "REMINDER CRITICAL",
            "Since 19 Nov 2026 12:00 UTC, still so",
            CRITICAL,
            id="reminded days later",
        ),
        pytest.param(
            fact(Told.RESOLVED, ENDED),
            "RESOLVED",
            "Was critical from 12:00 UTC to 12:04 UTC (worst 90): the condition is over",
            None,
            id="resolved",
        ),
        pytest.param(
            fact(Told.PASSED, ENDED),
            "PASSED",
            "Was critical from 12:00 UTC to 12:04 UTC (worst 90): the condition is over",
            None,
            id="passed",
        ),
        pytest.param(
            fact(Told.RESOLVED, episode(ended_at=minutes(4), end=Reason.ROLLED_OVER)),
            "RESOLVED",
            "Was warning from 12:00 UTC to 12:04 UTC: a new period began",
            None,
            id="resolved by a new period, its worst unknown",
        ),
    ],
)
def test_what_happened(one: Fact, title: str, course: str, level: Level | None) -> None:
    known = Fact(line=one.line, account=one.account, rule=None, view=credits_())
    message = composed(known)
    assert message.title == f"{title} voice: 212 credits left"
    ack = [] if one.line.is_over else ["Ack: budgetd ack e1"]
    assert message.body.split("\n") == [
        "212 credits left, as of 12:00 UTC", course, *ack, "Account voice at Cekura · episode e1",
    ]  # fmt: skip
    assert message.level is level


def test_what_is_over_asks_nobody_for_anything() -> None:
    body = composed(fact(Told.RESOLVED, ENDED, account=account(), rule=rule(), view=credits_(9_000))).body
    assert body.split("\n") == [
        "9,000 credits left, as of 12:00 UTC",
        "Was critical from 12:00 UTC to 12:04 UTC (worst 90): the condition is over",
        "Rule low-credits: critical when remaining < 100, warning when remaining < 500",
        "Account voice at Cekura · episode e1",
    ]


def test_amounts_of_money_say_so_in_every_line() -> None:
    wallet = seen("wallet", Kind.BALANCE, "USD", remaining=CENTS)
    assert "\nNow: remaining 1,234.50 USD\n" in composed(fact(rule=rule(), view=wallet)).body
    of = episode(meter="wallet", ended_at=minutes(4), worst=Decimal("4.5"), end=Reason.TOPPED_UP)
    assert "(worst 4.50 USD): topped up by 1,230.00 USD\n" in composed(fact(Told.RESOLVED, of, view=wallet)).body
    noted = change(ChangeKind.NOTED, episode(meter="cap/usd"))
    noted = replace(noted, episode=None, values={"value": CENTS}, before={"value": Decimal(5)})
    line = Line(told=Told.NOTED, episode=None, change=noted, notices=("e1.1@ops",))
    cap = seen("cap/usd", Kind.CAP, "USD", value=CENTS)
    message = composed(Fact(line=line, account=BARE, rule=None, view=cap))
    assert message.title == "NOTED voice: cap/usd: value 5 USD before, 1,234.50 USD now"
    since = composed(Fact(line=line, account=BARE, rule=None, view=seen("cap/usd", Kind.CAP, "USD", value=9)))
    assert since.title == "NOTED voice: cap/usd: value 5 USD before, 1,234.50 USD then", "it has changed again"


@pytest.mark.parametrize(
    ("at_zero", "fields", "words"),
    [
        pytest.param("calls stop", {"overage_allowed": True}, "calls stop", id="what the config says goes first"),
        pytest.param(None, {"overage_allowed": True}, "overage begins", id="overage"),
        pytest.param(
            None,
            {"overage_allowed": True, "overage_price": Decimal("0.005")},
            "overage begins, at 0.005 each",
            id="overage at a price",
        ),
        pytest.param(
            None,
            {"overage_allowed": True, "overage_price": Decimal("0.5"), "currency": "USD"},
            "overage begins, at 0.50 USD each",
            id="overage at a price in a currency",
        ),
        pytest.param(None, {"overage_allowed": False}, "it stops (no overage)", id="no overage"),
        pytest.param(None, {"overage_price": Decimal(1)}, None, id="a price alone says nothing"),
        pytest.param(None, {}, None, id="unknown"),
    ],
)
def test_what_happens_at_zero(at_zero: str | None, fields: dict[str, Value], words: str | None) -> None:
    one = fact(
        account=replace(BARE, at_zero=at_zero), view=view(reading(fields={"remaining": 5, **fields}), NOW, STALE_AFTER)
    )
    said_so = [line for line in composed(one).body.split("\n") if line.startswith("At zero:")]
    assert said_so == ([f"At zero: {words}"] if words else [])


def test_what_was_meant_for_another_channel_says_so() -> None:
    one = fact(view=credits_())
    handed = replace(one, line=replace(one.line, handed="could not be told on ops for 3 days"))
    assert "\nTold here because it could not be told on ops for 3 days\n" in composed(handed).body
    assert composed(*[handed] * 9).body.startswith(
        "WARNING voice: 212 credits left [e1] · could not be told on ops for 3 days\n"
    )


def test_the_last_line_names_the_episode_in_every_format() -> None:
    message = composed(fact(account=account(), rule=rule(), view=credits_()))
    for to in Format:
        assert "episode e1" in write(message.blocks, to).replace("<br/>", "\n").split("\n")[-1]


def test_a_refill_that_is_no_address_is_text() -> None:
    message = composed(fact(account=replace(BARE, refill="ask Jo"), view=credits_()))
    assert "\nRefill: ask Jo\n" in message.body
    assert "<b>Refill:</b> ask Jo<br/>" in write(message.blocks, Format.HTML)


def test_the_worst_share_is_a_share() -> None:
    of = episode(meter="turns", ended_at=minutes(4), worst=Decimal("97.3333"))
    turns = seen("turns", Kind.QUOTA, "turns", used=1, limit=100)
    assert "(worst 97.3 %)" in composed(fact(Told.RESOLVED, of, view=turns)).body


def test_what_is_gone_is_said_to_be() -> None:
    message = composed(fact(Told.RESOLVED, episode(ended_at=minutes(4), end=Reason.GONE)))
    assert message.title == "RESOLVED voice: credits is gone"
    assert message.body.split("\n")[:2] == [
        "credits is gone",
        "Was warning from 12:00 UTC to 12:04 UTC: gone at the vendor",
    ]


def test_a_second_try_says_that_it_may_be_one() -> None:
    body = composed(fact(view=credits_(), may_repeat=True)).body
    assert body.endswith("episode e1 · may be a repeat: it is not known whether an earlier try arrived")


LATER = NOON + 2 * STALE_AFTER


@pytest.mark.parametrize(
    ("view", "first"),
    [
        pytest.param(
            seen("subscription", Kind.SUBSCRIPTION, "", LATER, expires_at=NOON + 12 * DAY),
            "subscription ends in 12 days (3 Dec 2026 12:00 UTC), as last read 12:00 UTC",
            id="a date holds",
        ),
        pytest.param(
            credits_(212, LATER), "unknown credits left, last read 12:00 UTC", id="a measurement is unknown by now"
        ),
    ],
)
def test_what_is_stale_says_so(view: View, first: str) -> None:
    message = composed(fact(view=view), now=LATER)
    assert message.body.split("\n")[0] == first


def test_a_reminder_of_what_nobody_knows_does_not_claim_it() -> None:
    body = composed(fact(Told.REMINDED, view=credits_(212, LATER)), now=LATER).body
    assert "Since 12:00 UTC, and nobody knows whether it still is so" in body


def test_times_are_the_reader_s() -> None:
    message = compose([fact(view=credits_())], BERLIN, NOW)
    assert message.body.split("\n")[:2] == ["212 credits left, as of 13:00 CET", "Since 13:00 CET"]


# --- several lines


def many(count: int, told: Told = Told.OPENED) -> list[Fact]:
    """Of three accounts in turn."""
    names = ["voice", "growth", "dialogue"]
    return [
        fact(
            told,
            episode(f"e{each}", CRITICAL if each % 2 else WARNING, ended_at=None if told is Told.OPENED else NOON),
            account=account(names[each % 3]),
            view=credits_(each),
            may_repeat=each == 1,
        )
        for each in range(count)
    ]


def test_two_lines_are_two_blocks() -> None:
    resolved = fact(Told.RESOLVED, episode("e2", ended_at=minutes(4)), view=credits_(9_000))
    assert said(fact(view=credits_()), resolved) == Said(
        title="1 WARNING, 1 RESOLVED: voice",
        body="""\
WARNING voice: 212 credits left, as of 12:00 UTC
Since 12:00 UTC
Ack: budgetd ack e1
Account voice at Cekura · episode e1

RESOLVED voice: 9,000 credits left, as of 12:00 UTC
Was warning from 12:00 UTC to 12:04 UTC: the condition is over
Account voice at Cekura · episode e2""",
        level=WARNING,
    )


def test_what_is_stale_says_so_among_others_too() -> None:
    body = composed(*[fact(view=credits_(212, LATER))] * 2, now=LATER).body
    assert body.startswith("WARNING voice: unknown credits left, last read 12:00 UTC\n")
    body = composed(*[fact(view=credits_(212, LATER))] * 9, now=LATER).body
    assert body.startswith("WARNING voice: unknown credits left, last read 12:00 UTC [e1]\n")


def test_eight_are_told_in_full() -> None:
    message = composed(*many(8))
    assert message.title == "4 WARNING, 4 CRITICAL: voice, growth, dialogue"
    assert message.body.count("\n\n") == 7
    assert message.body.count("Refill: ") == 8


def test_nine_are_a_digest_by_account() -> None:
    assert said(*many(9)) == Said(
        title="5 WARNING, 4 CRITICAL: voice, growth, dialogue",
        body="""\
WARNING dialogue: 2 credits left [e2]
CRITICAL dialogue: 5 credits left [e5]
WARNING dialogue: 8 credits left [e8]
CRITICAL growth: 1 credits left [e1] · may be a repeat: it is not known whether an earlier try arrived
WARNING growth: 4 credits left [e4]
CRITICAL growth: 7 credits left [e7]
WARNING voice: 0 credits left [e0]
CRITICAL voice: 3 credits left [e3]
WARNING voice: 6 credits left [e6]""",
        level=CRITICAL,
    )


def test_a_digest_says_of_what_is_over_that_it_was() -> None:
    """The reader of a digest may never have been told that the episode began."""
    over = fact(Told.PASSED, ENDED, view=credits_(9_000))
    assert "PASSED voice: 9,000 credits left, was critical from 12:00 UTC to 12:04 UTC (worst 90): the condition" in (
        composed(*many(8), over).body
    )


@pytest.mark.parametrize(
    ("remaining", "title"),
    [
        pytest.param(501, "RESOLVED voice: 501 credits left", id="fine"),
        pytest.param(499, "RESOLVED voice: 499 credits left, warning again", id="a warning"),
        pytest.param(90, "RESOLVED voice: 90 credits left, critical again", id="critical"),
        pytest.param(UNKNOWN, "RESOLVED voice: unknown credits left", id="nobody knows"),
    ],
)
def test_what_is_over_and_bad_anew_says_so(remaining: int | Value, title: str) -> None:
    assert composed(fact(Told.RESOLVED, ENDED, rule=rule(), view=credits_(remaining))).title == title


@pytest.mark.parametrize(
    ("told_after", "course"),
    [
        pytest.param(0, "(worst 90): topped up by 8,910", id="at once"),
        pytest.param(1, "(worst 90): topped up", id="once more was read, what is left now is no measure of it"),
    ],
)
def test_the_size_of_a_top_up(told_after: int, course: str) -> None:
    line = fact(Told.RESOLVED, replace(ENDED, end=Reason.TOPPED_UP)).line
    read_at = line.change.at + timedelta(minutes=told_after)
    left = view(reading(as_of=read_at, remaining=9_000), NOW, STALE_AFTER)
    body = composed(Fact(line=line, account=BARE, rule=None, view=left)).body
    assert body.split("\n")[1] == f"Was critical from 12:00 UTC to 12:04 UTC {course}"


def test_a_title_names_three_accounts() -> None:
    message = composed(*[fact(Told.PASSED, ENDED, account=account(f"a{each}")) for each in range(5)])
    assert (message.title, message.level) == ("5 PASSED: a0, a1, a2 and 2 more", None)


# --- values in words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(Decimal("36462.14"), "36,462.14", id="thousands"),
        pytest.param(Decimal("1.10"), "1.10", id="money keeps its noughts"),
        pytest.param(Decimal("1.00009"), "1", id="cut at four decimals, without noughts"),
        pytest.param(Decimal("14.87216"), "14.8721", id="cut and not rounded"),
        pytest.param(Decimal("0.00001"), "0", id="tiny"),
        pytest.param(Decimal("-0.00001"), "0", id="tiny below zero is no minus nought"),
        pytest.param(Decimal("-0.00"), "0.00", id="minus nought"),
        pytest.param(Decimal("-1234.5"), "-1,234.5", id="below zero"),
        pytest.param(Decimal("1E+3"), "1,000", id="an exponent"),
        pytest.param(Decimal("0E+3"), "0", id="nought with an exponent"),
        pytest.param(Decimal("1E+30"), "1" + ",000" * 10, id="huge"),
        pytest.param(Decimal(10**15) + Decimal("0.00001"), "1,000,000,000,000,000.00001", id="huge and exact"),
        pytest.param(Decimal("123456789012345678901234567890.12"), "123,456,789,012,345,678,901,234,567,890.12",
                     id="more digits than a context keeps"),
        pytest.param(True, "yes", id="true"),
        pytest.param(False, "no", id="false"),
        pytest.param(UNKNOWN, "unknown", id="unknown"),
        pytest.param(UNLIMITED, "unlimited", id="unlimited"),
        pytest.param("past_due", "past_due", id="text"),
        pytest.param("<b>", "‹b›", id="text is made harmless"),
    ],
)  # fmt: skip
def test_a_value_in_words(value: Value, words: str) -> None:
    assert show(value) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ("4.96", "4.9 %"),
        ("4.999999", "4.9 %"),
        ("5", "5.0 %"),
        ("0.04", "0.0 %"),
        ("-0.04", "0.0 %"),
        ("-3.19", "-3.1 %"),
        ("100.4", "100.4 %"),
        ("123456.78", "123,456.7 %"),
        ("1E+15", "a huge share"),
    ],
)
def test_a_share_in_words(share: str, words: str) -> None:
    assert show_percent(Decimal(share)) == words


def test_nothing_below_the_threshold_is_shown_as_the_threshold() -> None:
    assert describe(credits_("4.96", granted=100), UTC, NOW) == "4.96 credits left (4.9 %)"


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda one: abs(one.adjusted()) < 40))
def test_any_number_is_shown_and_never_larger_than_it_is(number: Decimal) -> None:
    shown = Decimal(show(number).replace(",", ""))
    assert abs(shown) <= abs(number)
    assert abs(number - shown) < Decimal("0.0001")
    assert show_percent(number)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


FAR_EAST, FAR_WEST = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("at", "zone", "now", "words"),
    [
        pytest.param(utc(2026, 1, 3, 13, 5), BERLIN, utc(2026, 1, 3, 20), "14:05 CET", id="today"),
        pytest.param(utc(2026, 1, 3, 13, 5), BERLIN, utc(2026, 1, 4), "3 Jan 2026 14:05 CET", id="another day"),
        pytest.param(utc(2026, 1, 3, 23, 5), BERLIN, utc(2026, 1, 4, 1), "00:05 CET", id="today where the reader is"),
        pytest.param(utc(2026, 1, 3, 22, 59), BERLIN, utc(2026, 1, 3, 23), "3 Jan 2026 23:59 CET", id="her yesterday"),
        pytest.param(utc(2026, 3, 29, 0, 59), BERLIN, utc(2026, 3, 29), "01:59 CET", id="before the gap"),
        pytest.param(utc(2026, 3, 29, 1), BERLIN, utc(2026, 3, 29), "03:00 CEST", id="after the gap"),
        pytest.param(utc(2026, 10, 25, 0, 30), BERLIN, utc(2026, 10, 25), "02:30 CEST", id="the hour that comes twice"),
        pytest.param(utc(2026, 10, 25, 1, 30), BERLIN, utc(2026, 10, 25), "02:30 CET", id="its second time"),
        pytest.param(
            utc(2026, 10, 24, 22), BERLIN, utc(2026, 10, 25, 22, 59), "00:00 CEST", id="a day of twenty-five hours"
        ),
        pytest.param(utc(2028, 2, 29, 12), UTC, NOON, "29 Feb 2028 12:00 UTC", id="a leap day"),
        pytest.param(utc(9999, 12, 31, 23, 59), FAR_EAST, NOON, "31 Dec 9999 23:59 UTC", id="a vendor's never"),
        pytest.param(utc(9999, 12, 31, 23, 59), BERLIN, NOON, "31 Dec 9999 23:59 UTC", id="never, in Berlin"),
        pytest.param(utc(1, 1, 1), FAR_WEST, NOON, "1 Jan 1 00:00 UTC", id="the first day of all"),
    ],
)
def test_a_moment_in_words(at: datetime, zone: ZoneInfo, now: datetime, words: str) -> None:
    assert moment(at, zone, now) == words


def blind(id_: str, name: str) -> Fact:
    of = episode(id_, rule="blind")
    return fact(of=of, account=account(name), view=seen("connection", Kind.CONNECTION, failures=3, cause="unreachable"))


def test_accounts_that_went_blind_together_are_one_line() -> None:
    assert said(blind("e1", "voice"), blind("e2", "growth")) == Said(
        title="WARNING 2 accounts can't be polled: is it this host's network?",
        body="""\
WARNING 2 accounts can't be polled: is it this host's network?
Episodes: voice e1, growth e2""",
        level=WARNING,
    )


def test_one_blind_account_is_told_as_any_other() -> None:
    assert composed(blind("e1", "voice")).title == "WARNING voice: polls fail, unreachable (3 times in a row)"


def test_blind_accounts_stand_together_among_others() -> None:
    message = composed(blind("e1", "voice"), fact(view=credits_()), blind("e2", "growth"))
    assert message.title == "3 WARNING: voice, growth"
    assert [block.partition("\n")[0] for block in message.body.split("\n\n")] == [
        "WARNING 2 accounts can't be polled: is it this host's network?",
        "WARNING voice: 212 credits left, as of 12:00 UTC",
    ]
