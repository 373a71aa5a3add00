"""Explanations: every gate with its answer, what judging now would change, and who would hear of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from budgetd_rules.explanation import Explanation, Known, explain
from budgetd_rules.gates import Answer, Condition, Gate
from budgetd_rules.holds import Hold, HoldKind, Holds
from budgetd_rules.judgement import Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind, Reason, Watch, WatchKey
from budgetd_rules.meters import Account, Reading
from budgetd_rules.notices import Audience
from budgetd_rules.own_account import NEVER_STALE
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Clockwork, Level, Rule, Selector, Steps
from budgetd_rules.values import UNKNOWN
from build import NOON, account, minutes, reading, rule, viewed

OPS_ONLY = Routing(routes=(), group_wait={"ops": timedelta(0)})
KEY = WatchKey("low-credits", "voice", "credits")
TEN = timedelta(minutes=10)


def remember(asked: Rule, course: Sequence[Reading], routing: Routing = OPS_ONLY) -> Known:
    """What the service would have stored after these readings of one meter, each judged when it came."""
    ruleset = Ruleset([asked], [account()])
    watches: dict[WatchKey, Watch] = {}
    owed: dict[str, tuple[str, ...]] = {}
    for one in course:
        views = {"voice": {one.key.meter: viewed(one)}}
        judgement = judge(ruleset, routing, views, watches, one.as_of, Audience(owed=owed))
        watches |= {watch.key: watch for watch in judgement.watches}
        episodes = {change.id: change.episode for change in judgement.changes}
        for notice in judgement.notices:
            episode = episodes[notice.change] or ""
            owed[episode] = (*owed.get(episode, ()), notice.channel)
    return Known(watches=watches, audience=Audience(owed=owed))


def ask(
    asked: Rule,
    course: Sequence[Reading],
    now: datetime | None = None,
    *,
    routing: Routing = OPS_ONLY,
    holds: Sequence[Hold] = (),
    of: Account | None = None,
) -> Explanation:
    """All readings but the last are judged; the last is what there is now."""
    *past, last = course
    now = now or last.as_of
    known = replace(
        remember(asked, past, routing),
        views={last.key.meter: viewed(last, now)},
        holds=Holds.at(now, holds, {"voice": of or account()}),
    )
    ruleset = Ruleset([asked], [of or account()])
    (explained,) = explain(ruleset, routing, asked.name, "voice", {last.key.meter: last.kind}, known, now)
    return explained


def credits_at(*course: tuple[float, int | None]) -> list[Reading]:
    return [
        reading(as_of=minutes(at), granted=1000) if left is None else reading(as_of=minutes(at), remaining=left)
        for at, left in course
    ]


def gate(explained: Explanation, name: str, level: Level | None = None) -> Gate:
    (found,) = [one for one in explained.gates if (one.name, one.level) == (name, level)]
    return found


def names(explained: Explanation) -> list[str]:
    return [f"{one.name} {one.level.label}" if one.level is not None else one.name for one in explained.gates]


# --- is it watched


@pytest.mark.parametrize(
    ("on", "kept_out_by"),
    [
        pytest.param(Selector(), [], id="everything is watched"),
        pytest.param(Selector(kinds=frozenset({Kind.BALANCE, Kind.QUOTA})), [], id="one of the kinds"),
        pytest.param(Selector(kinds=frozenset({Kind.QUOTA})), ["kind"], id="another kind"),
        pytest.param(Selector(meter="cred*"), [], id="the meter by a pattern"),
        pytest.param(Selector(meter="turns"), ["meter"], id="another meter"),
        pytest.param(Selector(account="growth"), ["account"], id="another account"),
        pytest.param(Selector(provider="cargo"), ["provider"], id="another provider"),
        pytest.param(Selector(labels={"team": "v*"}), [], id="the label"),
        pytest.param(Selector(labels={"team": "growth"}), ["labels.team"], id="another label"),
        pytest.param(
            Selector(meter="turns", labels={"team": "voice", "region": "eu"}),
            ["meter", "labels.region"],
            id="several parts, one a label that the account has not",
        ),
    ],
)
def test_the_part_of_the_selector_that_keeps_a_meter_out(on: Selector, kept_out_by: list[str]) -> None:
    explained = ask(rule(on=on), credits_at((0, 400)), of=account(team="voice"))
    selector = gate(explained, "selector")
    assert [part.name for part in selector.parts if part.answer is Answer.NO] == kept_out_by
    assert explained.is_watched == (not kept_out_by) == (selector.answer is Answer.YES)
    if kept_out_by:
        assert selector.reason == f"kept out by {', '.join(kept_out_by)}"
        assert names(explained) == ["selector", "fields"]
        assert explained.routed == ()


def test_a_kind_without_a_field_that_the_rule_reads_is_kept_out() -> None:
    asked = rule(on=Selector(), warning="used_percent > 80 and overage > 0", critical=None)
    explained = ask(asked, [reading("cap/calls", Kind.CAP, value=5)])
    assert not explained.is_watched
    assert gate(explained, "selector").answer is Answer.YES
    fields = gate(explained, "fields")
    assert (fields.answer, fields.reason) == (Answer.NO, "the kind cap has no overage, used_percent")


# --- conditions


def tree(condition: Condition) -> dict[str, object]:
    """text -> result, of the condition and all its parts."""
    found: dict[str, object] = {condition.text: condition.result}
    for part in condition.parts:
        found |= tree(part)
    return found


@pytest.mark.parametrize(
    ("text", "results"),
    [
        pytest.param("remaining < 500", {"remaining < 500": True}, id="a comparison has no parts"),
        pytest.param(
            "remaining < 5 or runway_days < 2 and auto_topup",
            {
                "remaining < 5 or runway_days < 2 and auto_topup": UNKNOWN,
                "remaining < 5": False,
                "runway_days < 2 and auto_topup": UNKNOWN,
                "runway_days < 2": UNKNOWN,
            },
            id="each comparison of an or and an and",
        ),
        pytest.param(
            "not (remaining > 500)", {"not (remaining > 500)": True, "remaining > 500": False}, id="under a not"
        ),
        pytest.param(
            "remaining / granted < 0.1",
            {"remaining / granted < 0.1": False, "remaining / granted": Decimal("0.4")},
            id="what was computed",
        ),
        pytest.param("100 < remaining < 500", {"100 < remaining < 500": True}, id="a chain is one"),
        pytest.param('currency in ["EUR"]', {'currency in ["EUR"]': UNKNOWN}, id="a list"),
    ],
)
def test_a_condition_is_shown_with_its_parts(text: str, results: dict[str, object]) -> None:
    explained = ask(rule(warning=text, critical=None), [reading(remaining=400, granted=1000)])
    condition = gate(explained, "condition", Level.WARNING).condition
    assert condition is not None
    assert tree(condition) == results


def test_a_condition_is_shown_with_the_values_that_it_reads() -> None:
    asked = rule(warning="remaining < 500 and turns.used_percent > 80", critical=None)
    condition = gate(ask(asked, credits_at((0, 400))), "condition", Level.WARNING).condition
    assert condition is not None
    assert condition.values == {"remaining": 400, "turns.used_percent": UNKNOWN}
    assert [part.values for part in condition.parts] == [{"remaining": 400}, {"turns.used_percent": UNKNOWN}]


# --- every gate

SLOW = rule(sustain={Level.WARNING: TEN}, critical=None)
BANDED = rule(clear="remaining > 600")
HOURLY = rule(remind=Clockwork(every=timedelta(hours=1)))
STEPPED = rule(remind=Steps(each="remaining", steps=(Decimal(500), Decimal(200), Decimal(50))), critical=None)
NOTING = rule(warning=None, critical=None, on_change=("remaining",))


@pytest.mark.parametrize(
    ("asked", "course", "now", "name", "answer", "reason"),
    [
        pytest.param(
            rule(), [(0, 400)], 30, "stale", Answer.NO, "the reading still counts", id="a reading that is fresh"
        ),
        pytest.param(
            rule(),
            [(0, 400)],
            61,
            "stale",
            Answer.YES,
            "what was measured is unknown until the next reading",
            id="a reading that is stale",
        ),
        pytest.param(
            rule(),
            [(0, 400)],
            61,
            "condition warning",
            Answer.UNKNOWN,
            "nobody knows remaining",
            id="a condition on what is stale",
        ),
        pytest.param(
            rule(unless="granted > 5"),
            [(0, None)],
            0,
            "unless",
            Answer.YES,
            "no level counts",
            id="an unless that is true",
        ),
        pytest.param(
            rule(unless="granted > 5"),
            [(0, None)],
            0,
            "condition warning",
            Answer.NO,
            "not counted: `unless` is true",
            id="a level that is excused",
        ),
        pytest.param(
            rule(unless="auto_topup"),
            [(0, 400)],
            0,
            "unless",
            Answer.UNKNOWN,
            "it excuses only while it is definitely true",
            id="an unless that nobody knows",
        ),
        pytest.param(
            SLOW,
            [(0, 400)],
            0,
            "for warning",
            Answer.WAITING,
            "one reading so far; a second one has to say so",
            id="for: one reading",
        ),
        pytest.param(
            SLOW,
            [(0, 400), (5, 400)],
            5,
            "for warning",
            Answer.WAITING,
            "not for long enough yet",
            id="for: not long enough",
        ),
        pytest.param(
            SLOW,
            [(0, 400), (5, None)],
            5,
            "for warning",
            Answer.WAITING,
            "unknown now, which neither counts nor starts anew",
            id="for: unknown in between",
        ),
        pytest.param(
            SLOW, [(0, 400), (10, 400)], 10, "for warning", Answer.YES, "true for long enough", id="for: long enough"
        ),
        pytest.param(
            SLOW,
            [(0, 400), (65, 400)],
            65,
            "for warning",
            Answer.WAITING,
            "one reading so far; a second one has to say so",
            id="for: a gap starts anew",
        ),
        pytest.param(
            SLOW, [(0, 900)], 0, "for warning", Answer.NOT_ASKED, "the condition is not true", id="for: not true"
        ),
        pytest.param(
            SLOW,
            [(0, 400), (10, 400), (15, 400)],
            15,
            "for warning",
            Answer.NOT_ASKED,
            "the level is told already",
            id="for: told",
        ),
        pytest.param(
            BANDED, [(0, 900)], 0, "clear warning", Answer.NOT_ASKED, "no episode is open", id="clear: nothing is open"
        ),
        pytest.param(
            BANDED, [(0, 400), (5, 550)], 5, "clear warning", Answer.NO, "as `clear` says", id="clear: in the band"
        ),
        pytest.param(
            BANDED,
            [(0, 400), (5, 550)],
            5,
            "clear critical",
            Answer.NOT_ASKED,
            "the level was never told",
            id="clear: of a level that was not told",
        ),
        pytest.param(
            rule(),
            [(0, 400), (5, 900)],
            5,
            "clear warning",
            Answer.YES,
            "without a `clear`, false is what ends it",
            id="clear: the rule has none",
        ),
        pytest.param(
            rule(),
            [(0, 50), (5, 400)],
            5,
            "ease_for",
            Answer.WAITING,
            "one reading so far; a second one has to say so",
            id="ease: once",
        ),
        pytest.param(
            rule(),
            [(0, 50), (5, 400), (35, 400)],
            35,
            "ease_for",
            Answer.WAITING,
            "not for long enough yet",
            id="ease: not long enough",
        ),
        pytest.param(
            rule(),
            [(0, 50), (5, 400), (35, 400), (65, 400)],
            65,
            "ease_for",
            Answer.YES,
            "better for long enough",
            id="ease: now",
        ),
        pytest.param(
            rule(),
            [(0, 50), (5, 60)],
            5,
            "ease_for",
            Answer.NOT_ASKED,
            "it has not definitely left critical",
            id="ease: not better",
        ),
        pytest.param(
            HOURLY, [(0, 900)], 0, "remind", Answer.NOT_ASKED, "no episode is open", id="remind: nothing is open"
        ),
        pytest.param(
            HOURLY, [(0, 400), (5, 400)], 5, "remind", Answer.WAITING, "0 sent so far", id="remind: by the clock"
        ),
        pytest.param(
            HOURLY, [(0, 400), (60, 400)], 60, "remind", Answer.YES, "1 sent so far", id="remind: the clock says now"
        ),
        pytest.param(
            STEPPED,
            [(0, 400), (5, 300)],
            5,
            "remind",
            Answer.WAITING,
            "remaining: 500 told, 200 is next",
            id="remind: by steps",
        ),
        pytest.param(
            STEPPED,
            [(0, 400), (5, 40)],
            5,
            "remind",
            Answer.YES,
            "remaining: 500, 200, 50 told, none is left",
            id="remind: the last step",
        ),
        pytest.param(
            STEPPED,
            [(0, 40), (5, 40)],
            5,
            "remind",
            Answer.NO,
            "remaining: 500, 200, 50 told, none is left",
            id="remind: no step is left",
        ),
        pytest.param(
            NOTING, [(0, 400)], 0, "on_change", Answer.NO, "remaining 400: the first known value", id="noted: first"
        ),
        pytest.param(
            NOTING, [(0, 400), (5, 400)], 5, "on_change", Answer.NO, "remaining 400: as before", id="noted: the same"
        ),
        pytest.param(
            NOTING,
            [(0, 400), (5, None)],
            5,
            "on_change",
            Answer.UNKNOWN,
            "remaining is unknown, which is skipped",
            id="noted: unknown",
        ),
        pytest.param(
            NOTING,
            [(0, 400), (5, 300)],
            5,
            "on_change",
            Answer.YES,
            "remaining 400 before, 300 now",
            id="noted: another",
        ),
    ],
)
def test_a_gate_answers(
    asked: Rule, course: list[tuple[float, int | None]], now: float, name: str, answer: Answer, reason: str
) -> None:
    explained = ask(asked, credits_at(*course), minutes(now))
    found = next(one for one, called in zip(explained.gates, names(explained), strict=True) if called == name)
    assert (found.answer, found.reason) == (answer, reason)


def test_what_budgetd_knows_of_itself_names_no_time_at_which_it_is_stale() -> None:
    stale = ask(rule(), credits_at((0, 400)), of=replace(account(), stale_after=NEVER_STALE)).gates[2]
    assert (stale.name, stale.answer, stale.needs, stale.until) == ("stale", Answer.NO, None, None)


def test_the_gates_stand_in_the_order_of_judging() -> None:
    asked = rule(
        unless="auto_topup",
        sustain={Level.CRITICAL: TEN},
        clear="remaining > 600",
        remind=Clockwork(every=timedelta(hours=1)),
        on_change=("granted",),
    )
    assert names(ask(asked, credits_at((0, 400), (5, 400)))) == [
        "selector",
        "fields",
        "stale",
        "unless",
        "condition warning",
        "condition critical",
        "for critical",
        "clear warning",
        "clear critical",
        "remind",
        "on_change",
        "ack",
        "silence",
    ]


@pytest.mark.parametrize(
    ("asked", "course", "name", "since", "until"),
    [
        pytest.param(rule(), [(0, 400)], "stale", 0, 60, id="when it will be stale"),
        pytest.param(SLOW, [(0, 400), (5, 400)], "for warning", 0, 10, id="how long `for` still takes"),
        pytest.param(SLOW, [(0, 400), (10, 400)], "for warning", 0, None, id="since when it was true"),
        pytest.param(rule(), [(0, 50), (5, 400), (9, 400)], "ease_for", 5, 65, id="how long easing still takes"),
        pytest.param(HOURLY, [(0, 400), (5, 400)], "remind", 0, 60, id="when the next reminder is due"),
        pytest.param(HOURLY, [(0, 400), (60, 400)], "remind", 60, 120, id="when the one after it is due"),
    ],
)
def test_a_gate_says_since_when_and_until_when(
    asked: Rule, course: list[tuple[float, int | None]], name: str, since: float, until: float | None
) -> None:
    explained = ask(asked, credits_at(*course))
    found = next(one for one, called in zip(explained.gates, names(explained), strict=True) if called == name)
    assert found.since == minutes(since)
    assert found.until == (minutes(until) if until is not None else None)


def test_holds_are_shown_with_who_and_why() -> None:
    course = credits_at((0, 400), (5, 400))
    opened = ask(rule(), course).before
    assert opened is not None
    assert opened.episode is not None
    ack = Hold(id="a1", kind=HoldKind.ACK, from_at=NOON, episode=opened.episode.id, by="ann", comment="on it")
    silence = Hold(id="s1", kind=HoldKind.SILENCE, from_at=NOON, until_at=minutes(90), account="voice")
    explained = ask(rule(), course, holds=[ack, silence])
    acked, silenced = gate(explained, "ack"), gate(explained, "silence")
    assert (acked.answer, acked.reason, acked.until) == (Answer.YES, "a1 by ann: on it", None)
    assert (silenced.answer, silenced.reason, silenced.until) == (Answer.YES, "s1", minutes(90))


def test_without_holds_both_are_said_to_be_none() -> None:
    explained = ask(rule(), credits_at((0, 400)))
    assert [(gate(explained, name).answer, gate(explained, name).reason) for name in ("ack", "silence")] == [
        (Answer.NO, "none"),
        (Answer.NO, "none"),
    ]


# --- what would happen now


@pytest.mark.parametrize(
    ("asked", "course", "now", "reason", "changes"),
    [
        pytest.param(rule(), [(0, 900)], 0, Reason.FINE, [], id="fine"),
        pytest.param(rule(), [(0, 400)], 0, Reason.CONDITION_TRUE, ["opened"], id="it would open"),
        pytest.param(rule(), [(0, 400)], 61, Reason.NOT_KNOWN, [], id="unknown does not open"),
        pytest.param(rule(), [(0, 400), (5, 400)], 5, Reason.STILL_OPEN, [], id="told already"),
        pytest.param(rule(), [(0, 400), (5, 50)], 5, Reason.WORSE_LEVEL, ["worsened"], id="it would worsen"),
        pytest.param(rule(), [(0, 400), (5, 900)], 5, Reason.TOPPED_UP, ["resolved"], id="it would resolve"),
        pytest.param(SLOW, [(0, 400), (5, 400)], 5, Reason.NOT_LONG_ENOUGH, [], id="it waits"),
        pytest.param(BANDED, [(0, 400), (5, 550)], 5, Reason.IN_THE_BAND, [], id="in the band"),
    ],
)
def test_what_judging_now_would_do(
    asked: Rule, course: list[tuple[float, int | None]], now: float, reason: Reason, changes: list[str]
) -> None:
    explained = ask(asked, credits_at(*course), minutes(now))
    assert explained.reason is reason
    assert [routed.change.kind for routed in explained.routed if routed.is_now] == changes


def test_when_the_clock_alone_can_change_something() -> None:
    waiting = ask(SLOW, credits_at((0, 400), (5, 400))).after
    assert waiting is not None
    assert waiting.wake_at == minutes(10)


def test_a_meter_that_is_gone_is_forgotten_now() -> None:
    known = remember(rule(), credits_at((0, 400)))
    ruleset = Ruleset([rule()], [account()])
    (explained,) = explain(ruleset, OPS_ONLY, "low-credits", "voice", {"credits": Kind.BALANCE}, known, minutes(5))
    assert (explained.reason, explained.view, explained.after) == (Reason.GONE, None, None)
    assert [(one.change.kind, one.channels) for one in explained.routed if one.is_now] == [
        (ChangeKind.RESOLVED, ("ops",))
    ]


def test_a_meter_that_the_rule_watches_no_more_is_parked_now() -> None:
    known = remember(rule(), credits_at((0, 400)))
    now_of_others = rule(on=Selector(account="growth"))
    seen = replace(known, views={"credits": viewed(reading(remaining=400))})
    ruleset = Ruleset([now_of_others], [account()])
    (explained,) = explain(ruleset, OPS_ONLY, "low-credits", "voice", {"credits": Kind.BALANCE}, seen, minutes(5))
    assert (explained.is_watched, explained.reason) == (False, Reason.PARKED)
    assert explained.after is not None
    assert explained.after.parked_at == minutes(5)


def test_without_a_store_only_what_the_config_says_is_answered() -> None:
    ruleset = Ruleset([rule()], [account()])
    (explained,) = explain(ruleset, OPS_ONLY, "low-credits", "voice", {"credits": Kind.BALANCE}, Known(), NOON)
    assert names(explained) == ["selector", "fields", "ack", "silence"]
    assert (explained.reason, explained.before, explained.after) == (None, None, None)
    assert [(one.change.kind, one.channels) for one in explained.routed] == [
        (ChangeKind.OPENED, ("ops",)),
        (ChangeKind.OPENED, ("ops",)),
    ]


# --- who hears of it

WAITS = {"ops": timedelta(0), "finance": timedelta(0)}
CRITICAL = Route(channels=("ops", "finance"), levels=frozenset({Level.CRITICAL}))
LATER = Route(channels=("finance",))


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        pytest.param((), {"warning": ((), ("ops", "finance")), "critical": ((), ("ops", "finance"))}, id="no routes"),
        pytest.param((CRITICAL,), {"warning": ((), ()), "critical": ((1,), ("ops", "finance"))}, id="unrouted"),
        pytest.param(
            (CRITICAL, LATER),
            {"warning": ((2,), ("finance",)), "critical": ((1,), ("ops", "finance"))},
            id="the first that matches",
        ),
        pytest.param(
            (Route(channels=("ops",), goes_on=True), Route(channels=("ops",), account="growth"), LATER),
            {"warning": ((1, 3), ("ops", "finance")), "critical": ((1, 3), ("ops", "finance"))},
            id="on to the next",
        ),
    ],
)
def test_the_routes_that_would_take_an_opening(
    routes: tuple[Route, ...], told: dict[str, tuple[tuple[int, ...], tuple[str, ...]]]
) -> None:
    explained = ask(rule(), credits_at((0, 900)), routing=Routing(routes=routes, group_wait=WAITS))
    found = {one.change.new.label: (one.entries, one.channels) for one in explained.routed if one.change.new}
    assert found == told


@pytest.mark.parametrize(
    ("asked", "course", "routed"),
    [
        pytest.param(
            rule(),
            [(0, 900)],
            [("opened", "warning", False, ("finance",)), ("opened", "critical", False, ("ops", "finance"))],
            id="quiet",
        ),
        pytest.param(
            HOURLY,
            [(0, 400), (5, 400)],
            [
                ("worsened", "critical", False, ("ops", "finance")),
                ("reminded", "warning", False, ("finance",)),
                ("resolved", None, False, ("finance",)),
            ],
            id="open: worse, again, over",
        ),
        pytest.param(
            rule(),
            [(0, 50)],
            [("opened", "critical", True, ("ops", "finance")), ("resolved", None, False, ("ops", "finance"))],
            id="opening now: its end goes to whom that goes",
        ),
        pytest.param(
            rule(),
            [(0, 50), (5, 400), (35, 400), (65, 400)],
            [
                ("eased", "warning", True, ()),
                ("worsened", "critical", False, ("ops", "finance")),
                ("resolved", None, False, ("ops", "finance")),
            ],
            id="an ease is told to nobody",
        ),
        pytest.param(
            NOTING,
            [(0, 400), (5, 300)],
            [("noted", "info", True, ("finance",)), ("noted", "info", False, ("finance",))],
            id="noted",
        ),
    ],
)
def test_where_what_happens_now_and_next_goes(
    asked: Rule, course: list[tuple[float, int | None]], routed: list[tuple[str, str | None, bool, tuple[str, ...]]]
) -> None:
    routing = Routing(routes=(CRITICAL, LATER), group_wait=WAITS)
    explained = ask(asked, credits_at(*course), routing=routing)
    assert [
        (one.change.kind, one.change.new.label if one.change.new is not None else None, one.is_now, one.channels)
        for one in explained.routed
    ] == routed
