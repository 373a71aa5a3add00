"""`explain` and `history` beside a store that a daemon has written: what they print, and the shapes of their JSON."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from budgetd.cli.invocation import read_clock
from budgetd.config import load_config
from budgetd.planning import make_outline
from budgetd.store import notices
from budgetd.store.holds import add_hold
from budgetd.store.notices import ChannelState, Outcome
from budgetd_rules.holds import Hold, HoldKind
from budgetd_rules.kinds import Kind
from build import NOON, minutes, reading
from commanding import Command, command_on
from house import House

CONFIG = """
[daemon]
state = "budgetd.db"
[accounts.voice]
provider = "cekura"
api_key = { env = "NOT_NEEDED_HERE" }
stale_after = "3650d"
labels = { team = "voice" }
[accounts.growth]
provider = "cargo"
api_key = { env = "NOT_NEEDED_HERE" }
[accounts.talk]
provider = "sonzai"
api_key = { env = "NOT_NEEDED_HERE" }
[accounts.old]
provider = "cargo"
api_key = { env = "NOT_NEEDED_HERE" }
enabled = false
[channels.ops]
url = { env = "NOT_NEEDED_HERE" }
[[routes]]
match = { level = "critical" }
channels = ["ops"]
[rules.low-credits]
on = { kind = "balance", labels = { team = "voice" } }
warning = "remaining < 500 or runway_days < 2"
critical = "remaining < 100"
clear = "remaining > 600"
[rules.blind]
enabled = false
"""
RULE = ("low-credits", "voice")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return command_on(path)


@pytest.fixture
def house(command: Command, tmp_path: Path) -> House:
    """The store of a daemon on this config, with nothing in it."""
    outline = make_outline(load_config(tmp_path / "config.toml"))
    house = House(tmp_path / "budgetd.db")
    house.ruleset, house.routing = outline.ruleset, outline.routing
    return house


def shape(command: Command, *words: str) -> Any:
    code, out = command(*words, "--json")
    assert code == 0
    return json.loads(out)


def meter_of(explained: Any, name: str = "credits") -> Any:
    (found,) = [one for one in explained["meters"] if one["meter"] == name]
    return found


def z(after: float) -> str:
    return f"{minutes(after):%Y-%m-%dT%H:%M:%S.%fZ}"


# --- words that make no sense


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["explain", "low", "voice"], "no rule is named 'low'; known: ", id="an unknown rule"),
        pytest.param(
            ["explain", "low-credit", "voice"],
            "no rule is named 'low-credit'; did you mean low-credits?",
            id="a misspelt rule",
        ),
        pytest.param(["explain", "blind", "voice"], "the rule blind is switched off: [rules.blind]", id="a rule off"),
        pytest.param(
            ["explain", "low-credits", "voic"],
            "no account is named 'voic'; did you mean voice?",
            id="a misspelt account",
        ),
        pytest.param(
            ["explain", "low-credits", "old"],
            "the account old is switched off: [accounts.old] enabled = false in ",
            id="an account off",
        ),
        pytest.param(
            ["explain", "low-credits", "voice", "credit"],
            "account voice has no meter 'credit'; did you mean credits?",
            id="a misspelt meter",
        ),
        pytest.param(
            ["history", "voic", "credits"], "no account is named 'voic'; did you mean voice?", id="history: an account"
        ),
        pytest.param(
            ["history", "voice", "credit"],
            "account voice has no meter 'credit'; did you mean credits?",
            id="history: a meter",
        ),
        pytest.param(
            ["history", "voice", "connection"],
            "a connection's course is kept as outages and episodes: see `budgetd explain blind voice`",
            id="history: a connection",
        ),
        pytest.param(
            ["history", "voice", "credits", "--since", "soon"],
            "--since: expected a duration such as",
            id="history: no duration",
        ),
    ],
)
def test_wrong_words_end_with_2(words: list[str], said: str, command: Command, house: House) -> None:
    house.balance(4200)
    code, out = command(*words)
    assert code == 2
    assert out.startswith(said)


# --- before there is a store


def test_explain_before_the_first_run_tells_what_the_config_says(command: Command, tmp_path: Path) -> None:
    code, out = command("explain", *RULE)
    assert code == 0
    assert f"{tmp_path}/budgetd.db: nothing yet: the daemon has not run on this config" in out
    assert "low-credits on voice credits (balance)" in out
    assert "opened critical to ops by routes#1" in out
    assert "opened warning to no channel: nothing routes it" in out
    assert not (tmp_path / "budgetd.db").exists()
    explained = shape(command, "explain", *RULE)
    assert not explained["stored"]
    found = meter_of(explained)
    assert [gate["gate"] for gate in found["gates"]] == ["selector", "fields", "ack", "silence"]
    assert (found["reading"], found["watch"], found["now"]) == (None, None, {"reason": None, "changes": []})


def test_history_before_the_first_run_ends_with_2(command: Command, tmp_path: Path) -> None:
    code, out = command("history", "voice", "credits")
    assert (code, out) == (2, f"{tmp_path}/budgetd.db: nothing yet: the daemon has not run on this config")


# --- a rule that does not watch


def test_a_rule_that_does_not_watch_an_account_says_what_keeps_it_out(command: Command) -> None:
    code, out = command("explain", "low-credits", "growth")
    assert code == 0
    assert "selector (kept out by labels.team)" in out
    assert "labels.team (the account has none, and voice is wanted)" in out
    assert "kind (subscription does not match balance)" in out
    assert out.count("the rule does not watch this meter") == 6


def test_the_meters_beside_the_watched_ones_get_a_line_each(command: Command, house: House) -> None:
    house.balance(4200)
    _, out = command("explain", *RULE)
    lines = [line for line in out.splitlines() if line.startswith(("not watched: connection", "not watched: sub"))]
    assert lines == [
        f"not watched: {kind}: kind: {kind} does not match balance; fields: the kind {kind} has no {lacking}"
        for kind, lacking in (("connection", "remaining, runway_days"), ("subscription", "remaining, runway_days"))
    ]


def test_a_meter_that_is_named_is_the_only_one(command: Command, house: House) -> None:
    house.read(reading(remaining=4200), reading("cap/calls", Kind.CAP, value=5), reading("cap/agents", Kind.CAP))
    house.judge(NOON)
    for given, meters in {"credits": ["credits"], "cap": ["cap/agents", "cap/calls"], "c*s": ["cap/agents"]}.items():
        found = [one["meter"] for one in shape(command, "explain", *RULE, given)["meters"]]
        assert set(meters) <= set(found)
        assert "connection" not in found


# --- a watch with everything


@pytest.fixture
def told(house: House) -> House:
    """4,200 at noon and still at 12:05, 90 at 12:10: told, but the first try failed; silenced since."""
    for at, left in ((0, 4200), (5, 4200), (10, 90)):
        house.balance(left, minutes(at))
    (owed,) = notices.load(house.db, "ops", minutes(10)).owed
    attempt = notices.begin(house.db, "ops", [owed.notice.id], "CRITICAL voice", "left", minutes(10))
    failing = ChannelState(name="ops", failures=1, failing_since=minutes(10), next_try_at=minutes(11))
    took = timedelta(seconds=1)
    notices.finish(house.db, attempt, Outcome.FAILED, "error=500", took, failing, [], minutes(10))
    silence = Hold(id="", kind=HoldKind.SILENCE, from_at=NOON, until_at=None, by="ann", comment="known", rule="low*")
    add_hold(house.db, silence)
    return house


def test_explain_for_people_tells_the_whole_way(command: Command, told: House) -> None:
    code, out = command("explain", *RULE, "credits")
    assert code == 0
    ((episode,),) = told.rows("SELECT id FROM episodes")
    for line in (
        "remaining 4,200 before, 90 now",
        "90 credits left, as of",
        "known: remaining 90, overage 0",
        "yes        condition warning: remaining < 500 or runway_days < 2 (the condition is true)",
        "yes          remaining < 500 (remaining 90)",
        "unknown      runway_days < 2 (runway_days unknown)",
        "yes        silence (",
        "by ann: known",
        "nothing changes: already told, and no worse",
        "only a new reading can change something",
        f"{episode}: critical, opened ",
        "1, the last failed: error=500",
    ):
        assert line in out
    assert "\x1b" not in out


def test_explain_as_json_is_a_stable_shape(command: Command, told: House) -> None:
    explained = shape(command, "explain", *RULE)
    assert list(explained) == ["rule", "account", "at", "stored", "meters", "holds"]
    assert (explained["rule"], explained["account"], explained["stored"]) == ("low-credits", "voice", True)
    assert [hold["kind"] for hold in explained["holds"]] == ["silence"]
    found = meter_of(explained)
    assert list(found) == [
        "meter",
        "kind",
        "watched",
        "reading",
        "history",
        "gates",
        "watch",
        "now",
        "next",
        "episode",
        "notices",
        "wake_at",
    ]
    assert found["reading"]["stale"] is False
    assert found["reading"]["fields"]["remaining"] == "90"
    assert [(run["from"], run["until"], run["changed"]) for run in found["history"]] == [
        (z(0), z(5), {}),
        (z(10), z(10), {"remaining": {"from": "4200", "to": "90"}}),
    ]
    assert found["now"] == {"reason": "already told, and no worse", "changes": []}
    assert found["next"] == [
        {
            "change": "resolved",
            "to": None,
            "reason": None,
            "unsaid": False,
            "routes": [],
            "channels": ["ops"],
            "after": {},
        }
    ]
    assert (found["episode"]["level"], found["episode"]["state"]) == ("critical", "open")
    assert found["watch"]["told_at"] == z(10)
    assert found["wake_at"] is None


def test_a_gate_as_json(command: Command, told: House) -> None:
    gates = meter_of(shape(command, "explain", *RULE))["gates"]
    (warning,) = [gate for gate in gates if (gate["gate"], gate["level"]) == ("condition", "warning")]
    values = {"remaining": "90", "runway_days": None}
    assert warning == {
        "gate": "condition",
        "level": "warning",
        "answer": "yes",
        "reason": "the condition is true",
        "condition": {
            "text": "remaining < 500 or runway_days < 2",
            "result": True,
            "values": values,
            "parts": [
                {"text": "remaining < 500", "result": True, "values": {"remaining": "90"}, "parts": []},
                {"text": "runway_days < 2", "result": None, "values": {"runway_days": None}, "parts": []},
            ],
        },
        "seconds": None,
        "since": None,
        "until": None,
        "parts": [],
    }


def test_a_notice_as_json_says_when_it_is_tried_again(command: Command, told: House) -> None:
    (notice,) = meter_of(shape(command, "explain", *RULE))["notices"]
    assert notice.pop("change")
    assert notice == {
        "kind": "opened",
        "to": "critical",
        "channel": "ops",
        "state": "waiting",
        "reason": None,
        "settled_at": None,
        "attempts": 1,
        "outcome": "failed",
        "error": "error=500",
        "next_try": z(11),
        "after": None,
    }


def test_explaining_changes_nothing(command: Command, told: House, tmp_path: Path) -> None:
    told.read(reading(as_of=minutes(15), remaining=9000))  # not judged yet
    tables = ("accounts", "watches", "episodes", "changes", "notices", "attempts")
    before = [told.rows(f"SELECT * FROM {table}") for table in tables]
    found = meter_of(shape(command, "explain", *RULE))
    assert [change["change"] for change in found["now"]["changes"]] == ["resolved"]
    assert [told.rows(f"SELECT * FROM {table}") for table in tables] == before


def test_an_episode_that_is_over_is_shown_with_its_end(command: Command, told: House) -> None:
    told.balance(9000, minutes(15))
    found = meter_of(shape(command, "explain", *RULE))
    assert (found["episode"]["state"], found["episode"]["end"]) == ("ended", "topped up")
    assert [notice["kind"] for notice in found["notices"]] == ["opened", "resolved"]
    assert "ended" in command("explain", *RULE)[1]


def test_a_meter_that_is_gone_is_said_to_be(command: Command, told: House) -> None:
    told.read(outages=(), answered=("credits",))  # recorded, and not judged yet
    _, out = command("explain", *RULE)
    assert "gone: the vendor's last answer had it no more" in out
    assert "resolved to ops, which heard of it before: gone at the vendor" in out


# --- quiet hours and escalations

ESCALATING = """
[channels.boss]
url = { env = "NOT_NEEDED_HERE" }
[[routes]]
match = { level = "critical" }
channels = ["boss"]
after = "2h"
[[routes]]
match = { level = "critical" }
"""


@pytest.fixture
def escalating(command: Command, tmp_path: Path) -> House:
    """Critical for an hour: ops was owed it at once, and is quiet; the boss is to hear of it in an hour."""
    now = read_clock()
    begin, tomorrow = now - timedelta(hours=1), now.date() + timedelta(days=1)
    text = CONFIG.replace('[[routes]]\nmatch = { level = "critical" }\n', ESCALATING)
    quiet = f'quiet = "{begin.date()}..{tomorrow}"\n[channels.boss]'
    path = tmp_path / "config.toml"
    path.write_text(text.replace("[channels.boss]", quiet))
    outline = make_outline(load_config(path))
    house = House(tmp_path / "budgetd.db")
    house.ruleset, house.routing = outline.ruleset, outline.routing
    house.balance(90, begin)
    return house


def gates_of(command: Command, name: str) -> list[Any]:
    return [gate for gate in meter_of(shape(command, "explain", *RULE))["gates"] if gate["gate"] == name]


def test_explain_tells_who_hears_later_and_which_channel_is_quiet(command: Command, escalating: House) -> None:
    _, out = command("explain", *RULE, "credits")
    for line in (
        "quiet (all but what becomes critical is held at ops)",
        "waiting    after (told later, if it is still to be told then)",
        "waiting      boss, opened critical 2h (if nobody acks, and it is no better, since ",
        "resolved to ops, which heard of it before",
        "only if nobody acks",
    ):
        assert line in out


def test_explain_tells_where_a_change_would_go_later(command: Command, escalating: House) -> None:
    escalating.db.execute("DELETE FROM watches")
    _, out = command("explain", *RULE, "credits")
    assert "opened critical to boss, ops by routes#1 and routes#2; boss only after 2h, if nobody acks" in out
    (change,) = meter_of(shape(command, "explain", *RULE))["now"]["changes"]
    assert (change["channels"], change["after"]) == (["boss", "ops"], {"boss": 7200.0})


def test_the_gates_of_quiet_hours_and_escalation_as_json(command: Command, escalating: House) -> None:
    ((quiet,), (after,)) = gates_of(command, "quiet"), gates_of(command, "after")
    assert (quiet["answer"], [part["gate"] for part in quiet["parts"]]) == ("yes", ["ops"])
    assert quiet["parts"][0]["reason"].startswith("quiet until 00:00 UTC (")
    (part,) = after["parts"]
    ((due_at,),) = escalating.rows("SELECT due_at FROM notices WHERE channel = 'boss'")
    assert (after["answer"], part["gate"], part["level"], part["seconds"]) == (
        "waiting",
        "boss, opened",
        "critical",
        7200,
    )
    assert part["until"] == due_at


def test_an_ack_is_seen_to_stop_an_escalation(command: Command, escalating: House) -> None:
    ((episode,),) = escalating.rows("SELECT id FROM episodes")
    add_hold(escalating.db, Hold(id="", kind=HoldKind.ACK, from_at=NOON, episode=episode))
    (after,) = gates_of(command, "after")
    assert (after["answer"], after["reason"]) == ("no", "as it is now, it will not be told")
    assert after["parts"][0]["reason"] == "acked by now"


def test_an_episode_shows_what_waits_for_its_time(command: Command, escalating: House) -> None:
    ((episode,),) = escalating.rows("SELECT id FROM episodes")
    _, out = command("episodes", episode)
    assert "    boss: waits until " in out
    assert ": only if nobody acks\n" in out
    (notice, _) = shape(command, "episodes", episode)[0]["notices"]
    ((due_at,),) = escalating.rows("SELECT due_at FROM notices WHERE channel = 'boss'")
    assert (notice["channel"], notice["after"], notice["due_at"]) == ("boss", 7200.0, due_at)


def test_status_says_what_is_held_and_until_when(command: Command, escalating: House) -> None:
    _, out = command("status")
    (ops,) = [line for line in out.splitlines() if line.startswith("ops ")]
    assert "0, quiet until" in ops
    (boss,) = [line for line in out.splitlines() if line.startswith("boss ")]
    assert "1 (1 later)" in boss
    channels = {one["channel"]: one for one in shape(command, "status")["channels"]}
    assert channels["boss"]["quiet_until"] is None
    assert channels["boss"]["later"] == 1
    assert channels["ops"]["quiet_until"].endswith("T00:00:00.000000Z")


# --- history


def play(house: House, course: Sequence[tuple[float, int]]) -> None:
    for at, left in course:
        house.balance(left, minutes(at))


def test_history_is_one_line_for_each_stretch(command: Command, house: House) -> None:
    play(house, [(0, 4200), (5, 4200), (10, 900), (15, 900), (20, 5000)])
    code, out = command("history", "voice", "credits", "--since", "3650d")
    assert code == 0
    columns = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    assert columns[0] == ["from", "until", "remaining", "changed"]
    assert [line[2:] for line in columns[2:]] == [
        ["4,200", "the first that is stored"],
        ["900", "remaining 4,200 before, 900 now"],
        ["5,000", "remaining 900 before, 5,000 now"],
    ]


def test_history_as_json(command: Command, house: House) -> None:
    for at, used in ((0, "10.50"), (5, "95")):
        turns = reading("turns", Kind.QUOTA, as_of=minutes(at), unit="turns", used=Decimal(used), limit=100)
        house.read(turns)
    found = shape(command, "history", "voice", "turns", "--since", "3650d")
    runs = found.pop("runs")
    assert found == {"account": "voice", "meter": "turns", "kind": "quota", "unit": "turns", "headline": "used_percent"}
    assert [run["headline"] for run in runs] == ["10.50", "95"]
    assert runs[1] == {
        "from": z(5),
        "until": z(5),
        "fields": {"limit": "100", "used": "95"},
        "changed": {"used": {"from": "10.50", "to": "95"}},
        "headline": "95",
    }


def test_history_begins_with_the_stretch_that_reaches_into_the_time_asked_for(command: Command, house: House) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=NOON.tzinfo)
    for at, left in ((long_ago, 9000), (long_ago + timedelta(days=1), 4200), (NOON, 4200), (minutes(5), 900)):
        house.balance(left, at)
    runs = shape(command, "history", "voice", "credits", "--since", "3000d")["runs"]
    assert [(run["fields"]["remaining"], run["changed"]["remaining"]["from"]) for run in runs] == [
        ("4200", "9000"),
        ("900", "4200"),
    ]


def test_history_of_a_meter_that_is_gone_stays(command: Command, house: House) -> None:
    due = reading("schedule/2026-07", Kind.CHARGE, account="talk", due_at=minutes(60 * 24 * 3), amount=100)
    house.poll("talk", (due,), NOON, answered=["schedule"])
    house.poll("talk", (), minutes(5), answered=["schedule"])
    found = shape(command, "history", "talk", "schedule/2026-07", "--since", "3650d")
    assert (found["kind"], [run["headline"] for run in found["runs"]]) == ("charge", ["3"])


def test_history_of_a_meter_that_nobody_knows_any_more_has_no_headline(command: Command, house: House) -> None:
    house.read(reading("seats", Kind.CAP, value=5))
    house.read(answered=("seats",))
    found = shape(command, "history", "voice", "seats", "--since", "3650d")
    assert (found["kind"], found["headline"], found["runs"][0]["fields"]) == (None, None, {"value": "5"})
    assert "the first that is stored" in command("history", "voice", "seats", "--since", "3650d")[1]


def test_history_of_an_account_that_is_switched_off_stays(command: Command, house: House) -> None:
    house.read(reading("credits", account="old", remaining=5))
    assert len(shape(command, "history", "old", "credits", "--since", "3650d")["runs"]) == 1


def test_history_without_a_reading_in_time_says_so(command: Command, house: House) -> None:
    house.balance(4200, datetime(2001, 1, 1, tzinfo=NOON.tzinfo))
    assert command("history", "voice", "credits", "--since", "12h") == (
        0,
        "nothing was read of voice credits in the last 12h\n",
    )


# --- what people are shown of each state

EASING = [(0, 90), (5, 400), (10, 400)]


@pytest.mark.parametrize(
    ("rules", "course", "said"),
    [
        pytest.param("for = '3650d'", [(0, 90), (5, 90)], "for critical 521w3d", id="what `for` still waits for"),
        pytest.param("for = '3650d'", [(0, 90), (5, 90)], "the clock alone can change something at", id="until when"),
        pytest.param("", EASING, "eased warning, recorded and not told: better for long enough", id="an ease"),
        pytest.param("ease_for = '3650d'", EASING, "waiting    ease_for 521w3d (not for long enough yet", id="easing"),
        pytest.param("unless = 'remaining / 2 < 50'", [(0, 90)], "remaining / 2 is 45 (remaining 90)", id="a sum"),
        pytest.param("unless = 'remaining / 2 < 50'", [(0, 90)], "yes        unless: remaining / 2", id="an excuse"),
        pytest.param("", [(0, 400), (5, 9000)], "topped up", id="an end"),
        pytest.param("", [(0, 9000)], "the first that is stored", id="the first reading"),
    ],
)
def test_explain_for_people(
    rules: str, course: Sequence[tuple[float, int]], said: str, command: Command, house: House, tmp_path: Path
) -> None:
    text = CONFIG.replace(" or runway_days < 2", "").replace('clear = "remaining > 600"', rules)
    (tmp_path / "config.toml").write_text(text)
    outline = make_outline(load_config(tmp_path / "config.toml"))
    house.ruleset = outline.ruleset
    # The command has the machine's clock: the course ends a day before it.
    begin = read_clock() - timedelta(days=1)
    for at, left in course:
        house.balance(left, begin + timedelta(minutes=at))
    code, out = command("explain", *RULE)
    assert code == 0
    assert said in out


def test_what_is_unknown_because_it_is_stale_is_said(command: Command, house: House, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.replace('stale_after = "3650d"\n', ""))
    house.balance(90, datetime(2001, 1, 1, tzinfo=NOON.tzinfo))
    _, out = command("explain", *RULE)
    assert "unknown credits left, stale: as last read 1 Jan 2001" in out
    assert "unknown because it is stale: remaining" in out
    assert "what was measured is unknown until the next reading" in out
    assert meter_of(shape(command, "explain", *RULE))["reading"]["stale"] is True


def test_what_is_parked_is_said(command: Command, told: House, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.replace('team = "voice" } }', 'team = "growth" } }'))
    _, out = command("explain", *RULE)
    assert "nothing changes: not in the config: parked" in out
    assert "no           labels.team (voice does not match growth)" in out
    told.ruleset = make_outline(load_config(path)).ruleset
    told.judge_all(minutes(15))
    assert "parked since" in command("explain", *RULE)[1]
    for verb in ("status", "episodes"):
        assert "parked, silenced" in command(verb)[1]
    assert [one["state"] for one in shape(command, "status")["episodes"]] == ["parked"]


def test_the_period_of_a_watch_is_shown(command: Command, house: House) -> None:
    for at, ends in ((0, 600), (5, 9000), (601, 9000)):
        house.read(reading(as_of=minutes(at), remaining=90, resets_at=minutes(ends)))
        house.judge(minutes(at))
    assert "in the period that ends" in command("explain", *RULE)[1]
