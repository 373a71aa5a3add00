"""budgetd as an account of its own, and who is told instead of whom."""

from collections.abc import Collection, Sequence
from datetime import UTC, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.handover import choose_substitute
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Change, ChangeKind
from budgetd_rules.meters import Account, view
from budgetd_rules.notices import Audience, owe
from budgetd_rules.own_account import BROKEN, NOT_COMPOSED, OWN_ACCOUNT, channel_of, own_meters, own_reading, send_cause
from budgetd_rules.polls import Cause
from budgetd_rules.routing import Route, Routing
from budgetd_rules.wording import describe
from build import NOON, account, change, episode, minutes

NAMES: Final = ["ops", "finance", "mail"]


@pytest.mark.parametrize(
    ("fallback", "had", "failing", "told"),
    [
        pytest.param(None, {"ops"}, (), "finance", id="the first other"),
        pytest.param("mail", {"ops"}, (), "mail", id="the fallback"),
        pytest.param("mail", {"ops"}, {"mail"}, "mail", id="the fallback, though it fails: somebody chose it"),
        pytest.param("mail", {"ops", "mail"}, (), "finance", id="the fallback has it already"),
        pytest.param("gone", {"ops"}, (), "finance", id="the fallback is gone too"),
        pytest.param(None, {"ops"}, {"finance"}, "mail", id="rather one that works"),
        pytest.param(None, {"ops"}, {"finance", "mail"}, "finance", id="else one that does not"),
        pytest.param("finance", {"ops", "finance", "mail"}, (), None, id="all have it"),
    ],
)
def test_heir(fallback: str | None, had: set[str], failing: set[str], told: str | None) -> None:
    assert choose_substitute(NAMES, fallback, had, failing) == told


@given(
    fallback=st.sampled_from([None, *NAMES]),
    had=st.sets(st.sampled_from(NAMES)),
    failing=st.sets(st.sampled_from(NAMES)),
)
def test_whoever_has_not_heard_it_is_found(fallback: str | None, had: set[str], failing: set[str]) -> None:
    told = choose_substitute(NAMES, fallback, had, failing)
    assert told in set(NAMES) - had if set(NAMES) - had else told is None


def owed(channels: Sequence[str], *, of: str, fallback: str | None = None, names: Collection[str] = NAMES) -> list[str]:
    """Whom it is told, where the routes say `channels`."""
    routing = Routing(
        routes=(Route(channels=tuple(channels)),),
        group_wait=dict.fromkeys(names, timedelta(0)),
        fallbacks={"ops": fallback} if fallback else {},
    )
    return [notice.channel for notice in owe(fails(of), OWN_ACCOUNT, Kind.CONNECTION, routing)]


def fails(channel: str, kind: ChangeKind = ChangeKind.OPENED) -> Change:
    return change(kind, episode(rule="channel-failing", account="budgetd", meter=f"channel/{channel}"))


@pytest.mark.parametrize(
    ("channels", "fallback", "told"),
    [
        pytest.param(["ops", "finance"], None, ["finance"], id="through the others"),
        pytest.param(["ops"], None, ["finance"], id="the routes name no other: any"),
        pytest.param(["ops"], "mail", ["mail"], id="the routes name no other: its fallback"),
        pytest.param(["mail"], None, ["mail"], id="the routes do not name it"),
        pytest.param([], None, [], id="no route takes it"),
    ],
)
def test_that_a_channel_fails_is_never_told_through_itself(
    channels: list[str], fallback: str | None, told: list[str]
) -> None:
    assert owed(channels, of="ops", fallback=fallback) == told


def test_the_only_channel_is_told_nothing_of_itself() -> None:
    assert owed(["ops"], of="ops", names=["ops"]) == []


def test_that_it_works_again_is_told_to_those_who_heard_that_it_failed() -> None:
    resolved = fails("ops", ChangeKind.RESOLVED)
    routing = Routing(routes=(), group_wait=dict.fromkeys(NAMES, timedelta(0)))
    assert resolved.episode
    told = owe(resolved, OWN_ACCOUNT, Kind.CONNECTION, routing, Audience(owed={resolved.episode: ["mail"]}))
    assert [notice.channel for notice in told] == ["mail"]


