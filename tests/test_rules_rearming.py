"""What makes an episode begin anew, by kind: a top-up, a period, a renewal, a currency; and what is only noted."""

from datetime import timedelta
from decimal import Decimal

import pytest

from budgetd_rules.evaluation import Observation, evaluate
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind, Reason, Watch, WatchKey
from budgetd_rules.meters import Reading, view
from budgetd_rules.rule import Rule, Steps
from budgetd_rules.watches import step
from build import NOON, STALE_AFTER, minutes, reading, rule

DAY = timedelta(days=1)
SPEND = rule("spend", kind=Kind.SPEND, warning="amount > 100", critical=None)


def changes(one: Rule, *readings: Reading) -> list[Change]:
    watch = Watch(key=WatchKey(one.name, *readings[0].key))
    found: list[Change] = []
    for read in readings:
        seen = view(read, read.as_of, STALE_AFTER)
        taken = step(watch, Observation(one, evaluate(one, seen, {}), seen, read.as_of, STALE_AFTER))
        watch = taken.watch
        found += taken.changes
    return found


def brief(found: list[Change]) -> list[tuple[str, str]]:
    return [(f"{one.kind}{' unsaid' if one.unsaid else ''}", one.reason) for one in found]


def test_a_top_up_is_called_so() -> None:
    found = changes(rule(), reading(remaining=90), reading(as_of=minutes(5), remaining=9000))
    assert brief(found)[1:] == [("resolved", Reason.TOPPED_UP)]


def spent(at: float, amount: int, end: float, currency: str = "USD") -> Reading:
    """`at` and `end` in days."""
    return reading(
        "api",
        Kind.SPEND,
        as_of=NOON + at * DAY,
        amount=amount,
        currency=currency,
        period_end=NOON + end * DAY,
    )


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param(
            [spent(31, 3, 60), spent(31.1, 4, 60)],
            [("resolved", Reason.ROLLED_OVER)],
            id="a new month starts at nothing",
        ),
        pytest.param(
            [spent(31, 0, 60), spent(31.1, 200, 60)],
            [("resolved unsaid", Reason.ROLLED_OVER), ("opened", Reason.AGAIN_IN_NEW_WINDOW)],
            id="over again in the new month",
        ),
        pytest.param([spent(1, 50, 30, "EUR")], [("resolved", Reason.CURRENCY_CHANGED)], id="another currency ends it"),
        pytest.param(
            [spent(1, 150, 30, "EUR")],
            [("resolved unsaid", Reason.CURRENCY_CHANGED), ("opened", Reason.CURRENCY_CHANGED)],
            id="another currency, and bad in that",
        ),
    ],
)
def test_spend(readings: list[Reading], expected: list[tuple[str, str]]) -> None:
    opened = [("opened", Reason.CONDITION_TRUE)]
    assert brief(changes(SPEND, spent(0, 150, 30), *readings)) == opened + expected


def subscription(at: float, end: float) -> Reading:
    return reading("plan", Kind.SUBSCRIPTION, as_of=NOON + at * DAY, expires_at=NOON + end * DAY)


def test_an_early_renewal_arms_the_steps_again() -> None:
    """Monthly, and watched from 30 days on: it never resolves, and is reminded of in every month."""
    steps = Steps(each="days_until_expiry", steps=tuple(map(Decimal, (30, 14, 7))))
    one = rule("ends", kind=Kind.SUBSCRIPTION, warning="days_until_expiry <= 30", critical=None, remind=steps)
    course = [(0, 30), (17, 30), (24, 30), (25, 55), (25.1, 55), (42, 55)]
    found = changes(one, *(subscription(at, end) for at, end in course))
    assert [(change.kind, (change.at - NOON) / DAY) for change in found] == [
        (ChangeKind.OPENED, 0),
        (ChangeKind.REMINDED, 17),
        (ChangeKind.REMINDED, 24),
        (ChangeKind.REMINDED, 42),
    ]


def test_a_renewal_after_the_end_resolves() -> None:
    one = rule("ends", kind=Kind.SUBSCRIPTION, warning="days_until_expiry <= 3", critical=None)
    found = changes(one, *(subscription(at, end) for at, end in [(0, 2), (3, 2), (4, 32), (4.1, 32)]))
    assert brief(found) == [("opened", Reason.CONDITION_TRUE), ("resolved", Reason.ROLLED_OVER)]


# --- `on_change`

NOTING = rule("plan", kind=Kind.SUBSCRIPTION, warning=None, critical=None, on_change=("plan", "status"))


def plan(at: float, **fields: str) -> Reading:
    return reading("plan", Kind.SUBSCRIPTION, as_of=minutes(at), fields=fields)


@pytest.mark.parametrize(
    ("readings", "noted"),
    [
        pytest.param([plan(0, plan="Pro")], [], id="the first known value is the baseline"),
        pytest.param([plan(0, plan="Pro"), plan(5, plan="Pro")], [], id="the same is no change"),
        pytest.param(
            [plan(0, plan="Pro"), plan(5, plan="Free")], [("plan", "Pro", "Free")], id="another is noted once"
        ),
        pytest.param(
            [plan(0, plan="Pro"), plan(5), plan(9, plan="Free"), plan(12, plan="Free")],
            [("plan", "Pro", "Free")],
            id="unknown in between is skipped",
        ),
        pytest.param([plan(0, plan="Pro"), plan(5), plan(9, plan="Pro")], [], id="unknown and the same again"),
        pytest.param(
            [plan(0, plan="Pro"), plan(5, plan="Pro", status="active")], [], id="what is first said later is a baseline"
        ),
    ],
)
def test_on_change(readings: list[Reading], noted: list[tuple[str, str, str]]) -> None:
    found = changes(NOTING, *readings)
    assert {change.kind for change in found} <= {ChangeKind.NOTED}
    assert [(name, one.before[name], value) for one in found for name, value in one.values.items()] == noted


def test_a_rule_may_note_and_watch() -> None:
    one = rule("caps", kind=Kind.CAP, warning="value < 5", critical=None, on_change=("value",))
    caps = [reading("cap/agents", Kind.CAP, as_of=minutes(at), value=value) for at, value in [(0, 20), (5, 4)]]
    assert [change.kind for change in changes(one, *caps)] == [ChangeKind.OPENED, ChangeKind.NOTED]
