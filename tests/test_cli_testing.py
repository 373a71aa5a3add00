"""`budgetd test`: what a failing test shows, which line a bad file gets, the exit codes, and the JSON."""

import json
import sys
from pathlib import Path

import pytest

from budgetd.cli import main

RULE = """
[rules.low]
on       = { kind = "balance" }
warning  = "remaining < 500"
critical = "remaining < 100"
"""
GOOD = """
[[test]]
name   = "a jump"
values = [1000, 50]
expect = [{ at = "5m", change = "opened", level = "critical" }]
"""


class Shell:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)

    def write(self, text: str, name: str = "low.toml") -> str:
        (self.folder / name).write_text(text)
        return name

    def test(self, *words: str) -> tuple[int, str, list[str]]:
        """Exit code, output, and lines of errors."""
        self._monkeypatch.setattr(sys, "argv", ["budgetd", "test", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err.splitlines()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


def test_what_passes_is_counted(shell: Shell) -> None:
    one, two = shell.write(RULE + GOOD), shell.write(RULE + GOOD + GOOD, "more.toml")
    assert shell.test(one) == (0, "1 test passed\n", [])
    assert shell.test(one, two) == (0, "3 tests passed\n", [])


def case(course: str, expect: str, more: str = "") -> str:
    return f'{RULE}\n[[test]]\nname = "mine"\n{course}\nexpect = {expect}\n{more}\n'


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        pytest.param(
            case("values = [1000, 50]", '[{ at = "5m", change = "opened", level = "warning" }]'),
            [
                "changes:",
                "-     5m  2026-01-05 12:05:00  opened warning",
                "+     5m  2026-01-05 12:05:00  opened critical  low  test/credits: condition is true (remaining 50)",
            ],
            id="another level",
        ),
        pytest.param(
            case("values = [400, 900]", '[{ at = "0m", change = "opened" }]'),
            [
                "changes:",
                "      0s  2026-01-05 12:00:00  opened warning  low  test/credits: condition is true (remaining 400)",
                "+     5m  2026-01-05 12:05:00  resolved warning  low  test/credits: topped up (remaining 900)",
            ],
            id="one too many",
        ),
        pytest.param(
            case("values = [1000]", '[{ at = "0m", change = "opened", rule = "low", reason = "condition is true" }]'),
            ["changes:", "-     0s  2026-01-05 12:00:00  opened  low: condition is true"],
            id="one too few",
        ),
        pytest.param(
            case("values = [400]", '[{ at = "1m", change = "opened" }]'),
            [
                "changes:",
                "-     1m  2026-01-05 12:01:00  opened",
                "+     0s  2026-01-05 12:00:00  opened warning  low  test/credits: condition is true (remaining 400)",
            ],
            id="another time",
        ),
        pytest.param(
            case(
                "values = [400]",
                '[{ at = "0m", change = "opened" }]',
                'state = [{ at = "0m", level = "critical", meter = "credits" }]',
            ),
            [
                "state:",
                "-     0s  2026-01-05 12:00:00  critical  credits",
                "+     0s  2026-01-05 12:00:00  warning",
            ],
            id="another state",
        ),
    ],
)
def test_a_difference_is_shown_line_by_line(shell: Shell, file: str, lines: list[str]) -> None:
    code, out, _ = shell.test(shell.write(file))
    assert code == 1
    assert out.splitlines() == ["FAILED low.toml: mine", *(f"    {line}" for line in lines), "", "1 of 1 test failed"]


@pytest.mark.parametrize(
    "message",
    [
        '{ at = "1m" }',
        '{ at = "0m", channel = "ops" }',
        '{ at = "0m", title = "CRITICAL" }',
        '{ at = "0m", contains = "401 credits" }',
        '{ at = "0m", lacks = "400 credits" }',
    ],
)
def test_messages_that_differ(shell: Shell, message: str) -> None:
    opened = '[{ at = "0m", change = "opened" }]'
    code, out, _ = shell.test(shell.write(case("values = [400]", opened, f"messages = [{message}]")))
    assert code == 1
    assert [line.strip()[0] for line in out.splitlines()[2:4]] == ["-", "+"]
    assert "'WARNING test: 400 credits left'" in out


