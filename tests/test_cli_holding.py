"""`ack`, `silence` and `holds` beside a store that a daemon has written."""

import json
import re
from pathlib import Path

import pytest

from build import account, minutes, reading
from commanding import Command, command_on
from house import House

CONFIG = """
[daemon]
state = "budgetd.db"
[accounts.voice]
provider = "cekura"
api_key = { env = "NOT_NEEDED_HERE" }
[rules.low-credits]
on = { kind = "balance" }
warning = "remaining < 500"
"""


@pytest.fixture
def episode(tmp_path: Path) -> str:
    """The id of the one open episode of a store in `tmp_path`."""
    house = House(tmp_path / "budgetd.db")
    house.balance(400)
    ((episode,),) = house.rows("SELECT id FROM episodes")
    house.db.close()
    return str(episode)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return command_on(path)


def held(command: Command) -> list[dict[str, object]]:
    code, out = command("holds", "list", "--json")
    assert code == 0
    shapes: list[dict[str, object]] = json.loads(out)
    return shapes


def test_an_ack_is_listed_shown_and_taken_back(command: Command, episode: str) -> None:
    code, out = command("ack", episode[:5], "--until", "worse", "--comment", "on it")
    assert code == 0
    assert f"episode {episode} is acked until it is worse" in out
    (hold,) = held(command)
    assert (hold["kind"], hold["episode"], hold["worse_than"], hold["comment"]) == ("ack", episode, "warning", "on it")
    assert "open, acked" in command("status")[1]
    assert json.loads(command("status", "--json")[1])["episodes"][0]["acked"] is True
    assert command("holds", "end", str(hold["id"])) == (0, f"{hold['id']}: ended\n")
    assert held(command) == []
    assert "ended" in command("holds", "list", "--all")[1]


def test_an_ack_ends_with_its_episode(command: Command, episode: str, tmp_path: Path) -> None:
    command("ack", episode)
    house = House(tmp_path / "budgetd.db")
    house.balance(5000)
    house.db.close()
    assert held(command) == []
    assert episode not in command("status")[1]
    assert re.search(rf"ack +episode {episode} +ended ", command("holds", "list", "--all")[1])


def test_a_silence_is_listed_and_shown(command: Command, episode: str) -> None:
    code, out = command("silence", "--account", "voice", "--label", "team=a", "--for", "4h", "--comment", "night")
    assert code == 0
    assert re.match("[0-9a-f]{6}: silent until ", out)
    (hold,) = held(command)
    assert (hold["account"], hold["rule"], hold["labels"]) == ("voice", "*", {"team": "a"})
    command("silence", "--rule", "low-credits", "--for", "4h")
    assert json.loads(command("status", "--json")[1])["episodes"][0]["silenced"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["ack", "zzzz"], "no episode's id begins with 'zzzz'; known: ", id="no such episode"),
        pytest.param(["ack", ""], "", id="the only one, by no letter at all"),
        pytest.param(["silence", "--for", "4h"], "give --rule, --account, --meter or --label", id="of what"),
        pytest.param(
            ["silence", "--for", "4", "--rule", "low-credits"], "--for: expected a duration", id="no duration"
        ),
        pytest.param(
            ["silence", "--for", "4h", "--rule", "low-credit"], "did you mean low-credits?", id="a misspelt rule"
        ),
        pytest.param(["silence", "--for", "4h", "--account", "vice"], "did you mean voice?", id="a misspelt account"),
        pytest.param(["silence", "--for", "4h", "--meter", "credit"], "did you mean credits?", id="a misspelt meter"),
        pytest.param(["silence", "--for", "4h", "--meter", "cap/agents"], "", id="an item of a meter"),
        pytest.param(["silence", "--for", "4h", "--meter", "connection"], "", id="the connection"),
        pytest.param(["silence", "--for", "4h", "--meter", "turns*"], "", id="a pattern of meters to come"),
        pytest.param(["silence", "--for", "4h", "--label", "team"], "--label: expected NAME=VALUE", id="no label"),
        pytest.param(
            ["silence", "--for", "4h", "--label", "team=a", "--label", "team=b"],
            "--label: team is given twice",
            id="a label twice",
        ),
        pytest.param(["holds", "end", "zzzz"], "no active hold has the id 'zzzz'", id="no such hold"),
    ],
)
def test_bad_words(words: list[str], said: str, command: Command, episode: str) -> None:
    code, out = command(*words)
    assert code == (2 if said else 0)
    assert said in out


def test_what_has_ended_is_not_acked(command: Command, episode: str, tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db")
    house.balance(600, minutes(5))
    house.db.close()
    assert command("ack", episode[:4]) == (2, f"the episode {episode} has ended: there is nothing to ack")
    assert command("ack", "zzzz") == (2, "no episode's id begins with 'zzzz'; none is open")


def test_an_ack_that_may_mean_several_names_them(command: Command, episode: str, tmp_path: Path) -> None:
    house = House(tmp_path / "budgetd.db", accounts=[account(), account("other")])
    house.read(reading(account="other", remaining=400))
    house.judge(minutes(5))
    ids = [id_ for (id_,) in house.rows("SELECT id FROM episodes ORDER BY opened_at, id")]
    house.db.close()
    assert command("ack", "") == (2, f"'' begins {', '.join(ids)}: write more of it")
    assert command("ack", episode)[0] == 0


@pytest.mark.parametrize(
    ("until", "said"),
    [
        pytest.param("tomorrow", "expected resolved, worse or a date", id="no date"),
        pytest.param("2020-01-01", "2020-01-01 is past", id="a date that is past"),
    ],
)
def test_an_ack_until_when(until: str, said: str, command: Command, episode: str) -> None:
    code, out = command("ack", episode, "--until", until)
    assert code == 2
    assert said in out


def test_before_the_daemon_has_run_there_is_nothing_to_ack(command: Command, tmp_path: Path) -> None:
    code, out = command("ack", "abc")
    assert code == 2
    assert "the daemon has not run" in out
    assert not (tmp_path / "budgetd.db").exists()


def test_silence_may_come_before_the_daemon_has_run(command: Command) -> None:
    assert command("silence", "--account", "voice", "--for", "1h")[0] == 0
    assert [one["account"] for one in held(command)] == ["voice"]
