"""`outbox` on a database that a service has written, and how the service carries out its requests."""

import getpass
import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from budgetd.store import database
from budgetd_rules.routing import Route
from build import minutes
from commanding import Command, command_on
from house import House

CONFIG: Final = """
[daemon]
state = "budgetd.db"
[accounts.voice]
provider = "cekura"
api_key = { env = "NOT_NEEDED_HERE" }
[channels.ops]
url = { env = "NOT_NEEDED_HERE" }
[channels.mail]
url = { env = "NOT_NEEDED_HERE" }
[rules.low-credits]
on = { kind = "balance" }
warning = "remaining < 500"
critical = "remaining < 100"
"""
DAY: Final = 24 * 60


@pytest.fixture
def house(tmp_path: Path) -> House:
    """One notice is dead on ops, and one waits for it."""
    house = House(tmp_path / "budgetd.db", channels=["ops"], routes=[Route(channels=("ops",))])
    house.mailbox.failing.add("ops")
    house.balance(400)
    for minute in (0, 1, 2, DAY, 3 * DAY):
        house.deliver(minutes(minute))
    house.balance(50, minutes(3 * DAY + 5))
    house.deliver(minutes(3 * DAY + 10))
    return house


@pytest.fixture
def command(tmp_path: Path) -> Command:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return command_on(path)


def listed(command: Command, *words: str) -> list[dict[str, Any]]:
    code, out = command("outbox", *words, "--json")
    assert code == 0
    shapes: list[dict[str, Any]] = json.loads(out)
    return shapes


def requested(house: House) -> list[tuple[str, str]]:
    return house.rows("SELECT kind, target FROM requests ORDER BY id")


def test_what_waits_and_what_is_dead_is_listed(house: House, command: Command) -> None:
    dead, waiting = listed(command)
    assert {name: dead[name] for name in ("state", "channel", "change", "level", "account", "meter", "tries")} == {
        "state": "dead",
        "channel": "ops",
        "change": "opened",
        "level": "warning",
        "account": "voice",
        "meter": "credits",
        "tries": 6,
    }
    assert dead["reason"].startswith("not delivered for 3 days, and by no other channel: Failed to send")
    assert (dead["next_try"], dead["since"]) == (None, "2026-11-21T12:00:00.000000Z")
    assert (waiting["state"], waiting["tries"], waiting["reason"]) == ("waiting", 1, None)
    assert waiting["last_error"].startswith("Failed to send mailbox notification")
    assert waiting["next_try"] > "2026-11-24T12:10"
    code, out = command("outbox")
    assert code == 0
    assert dead["id"] in out
    assert "worsened critical voice credits" in out


@pytest.mark.parametrize(
    ("settled_at", "states"),
    [pytest.param("9999", ["collapsed", "sent"], id="lately"), pytest.param("2000", [], id="more than a week ago")],
)
def test_what_is_settled_is_listed_on_request(
    settled_at: str, states: list[str], house: House, command: Command
) -> None:
    house.mailbox.failing.clear()
    house.deliver(minutes(4 * DAY))
    with database.write(house.db):
        house.db.execute("UPDATE notices SET settled_at = ? || substr(settled_at, 5)", [settled_at])
    assert [one["state"] for one in listed(command, "--all")] == states
    assert listed(command) == []


def test_what_escalates_or_was_told_with_another_says_so(tmp_path: Path, command: Command) -> None:
    routes = [Route(channels=("mail",), after=timedelta(hours=2)), Route(channels=("ops",))]
    house = House(tmp_path / "budgetd.db", channels=["ops", "mail"], routes=routes)
    house.balance(400)
    house.balance(50)
    house.deliver(minutes(0))
    (second,) = (one["id"] for one in listed(command, "--all") if one["state"] == "sent")
    out = command("outbox", "--all")[1]
    assert out.count("only if nobody acks") == 2
    assert f"told together with {second}" in out, "an id to be typed"


def test_what_is_held_is_not_said_to_be_tried(tmp_path: Path, command: Command) -> None:
    house = House(tmp_path / "budgetd.db", quiet=["sat-sun"])
    house.balance(400)
    house.deliver(minutes(0))
    nothing = "nothing to try: what is held is told when that ends, as `budgetd outbox` shows\n"
    assert command("outbox", "retry", "--all") == (0, nothing)


def test_nothing_is_listed_as_such(tmp_path: Path, command: Command) -> None:
    assert command("outbox") == (0, "nothing waits, and nothing is dead\n")
    House(tmp_path / "budgetd.db").db.close()
    assert command("outbox") == (0, "nothing waits, and nothing is dead\n")
    assert listed(command) == []


def test_status_shows_the_dead_and_what_budgetd_itself_suffers(house: House, command: Command) -> None:
    code, out = command("status")
    assert code == 0
    assert "1 notice is dead, not told on the channel that was to tell it: see `budgetd outbox`" in out
    assert "channel ops fails (6 times in a row, error=500)" in out
    accounts = {one["account"]: one for one in json.loads(command("status", "--json")[1])["accounts"]}
    assert [one["meter"] for one in accounts["budgetd"]["readings"]] == ["channel/ops"]
    house.mailbox.failing.clear()
    house.deliver(minutes(4 * DAY))
    assert "budgetd" not in command("status")[1].replace("`budgetd outbox`", "")