def test_a_message_that_is_not_expected_fails(shell: Shell) -> None:
    file = shell.write(case("values = [400]", '[{ at = "0m", change = "opened" }]', "messages = []"))
    assert shell.test(file)[0] == 1


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        pytest.param(GOOD.replace("values", "valus"), "test#1.valus: unknown key; did you mean values?", id="key"),
        pytest.param(
            GOOD.replace("level", "lvl"), "test#1.expect#1.lvl: unknown key; did you mean level?", id="key of a change"
        ),
        pytest.param(
            GOOD.replace("opened", "openned"),
            'test#1.expect#1.change: there is no "openned" here; did you mean opened?',
            id="change",
        ),
        pytest.param(
            '[[test]]\nname = "mine"\n',
            "test#1.expect: is missing: what is told, in order; [] where nothing is",
            id="nothing expected",
        ),
        pytest.param(RULE, "test: is missing", id="no test"),
        pytest.param(
            GOOD.replace('"5m"', '"5 minutes"'),
            'test#1.expect#1.at: expected how long after the start, such as "0m" or "1d", or a date',
            id="time",
        ),
        pytest.param(
            GOOD.replace("values = [1000, 50]", "series = [{ remainin = 5 }]"),
            "test#1.series#1.remainin: remainin is no field that a balance is read with; did you mean remaining?",
            id="field of a reading",
        ),
        pytest.param(
            GOOD.replace("50]", '"much"]'),
            'test#1.values#2: expected a number, "unlimited" or "unknown"',
            id="value",
        ),
        pytest.param(
            GOOD.replace("values = [1000, 50]", 'series = [{ at = "5m" }, { at = "1m" }]'),
            "test#1.series#2.at: is before the entry above it, or before the start",
            id="order",
        ),
        pytest.param(
            GOOD + 'only = "lo"\n', "test#1.only: no rule is named 'lo'; did you mean low?", id="rule of a test"
        ),
        pytest.param(
            GOOD + 'rules = { low = { warning = "remainin < 5" } }\n',
            "test#1: rules.low.warning: there is no remainin here; did you mean remaining?",
            id="rule in a test",
        ),
        pytest.param(
            GOOD + 'reload = [{ at = "1m", rules = { low = { warnin = "x" } } }]\n',
            "test#1.reload#1: rules.low.warnin: unknown key; did you mean warning?",
            id="rule of a reload",
        ),
        pytest.param(
            GOOD + 'down = [{ channel = "ops", from = "0m", until = "1h" }]\n',
            "test#1.down#1.channel: no channel is named 'ops'; known: test",
            id="channel",
        ),
        pytest.param(
            GOOD + 'sleeps = [{ from = "1m", until = "10m" }]\n',
            "test#1.sleeps#1: there is a poll in it: nobody polls while it sleeps",
            id="poll in a sleep",
        ),
        pytest.param(
            GOOD + 'kind = "connection"\n',
            "test#1: the connection is no meter of a test: it follows from the outages",
            id="connection",
        ),
        pytest.param(
            GOOD.replace("50]", '"50 x10", "50 x99999"]'),
            "test#1.values#3: makes more than 100,000 polls",
            id="too many",
        ),
    ],
)
def test_a_bad_file_is_one_line(shell: Shell, file: str, problem: str) -> None:
    code, out, errors = shell.test(shell.write(file if file is RULE else RULE + file))
    assert (code, out, errors) == (78, "", [f"low.toml: {problem}"])