@pytest.mark.parametrize("of", [account("ops"), OWN_ACCOUNT], ids=["an account of that name", "another meter"])
def test_other_meters_are_told_as_routed(of: Account) -> None:
    routing = Routing(routes=(), group_wait={"ops": timedelta(0)})
    opened = change(ChangeKind.OPENED, episode(account=of.name, meter="store" if of is OWN_ACCOUNT else "channel/ops"))
    assert [notice.channel for notice in owe(opened, of, Kind.CONNECTION, routing)] == ["ops"]


def test_the_meters_are_known_by_their_names() -> None:
    assert own_meters(["ops"]) == ["channel/ops", "config", "store", "judging"]
    assert [channel_of("budgetd", meter) for meter in own_meters(["ops"])] == ["ops", None, None, None]
    assert channel_of("voice", "channel/ops") is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        pytest.param("Failed to send Slack notification: Unauthorized., error=401.", Cause.REJECTED, id="401"),
        pytest.param("error=403", Cause.REJECTED, id="403"),
        pytest.param("error=404", Cause.NOT_FOUND, id="404"),
        pytest.param("error=410", Cause.NOT_FOUND, id="410"),
        pytest.param("error=429", Cause.RATE_LIMITED, id="429"),
        pytest.param("error=500", Cause.VENDOR_ERROR, id="500"),
        pytest.param("error=400", Cause.VENDOR_ERROR, id="400"),
        pytest.param("Socket Exception: (535, b'5.7.8 bad credentials')", Cause.REJECTED, id="a mail server's login"),
        pytest.param("Socket Exception: (452, b'too many')", Cause.VENDOR_ERROR, id="a mail server's refusal"),
        pytest.param("no answer within 30 s", Cause.UNREACHABLE, id="a time-out"),
        pytest.param("Connection error while submitting email", Cause.UNREACHABLE, id="no connection"),
        pytest.param(f"{NOT_COMPOSED}: TypeError", Cause.MALFORMED, id="our own fault"),
        pytest.param(f"{BROKEN}: ValueError", Cause.MALFORMED, id="our own fault, and nobody knows which"),
    ],
)
def test_why_a_send_failed(error: str, cause: Cause) -> None:
    assert send_cause(error) is cause


@pytest.mark.parametrize(
    ("meter", "failures", "cause", "detail", "words"),
    [
        pytest.param("channel/ops", 0, "none", None, "channel ops works", id="a channel that works"),
        pytest.param(
            "channel/ops",
            3,
            "vendor_error",
            "Failed to send Slack notification: Server error., error=500.",
            "channel ops fails (3 times in a row, error=500)",
            id="the service's own number",
        ),
        pytest.param(
            "channel/ops", 1, "unreachable", "no answer", "channel ops fails (once, unreachable)", id="without a number"
        ),
        pytest.param("config", 0, "none", None, "the config is in force", id="a config"),
        pytest.param(
            "config", 2, "malformed", "x", "a new config is refused, the old one stays", id="a config that is refused"
        ),
        pytest.param("store", 0, "none", None, "the database works", id="a store"),
        pytest.param("store", 4, "unreachable", "x", "the database could not be written", id="a store that fails"),
    ],
)
def test_in_words(meter: str, failures: int, cause: str, detail: str | None, words: str) -> None:
    reading = own_reading(meter, NOON, failures=failures, cause=cause, detail=detail)
    years_later = minutes(60 * 24 * 1000)
    assert describe(view(reading, years_later, OWN_ACCOUNT.stale_after), UTC, years_later) == words


def test_an_idle_channel_has_no_last_success_to_be_alarmed_at() -> None:
    works = own_reading("channel/ops", NOON, last_success_at=minutes(-9999))
    fails = own_reading("channel/ops", NOON, failures=1, cause="unreachable", last_success_at=minutes(-60))
    assert "last_success_at" not in works.fields
    assert fails.fields["last_success_at"] == minutes(-60)
    assert (works.fields["reachable"], fails.fields["reachable"]) == (True, False)