# --- asking for something


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        pytest.param(["retry", "--all"], ["*"], id="all"),
        pytest.param(["retry", "--channel", "ops"], ["ops"], id="a channel"),
        pytest.param(["retry", "--channel", "mail"], ["mail"], id="a channel that is owed nothing"),
        pytest.param(["retry", "{first}"], ["{first}"], id="a notice"),
        pytest.param(["retry", "{episode}"], ["{first}", "{second}"], id="an episode"),
        pytest.param(["retry", "{episode}.2"], ["{second}"], id="a change"),
        pytest.param(["drop", "{first}", "{second}", "--yes"], ["{first}", "{second}"], id="drop two"),
        pytest.param(["drop", "--channel", "ops", "-y"], ["{first}", "{second}"], id="drop a channel's"),
    ],
)
def test_a_request_is_appended(words: list[str], targets: list[str], house: House, command: Command) -> None:
    first, second = (one["id"] for one in listed(command))
    names = {"first": first, "second": second, "episode": first.partition(".")[0]}
    code, out = command("outbox", *(word.format(**names) for word in words))
    assert code == 0
    assert "when the daemon runs, which it does not" in out
    assert requested(house) == [(words[0], target.format(**names)) for target in targets]


def test_beside_a_running_daemon_it_says_so(house: House, command: Command) -> None:
    with database.locked(house.path):
        assert command("outbox", "retry", "--all") == (0, "2 notices will be tried within a second\n")


def test_the_daemon_does_what_was_asked(house: House, command: Command) -> None:
    (first, _) = (one["id"] for one in listed(command))
    assert command("outbox", "drop", first, "--comment", "told by phone", "--yes")[0] == 0
    assert command("outbox", "retry", "--all")[0] == 0
    house.mailbox.failing.clear()
    house.deliver(minutes(3 * DAY + 11))
    assert house.titles == ["ops: CRITICAL voice: 50 credits left"]
    assert house.rows("SELECT reason FROM notices WHERE state = 'dropped'") == [
        (f"dropped by {getpass.getuser()}: told by phone",)
    ]
    assert house.rows("SELECT count(*) FROM requests WHERE done_at IS NULL") == [(0,)]


@pytest.mark.parametrize(
    ("answer", "asked"), [pytest.param("n\n", [], id="no"), pytest.param("y\n", ["drop"] * 2, id="yes")]
)
def test_dropping_is_asked_about(answer: str, asked: list[str], house: House, command: Command) -> None:
    code, out = command("outbox", "drop", "--channel", "ops", answer=answer)
    assert "Never tell these 2?" in out
    assert code == (0 if asked else 1)
    assert [kind for kind, _ in requested(house)] == asked


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["retry"], "give the ids of notices, --channel NAME or --all", id="nothing to try"),
        pytest.param(["retry", "x", "--all"], "give the ids of notices, --channel NAME or --all", id="too much"),
        pytest.param(["retry", "zzz"], "nothing owed or dead has an id that begins with 'zzz'", id="no such notice"),
        pytest.param(["retry", ""], "nothing owed or dead has an id that begins with ''", id="no id at all"),
        pytest.param(["retry", "--channel", "op"], "no channel is named 'op'; did you mean ops?", id="no such channel"),
        pytest.param(["drop"], "give the ids of notices, or --channel NAME", id="nothing to drop"),
        pytest.param(["drop", "--channel", "mail"], "channel mail is owed nothing", id="nothing there"),
    ],
)
def test_bad_words(words: list[str], said: str, house: House, command: Command) -> None:
    code, out = command("outbox", *words)
    assert code == 2
    assert said in out
    assert requested(house) == []


def test_the_beginning_of_several_is_not_enough(house: House, command: Command) -> None:
    first, second = (one["id"] for one in listed(command))
    code, out = command("outbox", "drop", first[:3], "--yes")
    assert (code, requested(house)) == (2, [])
    assert f"{first[:3]!r} begins {first}, {second}: write more of it" in out


def test_a_channel_that_is_gone_cannot_be_tried(house: House, command: Command) -> None:
    first = listed(command)[0]["id"]
    with database.write(house.db):
        house.db.execute("UPDATE notices SET channel = 'old'")
    code, out = command("outbox", "retry", first)
    assert code == 2
    assert "the config has no channel old any more; `budgetd outbox drop` settles what it had" in out


def test_before_the_daemon_has_run(command: Command) -> None:
    code, out = command("outbox", "retry", "--all")
    assert code == 2
    assert "the daemon has not run" in out


# --- the account `budgetd` in the other verbs


def test_explain_of_budgetd_itself(house: House, command: Command) -> None:
    code, out = command("explain", "channel-failing", "budgetd")
    assert code == 0
    assert "channel-failing on budgetd channel/ops (connection)" in out
    assert "channel ops fails (6 times in a row, error=500)" in out
    assert "opened critical to mail" in out, "never to ops"
    shapes = json.loads(command("explain", "config-refused", "budgetd", "--json")[1])
    assert {one["meter"]: one["watched"] for one in shapes["meters"]} == {
        "channel/ops": False,
        "channel/mail": False,
        "config": True,
        "store": False,
        "judging": False,
    }


def test_explain_before_anything_has_happened(tmp_path: Path, command: Command) -> None:
    House(tmp_path / "budgetd.db").db.close()
    code, out = command("explain", "channel-failing", "budgetd", "channel/mail")
    assert code == 0
    assert "nothing read yet" in out


def test_no_history_is_kept_of_it(house: House, command: Command) -> None:
    code, out = command("history", "budgetd", "channel/ops")
    assert code == 2
    assert "of budgetd itself no history is kept" in out