@pytest.mark.parametrize(
    ("top", "problem"),
    [
        pytest.param(
            'include = ["pack:essential"]', "include#1: no pack is named 'essential'; did you mean", id="pack"
        ),
        pytest.param('timezone = "Mars/Base"', "timezone: no time zone is named 'Mars/Base'", id="zone"),
        pytest.param('config = "none.toml"', "can't be read: No such file or directory", id="config"),
    ],
)
def test_a_bad_beginning_is_one_line(shell: Shell, top: str, problem: str) -> None:
    code, _, errors = shell.test(shell.write(f"{top}\n{GOOD}"))
    assert code == 78
    assert len(errors) == 1
    assert problem in errors[0]


def test_all_that_is_wrong_with_all_files_is_said_at_once(shell: Shell) -> None:
    one, two = shell.write(RULE + GOOD + 'only = "lo"\n'), shell.write("x = 1\n" + GOOD, "more.toml")
    code, _, errors = shell.test(one, two, "none.toml")
    assert code == 78
    assert [line.split(":")[0] for line in errors] == ["low.toml", "more.toml", "none.toml"]


def test_json(shell: Shell) -> None:
    code, out, _ = shell.test(shell.write(RULE + GOOD), "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert (found["file"], found["test"], found["passed"], found["differences"]) == ("low.toml", "a jump", True, [])
    assert found["changes"] == [
        {
            "at": "2026-01-05T12:05:00.000000Z",
            "change": "opened",
            "rule": "low",
            "account": "test",
            "meter": "credits",
            "from": None,
            "to": "critical",
            "reason": "condition is true",
            "told": True,
        }
    ]
    assert [message["title"] for message in found["messages"]] == ["CRITICAL test: 50 credits left"]


# --- a whole config under test

CONFIG = f"""
[accounts.voice]
provider = "cekura"
api_key  = {{ env = "NOT_SET" }}
owner    = "voice@acme.example"
interval = "1h"

[channels.ops]
url = {{ env = "NOT_SET" }}
{RULE}
"""


def test_a_config_is_tested_without_its_secrets(shell: Shell) -> None:
    shell.write(CONFIG, "config.toml")
    file = shell.write("""
config = "config.toml"
[[test]]
name     = "as the service would tell it"
values   = [1000, 400, "unreachable x9"]
expect   = [{ at = "1h", change = "opened", account = "voice" }]
messages = [{ at = "1h5s", channel = "ops", title = "WARNING voice: 400 credits left", contains = "Owner: voice" }]
""")
    assert shell.test(file) == (0, "1 test passed\n", [])


def test_a_config_s_account_is_named_right(shell: Shell) -> None:
    shell.write(CONFIG, "config.toml")
    code, _, errors = shell.test(shell.write('config = "config.toml"\n' + GOOD + 'account = "voce"\n'))
    assert code == 78
    assert errors == ["low.toml: test#1.account: the config enables no 'voce'; did you mean voice?"]


def test_a_config_says_its_rules_itself(shell: Shell) -> None:
    shell.write(CONFIG, "config.toml")
    code, _, errors = shell.test(shell.write('config = "config.toml"\n' + RULE + GOOD))
    assert (code, errors) == (78, ["low.toml: rules: the config says it already"])


@pytest.mark.parametrize("built_in", [True, False])
def test_the_built_in_rules_are_there_when_asked_for(shell: Shell, built_in: bool) -> None:
    top = "built_in = true\n" if built_in else ""
    file = shell.write(top + case('values = ["rejected", "rejected"]', "[]"))
    assert shell.test(file)[0] == int(built_in)


def test_a_built_in_rule_is_there_when_it_is_named(shell: Shell) -> None:
    file = shell.write(case('values = ["rejected", "rejected"]', "[]") + '[rules.rejected]\nfor = "0m"\n')
    assert shell.test(file)[0] == 78, "`for` can't be nothing"
    file = shell.write(case('values = ["rejected", "rejected"]', "[]") + "[rules.rejected]\nenabled = true\n")
    assert shell.test(file)[0] == 1
