"""A whole batch: which watches step, what is owed to whom, and what becomes of what left."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.judgement import Judgement, Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind, Reason, Watch, WatchKey
from budgetd_rules.meters import Account, MeterKey, Reading, View, view
from budgetd_rules.notices import Audience, Notice, owe
from budgetd_rules.routing import Route, Routing
from budgetd_rules.rule import Clockwork, Level, Rule, Selector
from build import NOON, STALE_AFTER, account, change, minutes, reading, rule

WARNING, CRITICAL = Level.WARNING, Level.CRITICAL
KEY = WatchKey("low-credits", "voice", "credits")
SILENT: dict[str, timedelta] = {"ops": timedelta(0), "finance": timedelta(0), "boss": timedelta(0)}
ALL = Routing(routes=(), group_wait=SILENT)


@dataclass
class Bench:
    """Judges batch after batch and remembers what a store would."""

    rules: Sequence[Rule] = field(default_factory=lambda: [rule()])
    accounts: Sequence[Account] = field(default_factory=lambda: [account()])
    routing: Routing = ALL
    watches: dict[WatchKey, Watch] = field(default_factory=dict)
    owed: dict[str, list[str]] = field(default_factory=dict)
    heard: dict[str, list[str]] = field(default_factory=dict)

    def judge(self, now: datetime, *readings: Reading) -> Judgement:
        ruleset, views = Ruleset(self.rules, self.accounts), self.views(now, readings)
        judgement = judge(ruleset, self.routing, views, self.watches, now, Audience(owed=self.owed, heard=self.heard))
        self.watches |= {watch.key: watch for watch in judgement.watches}
        for key in judgement.forgotten:
            del self.watches[key]
        episodes = {one.id: one.episode for one in judgement.changes}
        for notice in judgement.notices:
            owed = self.owed.setdefault(episodes[notice.change] or "", [])
            if notice.channel not in owed:
                owed.append(notice.channel)
        return judgement

    def views(self, now: datetime, readings: Iterable[Reading]) -> Mapping[str, Mapping[str, View]]:
        views: dict[str, dict[str, View]] = {one.name: {} for one in self.accounts}
        for one in readings:
            if one.key.account in views:
                views[one.key.account][one.key.meter] = view(one, now, STALE_AFTER)
        return views


def credits_(remaining: int | None, at: datetime = NOON, account: str = "voice") -> Reading:
    return reading(as_of=at, account=account, fields={} if remaining is None else {"remaining": remaining})


def kinds(judgement: Judgement) -> list[str]:
    return [f"{one.kind}{' unsaid' if one.unsaid else ''}" for one in judgement.changes]


def channels(notices: Iterable[Notice]) -> list[str]:
    return [notice.channel for notice in notices]


# --- a batch


def test_a_change_is_owed_with_the_values_that_decided() -> None:
    judgement = Bench().judge(NOON, credits_(90))
    (opened,) = judgement.changes
    assert (opened.kind, opened.new, opened.values) == (ChangeKind.OPENED, CRITICAL, {"remaining": 90})
    assert judgement.notices == tuple(
        Notice(id=f"{opened.id}@{name}", change=opened.id, channel=name, due_at=NOON) for name in SILENT
    )
    assert judgement.reasons == {KEY: Reason.CONDITION_TRUE}
    assert [watch.key for watch in judgement.watches] == [KEY]


def test_the_same_batch_gives_the_same_ids() -> None:
    assert Bench().judge(NOON, credits_(90)) == Bench().judge(NOON, credits_(90))


def test_where_nothing_changed_nothing_is_to_be_written() -> None:
    bench = Bench()
    assert bench.judge(NOON, credits_(1000)) == Judgement(reasons={KEY: Reason.FINE})
    bench.judge(minutes(10), credits_(90, minutes(10)))
    assert bench.judge(minutes(20), credits_(90, minutes(20))) == Judgement(reasons={KEY: Reason.STILL_OPEN})


def test_every_rule_watches_every_meter_that_it_selects() -> None:
    bench = Bench(
        rules=[rule(), rule("empty", warning="remaining <= 0", critical=None), rule("quota", kind=Kind.QUOTA)],
        accounts=[account("voice"), account("growth", "cargo")],
    )
    judgement = bench.judge(NOON, credits_(90), credits_(1000, account="growth"))
    assert judgement.reasons == {
        WatchKey("low-credits", "voice", "credits"): Reason.CONDITION_TRUE,
        WatchKey("empty", "voice", "credits"): Reason.FINE,
        WatchKey("low-credits", "growth", "credits"): Reason.FINE,
        WatchKey("empty", "growth", "credits"): Reason.FINE,
    }


@pytest.mark.parametrize(
    ("used", "told"),
    [
        pytest.param(95, ["opened"], id="both are bad"),
        pytest.param(50, [], id="the sibling is fine"),
        pytest.param(None, [], id="the sibling is unknown"),
    ],
)
def test_a_rule_reads_other_meters_of_the_account(used: int | None, told: list[str]) -> None:
    bench = Bench(rules=[rule(warning="remaining < 500 and turns.used_percent > 90", critical=None)])
    turns = reading("turns", Kind.QUOTA, fields={"limit": 100} | ({} if used is None else {"used": used}))
    judgement = bench.judge(NOON, credits_(400), turns)
    assert kinds(judgement) == told
    assert all(one.values == {"remaining": 400, "turns.used_percent": used} for one in judgement.changes)


def test_a_sibling_of_another_account_is_not_read() -> None:
    bench = Bench(
        rules=[rule(warning="turns.used > 9", critical=None, on=Selector(kinds=frozenset({Kind.BALANCE})))],
        accounts=[account("voice"), account("growth", "cargo")],
    )
    turns = reading("turns", Kind.QUOTA, account="growth", used=95)
    assert bench.judge(NOON, credits_(400), turns).reasons == {KEY: Reason.NOT_KNOWN}


@pytest.mark.parametrize(
    ("condition", "needs"),
    [
        pytest.param("runway_days < 2", True, id="a runway"),
        pytest.param("burn_per_day > 2", True, id="a burn"),
        pytest.param("remaining < 2", False, id="neither"),
        pytest.param("remaining < 2 and turns.runway_days < 2", False, id="a sibling's"),
    ],
)
def test_which_meters_need_their_history(condition: str, needs: bool) -> None:
    ruleset = Ruleset([rule(warning=condition, critical=None)], [account()])
    assert ruleset.needs_history(MeterKey("voice", "credits"), Kind.BALANCE) is needs
    assert not ruleset.needs_history(MeterKey("voice", "turns"), Kind.QUOTA)


# --- routes


def route(*names: str, goes_on: bool = False, **match: Any) -> Route:
    return Route(channels=names, goes_on=goes_on, **match)


OPENED, RESOLVED = ChangeKind.OPENED, ChangeKind.RESOLVED


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        pytest.param([], ["ops", "finance", "boss"], id="no routes are all channels"),
        pytest.param([route("ops")], ["ops"], id="a route that asks for nothing takes all"),
        pytest.param([route("boss"), route("ops")], ["boss"], id="the first that matches wins"),
        pytest.param([route("boss", goes_on=True), route("ops")], ["boss", "ops"], id="it goes on where it says so"),
        pytest.param(
            [route("boss", goes_on=True), route("ops", "boss"), route("finance")],
            ["boss", "ops"],
            id="a channel of two routes is told once",
        ),
        pytest.param([route("ops", levels={CRITICAL})], ["ops"], id="the level"),
        pytest.param([route("ops", levels={WARNING}), route("boss")], ["boss"], id="another level"),
        pytest.param([route("ops", kinds={Kind.QUOTA}), route("boss")], ["boss"], id="another kind"),
        pytest.param([route("ops", kinds={Kind.QUOTA, Kind.BALANCE})], ["ops"], id="one of two kinds"),
        pytest.param([route("ops", changes={OPENED})], ["ops"], id="the change"),
        pytest.param([route("ops", changes={ChangeKind.REMINDED}), route("boss")], ["boss"], id="another change"),
        pytest.param([route("ops", rule="low-*")], ["ops"], id="a glob of the rule"),
        pytest.param([route("ops", rule="low")], [], id="another rule"),
        pytest.param([route("ops", account="v*")], ["ops"], id="a glob of the account"),
        pytest.param([route("ops", account="growth")], [], id="another account"),
        pytest.param([route("ops", provider="ceku?a")], ["ops"], id="a glob of the provider"),
        pytest.param([route("ops", provider="cargo")], [], id="another provider"),
        pytest.param([route("ops", labels={"team": "vo*"})], ["ops"], id="a glob of a label"),
        pytest.param([route("ops", labels={"team": "vo*", "stage": "prod"})], [], id="one label of two"),
        pytest.param([route("ops", levels={CRITICAL}, account="growth")], [], id="one part of two"),
        pytest.param([route("ops", levels={WARNING})], [], id="no route matches"),
    ],
)
def test_a_change_goes_where_its_route_says(routes: list[Route], told: list[str]) -> None:
    routing = Routing(routes=tuple(routes), group_wait=SILENT)
    one = replace(change(OPENED), new=CRITICAL)
    assert channels(owe(one, account(team="voice"), Kind.BALANCE, routing)) == told


@pytest.mark.parametrize(
    ("told", "owed"),
    [
        pytest.param({"e1": ["finance", "boss"]}, ["finance", "boss"], id="those that were owed something of it"),
        pytest.param({"e2": ["finance"]}, [], id="not those of another episode"),
        pytest.param({}, [], id="nobody where nobody was"),
    ],
)
@pytest.mark.parametrize("routes", [(), (route("ops"),)], ids=["without routes", "whatever the routes say"])
def test_what_is_over_is_told_to_those_who_heard_that_it_began(
    told: Mapping[str, list[str]], owed: list[str], routes: tuple[Route, ...]
) -> None:
    routing = Routing(routes=routes, group_wait=SILENT)
    assert channels(owe(change(RESOLVED), account(), Kind.BALANCE, routing, Audience(owed=told))) == owed
    assert channels(owe(change(RESOLVED), None, None, routing, Audience(owed=told))) == owed


def test_a_change_of_an_account_that_is_gone_has_no_route() -> None:
    assert owe(change(OPENED), None, None, ALL, Audience(owed={"e1": ["ops"]})) == []


def test_a_notice_is_due_once_its_channel_has_collected() -> None:
    routing = Routing(routes=(route("ops", "finance", "new"),), group_wait={"ops": timedelta(seconds=5)})
    notices = owe(change(OPENED, at=minutes(1)), account(), Kind.BALANCE, routing)
    assert [(one.id, one.due_at) for one in notices] == [
        ("e1.1@ops", minutes(1) + timedelta(seconds=5)),
        ("e1.1@finance", minutes(1)),
        ("e1.1@new", minutes(1)),
    ]


def test_a_resolve_goes_to_the_channels_of_every_level_told() -> None:
    routes = (route("boss", levels={CRITICAL}), route("ops"))
    bench = Bench(routing=Routing(routes=routes, group_wait=SILENT))
    told = [channels(bench.judge(minutes(at), credits_(left, minutes(at))).notices)
            for at, left in [(0, 400), (10, 50), (20, 1000)]]  # fmt: skip
    assert told == [["ops"], ["boss"], ["ops", "boss"]]


def test_a_reminder_goes_where_the_level_of_now_says() -> None:
    routes = (route("boss", levels={CRITICAL}), route("ops"))
    hourly = rule(remind=Clockwork(every=timedelta(hours=1)), ease_for=timedelta(0))
    bench = Bench(rules=[hourly], routing=Routing(routes=routes, group_wait=SILENT))
    told = [channels(bench.judge(minutes(at), credits_(left, minutes(at))).notices)
            for at, left in [(0, 50), (10, 400), (20, 400), (60, 400)]]  # fmt: skip
    assert told == [["boss"], [], [], ["ops"]]


# --- routes that escalate

HOUR = timedelta(hours=1)


def delays(notices: Iterable[Notice]) -> dict[str, timedelta | None]:
    return {notice.channel: notice.delay for notice in notices}


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        pytest.param([route("boss", after=HOUR), route("ops")], {"boss": HOUR, "ops": None}, id="the search goes on"),
        pytest.param([route("ops"), route("boss", after=HOUR)], {"ops": None}, id="not behind one that ends it"),
        pytest.param(
            [route("ops", goes_on=True), route("boss", after=HOUR)], {"ops": None, "boss": HOUR}, id="behind `continue`"
        ),
        pytest.param([route("boss", after=HOUR, levels={WARNING}), route("ops")], {"ops": None}, id="another level"),
        pytest.param([route("ops", after=HOUR), route("ops")], {"ops": None}, id="the soonest counts: at once"),
        pytest.param(
            [route("boss", after=2 * HOUR), route("boss", after=HOUR)], {"boss": HOUR}, id="the soonest of two"
        ),
        pytest.param([route("boss", after=HOUR)], {"boss": HOUR}, id="nobody at once"),
    ],
)
def test_an_escalation_is_owed_later(routes: list[Route], told: dict[str, timedelta | None]) -> None:
    routing = Routing(routes=tuple(routes), group_wait=SILENT)
    notices = owe(replace(change(OPENED), new=CRITICAL), account(), Kind.BALANCE, routing)
    assert delays(notices) == told
    assert {one.channel: one.due_at for one in notices} == {
        name: NOON + (wait or 0 * HOUR) for name, wait in told.items()
    }


def test_an_escalation_waits_at_least_as_long_as_its_channel_collects() -> None:
    routing = Routing(routes=(route("boss", after=HOUR),), group_wait={"boss": 2 * HOUR})
    (notice,) = owe(change(OPENED), account(), Kind.BALANCE, routing)
    assert (notice.due_at, notice.delay) == (NOON + 2 * HOUR, HOUR)


@pytest.mark.parametrize(
    ("kind", "heard", "told"),
    [
        pytest.param(ChangeKind.WORSENED, {}, {"boss": HOUR, "ops": None}, id="a worsening escalates by itself"),
        pytest.param(ChangeKind.REMINDED, {}, {"ops": None}, id="a reminder escalates nothing"),
        pytest.param(ChangeKind.REMINDED, {"e2": ["boss"]}, {"ops": None}, id="who heard of another episode"),
        pytest.param(
            ChangeKind.REMINDED, {"e1": ["boss"]}, {"boss": None, "ops": None}, id="who heard is reminded at once"
        ),
        pytest.param(ChangeKind.NOTED, {"e1": ["boss"]}, {"ops": None}, id="what is noted can't be acked"),
        pytest.param(RESOLVED, {}, {"ops": None, "boss": None}, id="over goes at once to all that were owed"),
    ],
)
def test_what_escalates(kind: ChangeKind, heard: dict[str, list[str]], told: dict[str, timedelta | None]) -> None:
    routing = Routing(routes=(route("boss", after=HOUR), route("ops")), group_wait=SILENT)
    audience = Audience(owed={"e1": ["ops", "boss"]}, heard=heard)
    assert delays(owe(change(kind), account(), Kind.BALANCE, routing, audience)) == told


def test_judging_knows_who_heard() -> None:
    hourly = rule(remind=Clockwork(every=HOUR))
    bench = Bench(
        rules=[hourly], routing=Routing(routes=(route("boss", after=2 * HOUR), route("ops")), group_wait=SILENT)
    )
    bench.judge(NOON, credits_(400))
    assert channels(bench.judge(minutes(60), credits_(400, minutes(60))).notices) == ["ops"]
    bench.heard = {episode: ["ops", "boss"] for episode in bench.owed}
    assert channels(bench.judge(minutes(120), credits_(400, minutes(120))).notices) == ["boss", "ops"]


def test_what_is_unsaid_owes_nothing() -> None:
    bench = Bench(rules=[rule(ease_for=timedelta(0))])
    bench.judge(NOON, credits_(50))
    bench.judge(minutes(10), credits_(400, minutes(10)))
    eased = bench.judge(minutes(20), credits_(400, minutes(20)))
    assert (kinds(eased), eased.notices) == (["eased unsaid"], ())


# --- leaving


def test_a_meter_that_is_gone_ends_its_episode_and_forgets_the_watch() -> None:
    bench = Bench()
    bench.judge(NOON, credits_(90))
    gone = bench.judge(minutes(10))
    assert (kinds(gone), gone.forgotten, channels(gone.notices)) == (["resolved"], (KEY,), list(SILENT))
    assert [(one.end, one.ended_at) for one in gone.ended] == [(Reason.GONE, minutes(10))]
    assert bench.judge(minutes(20)) == Judgement()


def test_a_fine_meter_that_is_gone_is_forgotten_without_a_word() -> None:
    bench = Bench()
    watch = Watch(key=KEY, window=minutes(99))
    bench.watches[KEY] = watch
    gone = bench.judge(minutes(10))
    assert (gone.changes, gone.ended, gone.notices, gone.forgotten) == ((), (), (), (KEY,))


WITHOUT: list[tuple[str, dict[str, object]]] = [
    ("the rule", {"rules": []}),
    ("the account", {"accounts": []}),
    ("the rule's hold on the meter", {"rules": [rule(on=Selector(meter="other"))]}),
]


@pytest.mark.parametrize("without", [pytest.param(changed, id=f"without {what}") for what, changed in WITHOUT])
def test_what_left_the_config_is_parked_and_after_thirty_days_ends_unsaid(without: dict[str, Any]) -> None:
    bench = Bench()
    bench.judge(NOON, credits_(90))
    left = replace(bench, **without)
    parked = left.judge(minutes(10), credits_(90))
    assert parked.reasons == {KEY: Reason.PARKED}
    assert [(watch.parked_at, watch.wake_at) for watch in parked.watches] == [(minutes(10), None)]
    assert (parked.changes, parked.notices) == ((), ())
    last = minutes(10) + timedelta(days=30)
    assert left.judge(last, credits_(90)) == Judgement(reasons={KEY: Reason.PARKED})
    ended = left.judge(last + timedelta(seconds=1), credits_(90))
    assert (kinds(ended), ended.notices, ended.forgotten) == (["resolved unsaid"], (), (KEY,))
    assert [one.end for one in ended.ended] == [Reason.UNWATCHED]


@pytest.mark.parametrize(
    ("remaining", "told"),
    [
        pytest.param(90, [], id="no worse: silently"),
        pytest.param(1000, ["resolved"], id="fine: over"),
        pytest.param(None, [], id="unknown: silently"),
    ],
)
@pytest.mark.parametrize("without", [pytest.param(changed, id=f"without {what}") for what, changed in WITHOUT])
def test_what_comes_back_goes_on(without: dict[str, Any], remaining: int | None, told: list[str]) -> None:
    bench = Bench()
    opened = bench.judge(NOON, credits_(90))
    replace(bench, **without).judge(minutes(10), credits_(90))
    back = bench.judge(minutes(20), credits_(remaining, minutes(20)))
    assert kinds(back) == told
    assert {one.episode for one in back.changes} <= {opened.changes[0].episode}
    assert KEY not in bench.watches or bench.watches[KEY].parked_at is None


def test_what_comes_back_worse_is_told() -> None:
    bench = Bench()
    bench.judge(NOON, credits_(400))
    replace(bench, rules=[]).judge(minutes(10), credits_(400))
    assert kinds(bench.judge(minutes(20), credits_(90, minutes(20)))) == ["worsened"]


def test_a_parked_watch_whose_meter_is_gone_too_stays_parked() -> None:
    bench = Bench()
    bench.judge(NOON, credits_(90))
    left = replace(bench, rules=[])
    left.judge(minutes(10), credits_(90))
    assert left.judge(minutes(20)) == Judgement(reasons={KEY: Reason.PARKED})


# --- properties


amounts = st.one_of(st.none(), st.integers(-100, 1200))
batches = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("credits", "postpaid", "prepaid"), amounts)),
    min_size=1,
    max_size=12,
)
rulesets = st.lists(
    st.sampled_from(
        [
            rule(),
            rule("banded", clear="remaining > 600"),
            rule("sustained", sustain={WARNING: timedelta(minutes=20)}),
            # Easing and a reminder that fall due at once come one after the other, so this one never eases.
            rule("nagging", remind=Clockwork(every=timedelta(minutes=10)), ease_for=timedelta(days=9)),
            rule("sibling", warning="remaining < 500 and postpaid.remaining < 500", critical=None),
        ]
    ),
    unique_by=lambda one: one.name,
)


def readings(batch: Mapping[str, int | None], at: datetime) -> list[Reading]:
    return [reading(name, as_of=at, fields={} if left is None else {"remaining": left}) for name, left in batch.items()]


@given(batches, rulesets, st.integers(1, 90))
def test_judging_the_same_batch_twice_finds_nothing_new(
    series: list[Mapping[str, int | None]], some: list[Rule], every: int
) -> None:
    bench = Bench(rules=some)
    for count, batch in enumerate(series):
        now = minutes(every * count)
        bench.judge(now, *readings(batch, now))
        again = bench.judge(now, *readings(batch, now))
        assert again == Judgement(reasons=again.reasons)


@given(batches, rulesets)
def test_what_ends_was_open_and_each_notice_has_its_change(
    series: list[Mapping[str, int | None]], some: list[Rule]
) -> None:
    bench = Bench(rules=some)
    seen: set[str] = set()
    open_: set[str] = set()
    for count, batch in enumerate(series):
        now = minutes(10 * count)
        judgement = bench.judge(now, *readings(batch, now))
        ids = [notice.id for notice in judgement.notices]
        assert seen.isdisjoint(ids)
        assert len(set(ids)) == len(ids)
        seen.update(ids)
        assert {notice.change for notice in judgement.notices} <= {one.id for one in judgement.changes}
        ended = {one.id for one in judgement.ended}
        assert ended <= open_
        assert {one.episode for one in judgement.changes if one.kind is RESOLVED} == ended
        open_ = {watch.episode.id for watch in bench.watches.values() if watch.episode}


TEXTS = st.text(max_size=5)


@given(
    st.lists(st.none() | st.integers(-100, 1000), max_size=12), TEXTS, TEXTS, st.sets(st.sampled_from(sorted(SILENT)))
)
def test_other_texts_and_other_channels_change_nothing(
    remaining: list[int | None], owner: str, at_zero: str, channels: set[str]
) -> None:
    bench = Bench()
    now = NOON
    for count, value in enumerate(remaining):
        now = minutes(5 * count)
        bench.judge(now, credits_(value, now))
    bench.accounts = [replace(account(), owner=owner, at_zero=at_zero, title=owner)]
    bench.routing = Routing(routes=(), group_wait=dict.fromkeys(channels, timedelta(seconds=1)))
    again = bench.judge(now, credits_(remaining[-1] if remaining else None, now))
    assert (again.watches, again.ended, again.changes, again.notices) == ((), (), (), ())
