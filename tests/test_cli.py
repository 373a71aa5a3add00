"""The command line: what each command prints, its exit codes, and that it never prints a secret."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from budgetd.cli import main
from budgetd.cli.app import app
from budgetd.collect.provider import CATALOG
from budgetd.config import load_config
from budgetd.config_paths import SYSTEM_CONFIG
from budgetd.demo.books import Vendor
from budgetd.demo.receivers import Inbox, Webhook
from budgetd.demo.vendors import KEYS, VendorServer
from budgetd.judge import judge_all
from budgetd.planning import make_outline
from budgetd.store import database, notices, polls
from budgetd.store.notices import ChannelState, Outcome
from budgetd.store.polls import Finished
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Settled
from budgetd_rules.notices import NoticeState
from budgetd_rules.polls import Cause, Outage, Poll
from build import minutes, reading
from conftest import WriteConfig

CANARY = "canary-3f9b27c1"
ROOT = get_command(app)
assert isinstance(ROOT, TyperGroup)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return self.err.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Budgetd = Callable[..., Ran]


@pytest.fixture
def budgetd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Budgetd:
    """Runs a command in this process, and asserts that its output has no secrets or tracebacks."""

    def run(*words: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["budgetd", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert CANARY not in out + err
        assert "Traceback" not in err
        assert isinstance(ended.value.code, int)
        return Ran(code=ended.value.code, out=out, err=err)

    return run


ACCOUNT = f'[accounts.voice]\nprovider = "cekura"\napi_key = "{CANARY}"\nstale_after = "3650d"\n'
CHANNEL = f'[channels.ops]\nurl = "json://user:{CANARY}@localhost/"\n'
RULE = '[rules.low-credits]\non = { kind = "balance" }\nwarning = "remaining < 500"\ncritical = "remaining < 100"\n'
GOOD = ACCOUNT + CHANNEL + RULE


# --- exit codes


@pytest.mark.parametrize("verb", ["check", "run", "poll", "status", "episodes"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[daemon]\ninterval = 5m", "line 2, column 13: Expected newline", id="no TOML"),
        pytest.param("[daemons]", "daemons: unknown key; did you mean daemon?", id="an unknown table"),
        pytest.param("[daemon]\nintervall = '1s'", "daemon.intervall: unknown key; did you mean", id="an unknown key"),
        pytest.param(
            "[rules.x]\non = {}\nwarning = 'remaining < '", "rules.x.warning: the end:", id="a rule that is none"
        ),
        pytest.param(
            "[[routes]]\nchannels = ['ops']", "routes#1.channels: no channel is named 'ops'", id="parts that do not fit"
        ),
    ],
)
def test_a_bad_config_ends_every_verb_with_78(
    verb: str, text: str, problem: str, budgetd: Budgetd, write_config: WriteConfig
) -> None:
    path = write_config(text)
    ran = budgetd(verb, "--config", path)
    assert (ran.code, ran.out) == (78, "")
    assert f"{path}: {problem}" in ran.err


@pytest.mark.parametrize("verb", ["check", "run", "poll"])
def test_a_config_without_an_account_is_an_error_for_what_polls(
    verb: str, budgetd: Budgetd, write_config: WriteConfig
) -> None:
    path = write_config("")
    ran = budgetd(verb, "-c", path)
    assert (ran.code, ran.out) == (78, "")
    assert ran.errors == [
        (
            f"{path}: accounts: there is none: write [accounts.NAME] with "
            'provider = "..." and api_key = { env = "..." }; `budgetd providers` lists the providers'
        )
    ]


@pytest.mark.parametrize("verb", ["check", "run", "poll"])
def test_a_proxy_that_is_none_ends_what_polls_with_78(
    verb: str, budgetd: Budgetd, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"htp://user:{CANARY}@proxy.example")
    ran = budgetd(verb, "-c", write_config(f'{GOOD}[daemon]\nstate = "budgetd.db"\n'))
    form = "expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or the same with https:// or socks5://"
    assert (ran.code, ran.out, ran.errors) == (78, "", [f"HTTPS_PROXY in the environment: {form}"])


@pytest.mark.parametrize("verb", ["status", "episodes"])
def test_a_config_without_an_account_has_nothing_to_show(
    verb: str, budgetd: Budgetd, write_config: WriteConfig
) -> None:
    assert budgetd(verb, "-c", write_config("")).code == 0


@pytest.mark.skipif(SYSTEM_CONFIG.exists(), reason="this machine has a config of its own")
def test_no_config_anywhere_says_where_it_looked(budgetd: Budgetd) -> None:
    ran = budgetd("status")
    assert ran.code == 78
    assert len(ran.errors) == 1
    assert ran.err.startswith("no config found: looked for /etc/budgetd/config.toml and ")
    assert ran.err.endswith("`budgetd init` writes one, --config names one\n")


def test_the_config_is_found_by_the_environment(
    budgetd: Budgetd, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDGETD_CONFIG", str(write_config(GOOD)))
    assert budgetd("check").code == 0


@pytest.mark.parametrize(
    ("words", "said", "see"),
    [
        pytest.param(["chek"], "No such command 'chek'. Did you mean 'check'?", "budgetd", id="an unknown verb"),
        pytest.param(
            ["status", "--jsn"], "No such option: --jsn (Possible options: --json)", "budgetd status", id="no option"
        ),
        pytest.param(["check", "-c"], "Option '-c' requires an argument", "budgetd", id="an option without its value"),
        pytest.param(
            ["run", "--log-level", "loud"],
            "Invalid value for '--log-level': 'loud' is not one of 'debug', 'info', 'warning'",
            "budgetd run",
            id="an unknown level",
        ),
        pytest.param(
            ["channels", "test", "ops", "--sample", "opend"],
            "Invalid value for '--sample': 'opend' is not one of 'opened', 'reminder', 'resolved', 'noted', 'many'",
            "budgetd channels test",
            id="an unknown sample",
        ),
        pytest.param(["channels", "test"], "Missing argument 'CHANNEL'", "budgetd channels test", id="too few words"),
        pytest.param(
            ["check", "too", "much"], "Got unexpected extra argument(s) (too much)", "budgetd check", id="too many"
        ),
    ],
)
def test_wrong_words_end_with_2(words: list[str], said: str, see: str, budgetd: Budgetd) -> None:
    ran = budgetd(*words)
    assert (ran.code, ran.out, ran.errors) == (2, "", [f"{said}: see `{see} --help`"])


@pytest.mark.parametrize("words", [[], ["channels"], ["holds"]])
def test_without_a_verb_the_help_is_shown(words: list[str], budgetd: Budgetd) -> None:
    ran = budgetd(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors[0] == f"Usage: {' '.join(['budgetd', *words])} [OPTIONS] COMMAND [ARGS]..."


def _verbs(group: TyperGroup, *before: str) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        yield [*before, name]
        if isinstance(command, TyperGroup):
            yield from _verbs(command, *before, name)


@pytest.mark.parametrize("words", [pytest.param(words, id=" ".join(words)) for words in _verbs(ROOT)])
def test_no_help_speaks_of_python_or_is_cut_short(words: list[str], budgetd: Budgetd) -> None:
    ran = budgetd(*words, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert not re.search(r"<(str|bool|int|list|Path)|[{}]", ran.out)
    assert "..." not in ran.out.partition("\n\n")[2]
    assert ran.out.isascii()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["poll", "Voic"], "no account is named 'Voic'; did you mean voice?", id="poll an account"),
        pytest.param(["probe", "x"], "no account is named 'x'; known: voice", id="probe an account"),
        pytest.param(["explain", "blind", "voic"], "no account is named 'voic'; did you mean voice?", id="explain"),
        pytest.param(["explain", "low", "voice"], "no rule is named 'low'; known: ", id="explain a rule"),
        pytest.param(
            ["silence", "--for", "1h", "--rule", "blnd"], "no rule is named 'blnd'; did you mean blind?", id="silence"
        ),
        pytest.param(
            ["outbox", "retry", "--channel", "opps"], "no channel is named 'opps'; did you mean ops?", id="retry"
        ),
        pytest.param(
            ["poll", "voice", "old"],
            "the account old is switched off: [accounts.old] enabled = false in PATH",
            id="poll a disabled account",
        ),
        pytest.param(
            ["channels", "test", "opps"], "no channel is named 'opps'; did you mean ops?", id="test a channel"
        ),
        pytest.param(
            ["episodes", "zzzz"],
            "no episode's id begins with 'zzzz'; `budgetd episodes --all` lists them",
            id="show an episode",
        ),
    ],
)
def test_an_unknown_name_ends_with_2(words: list[str], said: str, budgetd: Budgetd, write_config: WriteConfig) -> None:
    old = '[accounts.old]\nprovider = "cargo"\nenabled = false\napi_key = { env = "NOT_SET" }\n'
    path = write_config(GOOD + old)
    ran = budgetd(*words, "-c", path)
    assert (ran.code, ran.out, len(ran.errors)) == (2, "", 1)
    assert ran.err.startswith(said.replace("PATH", str(path)))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("cekuro", "did you mean cekura?", id="close to one"),
        pytest.param("CEKURA", "did you mean cekura?", id="in capitals"),
        pytest.param("nosuch", "`budgetd providers` lists them", id="close to none"),
    ],
)
def test_an_unknown_provider_ends_with_2(name: str, hint: str, budgetd: Budgetd) -> None:
    ran = budgetd("providers", name)
    assert (ran.code, ran.out, ran.errors) == (2, "", [f"no provider is named {name!r}; {hint}"])


def test_where_there_is_none_to_choose_from_that_is_said(budgetd: Budgetd, write_config: WriteConfig) -> None:
    ran = budgetd("channels", "test", "ops", "-c", write_config(ACCOUNT))
    assert (ran.code, ran.errors) == (2, ["no channel is named 'ops'; there is none"])


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["poll", "-h"], ["channels", "--help"], ["--version"]])
def test_help_and_version_end_with_0(words: list[str], budgetd: Budgetd) -> None:
    ran = budgetd(*words)
    assert (ran.code, ran.err) == (0, "")
    assert "budgetd" in ran.out
    assert ran.out.isascii()
    assert "..." not in "".join(ran.out.partition("Commands:")[2].split("[ARGS]..."))


# --- check


def test_check_counts_what_is_good(budgetd: Budgetd, write_config: WriteConfig) -> None:
    path = write_config(GOOD)
    ran = budgetd("check", "-c", path)
    assert (ran.code, ran.out, ran.err) == (
        0,
        f"{path}: good: 1 account, 1 channel, 1 rule and 8 built-in or included\n",
        "",
    )


def test_check_warns_of_what_is_probably_not_meant(budgetd: Budgetd, write_config: WriteConfig) -> None:
    path = write_config(ACCOUNT)
    ran = budgetd("check", "-c", path)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"warning: {path}: rules: there is none but the built-in ones: nobody will be told what runs out",
        f"warning: {path}: channels: there is none: nobody will be told anything",
        f"{path}: good: 1 account, 0 channels, 0 rules and 8 built-in or included",
    ]


def test_check_says_which_program_gives_a_key_and_does_not_run_it(
    budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("#!/bin/sh\n>run\n")
    (tmp_path / "token").chmod(0o700)
    path = write_config(GOOD.replace(f'"{CANARY}"', f'{{ command = ["./token", "{CANARY}"] }}', 1))
    ran = budgetd("check", "-c", path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == f"{path}: accounts.voice.api_key: will come from {tmp_path}/token"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("verb", ["check", "run", "poll"])
def test_a_secret_that_others_can_read_is_refused_and_not_shown(
    verb: str, budgetd: Budgetd, write_config: WriteConfig
) -> None:
    path = write_config(GOOD, mode=0o644)
    ran = budgetd(verb, "-c", path)
    assert ran.code == 78
    whole = [f"{path}: accounts.voice.api_key", f"{path}: channels.ops.url"]
    assert [line.partition(": a secret stands")[0] for line in ran.errors] == whole[: 1 if verb == "poll" else 2]


ELSEWHERE = """
[accounts.old]
provider = "cargo"
api_key = { env = "NOT_SET" }
[channels.mail]
url = { file = "/nosuch/url" }
body = { file = "/nosuch/template" }
[daemon.heartbeat]
url = { credential = "nosuch" }
"""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(["poll", "voice"], 0, id="poll"),
        pytest.param(["probe", "voice"], 0, id="probe"),
        pytest.param(["act", "voice"], 0, id="act"),
        pytest.param(["channels", "test", "ops"], 0, id="channels test"),
        pytest.param(["poll"], 78, id="all accounts"),
        pytest.param(["check"], 78, id="the whole config"),
    ],
)
def test_what_has_to_do_with_one_alone_needs_no_other_s_secret(
    words: list[str], code: int, budgetd: Budgetd, write_config: WriteConfig, vendors: VendorServer
) -> None:
    with Webhook("ops", Inbox()) as webhook:
        text = f'{_account(vendors, KEYS[Vendor.CEKURA])}{ELSEWHERE}[channels.ops]\nurl = "{webhook.url}"\n'
        ran = budgetd(*words, "-c", write_config(text))
    assert ran.code == code
    assert ("NOT_SET" in ran.err) == (code == 78)
    assert ("/nosuch" in ran.err) == (words == ["check"])


NASTY = f"""
colour = "{CANARY}"
[daemon]
state = 5
timezone = "Europe/Berln"
interval = 300
[accounts.voice]
provider = "cekura"
api_kee = "{CANARY}"
[accounts."my account"]
provider = 7
api_key = ["{CANARY}"]
params = {{ region = 1.5 }}
base_url = "api.example"
[accounts.growth]
provider = "cargo"
api_key = {{ env = "KEY", file = "{CANARY}" }}
enabled = "yes"
labels = "growth"
[channels]
ops = "json://{CANARY}"
[channels.mail]
group-wait = "5s"
url = {{ path = "{CANARY}" }}
[[routes]]
match = {{ level = "fatal", knd = "balance" }}
channels = "ops"
[[routes]]
channels = []
[rules.low]
on = {{ kind = "balanse" }}
warning = 5
for = {{ warnin = "10m" }}
remind = {{ each = "remaining", steps = [10, "5"] }}
[rules.ends]
warning = "days_until_expiry < 3"
remind = {{}}
"""


def test_the_nastiest_config_gets_a_line_for_each_mistake(budgetd: Budgetd, write_config: WriteConfig) -> None:
    path = write_config(NASTY)
    ran = budgetd("check", "-c", path)
    assert (ran.code, ran.out) == (78, "")
    assert len(ran.errors) == 27
    assert all(re.match(rf"{re.escape(str(path))}: [\w.#\" -]+: \S", line) for line in ran.errors)
    # What pydantic says is about Python.
    assert not re.search(r"[Ii]nput should|tuple|dict|str\b|\[key\]|~", ran.err.replace(str(path), ""))


# --- status and episodes


def test_status_before_the_first_run_says_so(budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path) -> None:
    ran = budgetd("status", "-c", write_config(f'[daemon]\nstate = "x.db"\n{GOOD}'))
    assert (ran.code, ran.err) == (0, "")
    assert f"{tmp_path}/x.db: nothing yet: the daemon has not run on this config" in ran.out
    assert "nothing read yet" in ran.out
    assert "no open episodes" in ran.out
    assert not (tmp_path / "x.db").exists()


def test_status_before_the_first_run_as_json(budgetd: Budgetd, write_config: WriteConfig) -> None:
    ran = budgetd("status", "--json", "-c", write_config(GOOD))
    assert ran.json == {
        "accounts": [
            {
                "account": "voice",
                "provider": "cekura",
                "same_as": None,
                "last_poll": None,
                "last_success": None,
                "next_poll": None,
                "outages": [],
                "readings": [],
            }
        ],
        "episodes": [],
        "channels": [
            {
                "channel": "ops",
                "last_success": None,
                "failing_since": None,
                "waiting": 0,
                "later": 0,
                "held": 0,
                "quiet_until": None,
                "dead": 0,
                "last_error": None,
                "next_digest": None,
                "next_drill": None,
            }
        ],
        "heartbeat": None,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["episodes"], "no open episodes\n", id="open ones"),
        pytest.param(["episodes", "--all"], "no episodes\n", id="all"),
        pytest.param(["episodes", "--json"], "[]\n", id="as JSON"),
    ],
)
def test_episodes_before_the_first_run(
    words: list[str], said: str, budgetd: Budgetd, write_config: WriteConfig
) -> None:
    ran = budgetd(*words, "-c", write_config(GOOD))
    assert (ran.code, ran.out) == (0, said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            b"this is no database, and long enough to be seen as none" * 20, "file is not a database", id="text"
        ),
        pytest.param(b"", "made by an older budgetd; start the daemon once, it migrates", id="an empty file"),
    ],
)
def test_a_state_that_is_no_database_ends_with_1(
    content: bytes, said: str, budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path
) -> None:
    state = tmp_path / "x.db"
    state.write_bytes(content)
    ran = budgetd("status", "-c", write_config(f'[daemon]\nstate = "x.db"\n{GOOD}'))
    assert (ran.code, ran.out, ran.errors) == (1, "", [f"{state}: {said}"])


@pytest.mark.parametrize("verb", ["status", "check", "run"])
def test_a_state_that_is_a_folder_ends_with_78(
    verb: str, budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path
) -> None:
    (tmp_path / "x.db").mkdir()
    path = write_config(f'[daemon]\nstate = "x.db"\n{GOOD}')
    ran = budgetd(verb, "-c", path)
    said = f"{path}: daemon.state: {tmp_path}/x.db is a folder; name a file in it"
    assert (ran.code, ran.out, ran.errors) == (78, "", [said])


@pytest.fixture
def told(write_config: WriteConfig) -> Path:
    """A config whose service read 4,200.50, then 90.25, reported it, and then could not reach the vendor."""
    built_in = ("blind", "rejected", "changed-shape", "exhausted")
    off = "".join(f"[rules.{name}]\nenabled = false\n" for name in built_in)
    path = write_config(f'[daemon]\nstate = "x.db"\n{GOOD}{off}')
    outline = make_outline(load_config(path))
    db = database.open_for_daemon(outline.config.state)
    refused = Outage(request="info", cause=Cause.REJECTED, detail="401: the key is wrong or has expired")
    for after, remaining in ((0, "4200.50"), (5, "90.25"), (10, None)):
        left = Decimal(remaining or 0)
        poll = Poll(
            account="voice",
            provider="cekura",
            at=minutes(after),
            readings=(reading(as_of=minutes(after), remaining=left, granted=50_000),) if remaining else (),
            outages=() if remaining else (refused,),
            answered=frozenset({"credits"} if remaining else ()),
        )
        polls.record(db, [Finished(poll=poll, next_poll_at=minutes(after + 5))])
        judge_all(db, outline.ruleset, outline.routing, minutes(after))
    (owed,) = notices.load(db, "ops", minutes(6)).owed
    for outcome, error in ((Outcome.FAILED, "error=500"), (Outcome.OK, None)):
        attempt = notices.begin(db, "ops", [owed.notice.id], "CRITICAL voice: 90.25 credits", "left", minutes(6))
        is_sent = outcome is Outcome.OK
        settled = [Settled(notice=owed.notice.id, state=NoticeState.SENT, reason="sent")] if is_sent else []
        state = ChannelState(name="ops", last_success=minutes(6) if is_sent else None)
        notices.finish(db, attempt, outcome, error, timedelta(seconds=1), state, settled, minutes(6))
    db.close()
    return path


def _z(after: float) -> str:
    return f"{minutes(after):%Y-%m-%dT%H:%M:%S.%fZ}"


def _outage(detail: str, request: str = "info") -> Outage:
    return Outage(request=request, cause=Cause.MALFORMED, detail=detail)


@pytest.mark.parametrize(
    ("polled", "shown"),
    [
        pytest.param([["a: is text"]], ["a: is text"], id="one"),
        pytest.param([["a", "b", "c"]], ["a (and 2 more: see `budgetd poll voice`)"], id="several values"),
        pytest.param([["a"], ["b", "c"]], ["a (and 1 more: see `budgetd poll voice`)"], id="more by now"),
        pytest.param([["a", "b"], ["b"]], ["a"], id="fewer by now"),
        pytest.param([["a", "b"], []], [], id="over"),
    ],
)
def test_status_says_how_many_more_fail_of_a_request(
    polled: list[list[str]], shown: list[str], budgetd: Budgetd, write_config: WriteConfig
) -> None:
    path = write_config(f'[daemon]\nstate = "x.db"\n{GOOD}')
    db = database.open_for_daemon(load_config(path).state)
    for after, details in enumerate(polled):
        outages = tuple(map(_outage, details))
        seen = Poll(account="voice", provider="cekura", at=minutes(after), readings=(), outages=outages)
        polls.record(db, [Finished(poll=seen, next_poll_at=minutes(after + 5))])
    db.close()
    out = budgetd("status", "-c", path).out
    assert re.findall(r"malformed  +(.*?) *$", out, re.MULTILINE) == shown
    (account,) = budgetd("status", "--json", "-c", path).json["accounts"]
    assert [one["more"] for one in account["outages"]] == [len(polled[-1]) - 1 for _ in shown]


def test_status_as_json(told: Path, budgetd: Budgetd) -> None:
    status = budgetd("status", "--json", "-c", told).json
    (account,) = status["accounts"]
    readings = {one["meter"]: one for one in account.pop("readings")}
    connection = readings.pop("connection")
    hours = connection["fields"].pop("hours_since_success")
    assert hours is None or re.fullmatch(r"-?\d+(\.\d+)?", hours)
    assert account == {
        "account": "voice",
        "provider": "cekura",
        "same_as": None,
        "last_poll": _z(10),
        "last_success": _z(5),
        "next_poll": _z(15),
        "outages": [
            {"request": "info", "cause": "rejected", "detail": "401: the key is wrong or has expired", "more": 0}
        ],
    }
    assert list(readings) == ["credits"]
    assert readings["credits"] == {
        "meter": "credits",
        "kind": "balance",
        "unit": "credits",
        "as_of": _z(5),
        "fields": {
            "remaining": "90.25",
            "granted": "50000",
            "used": None,
            "expires_at": None,
            "resets_at": None,
            "overage_allowed": None,
            "overage_price": None,
            "auto_topup": None,
            "topup_below": None,
            "currency": None,
            "remaining_percent": "0.1805",
            "used_percent": "99.8195",
            "overage": "0",
            "days_until_expiry": None,
            "burn_per_day": None,
            "runway_days": None,
        },
    }
    assert connection == {
        "meter": "connection",
        "kind": "connection",
        "unit": "",
        "as_of": _z(10),
        "fields": {
            "reachable": True,
            "failures": "1",
            "cause": "rejected",
            "detail": "401: the key is wrong or has expired",
            "last_success_at": _z(5),
            "retry_until": None,
            "blind": False,
        },
    }
    (episode,) = status["episodes"]
    assert re.fullmatch("[a-z2-7]{8}", episode.pop("id"))
    assert episode == {
        "rule": "low-credits",
        "account": "voice",
        "meter": "credits",
        "level": "critical",
        "state": "open",
        "opened_at": _z(5),
        "ended_at": None,
        "acked": False,
        "silenced": False,
    }
    assert status["channels"] == [
        {
            "channel": "ops",
            "last_success": _z(6),
            "failing_since": None,
            "waiting": 0,
            "later": 0,
            "held": 0,
            "quiet_until": None,
            "dead": 0,
            "last_error": None,
            "next_digest": None,
            "next_drill": None,
        }
    ]


@pytest.mark.parametrize("words", [["episodes"], ["episodes", "--all"]], ids=["open ones", "all"])
def test_episodes_as_json(words: list[str], told: Path, budgetd: Budgetd) -> None:
    (episode,) = budgetd(*words, "--json", "-c", told).json
    id_ = episode.pop("id")
    (change,) = episode.pop("changes")
    (notice,) = episode.pop("notices")
    assert change.pop("id") == notice.pop("change")
    assert list(episode) == ["rule", "account", "meter", "level", "state", "opened_at", "ended_at", "acked", "silenced"]
    assert change == {
        "at": _z(5),
        "change": "opened",
        "from": None,
        "to": "critical",
        "reason": "condition is true",
        "unsaid": False,
        "values": {"remaining": "90.25"},
    }
    assert notice == {
        "channel": "ops",
        "state": "sent",
        "reason": "sent",
        "attempts": 2,
        "outcomes": ["failed", "ok"],
        "sent_at": _z(6),
        "due_at": None,
        "after": None,
        "title": "CRITICAL voice: 90.25 credits",
        "body": "left",
    }
    for beginning in (id_, id_[:3], id_[:3].upper()):
        assert budgetd("episodes", beginning, "--json", "-c", told).json[0]["id"] == id_


@pytest.mark.parametrize("wanted", ["%", "_", "%a", "'"])
def test_an_id_is_no_pattern(wanted: str, told: Path, budgetd: Budgetd) -> None:
    ran = budgetd("episodes", wanted, "-c", told)
    assert (ran.code, len(ran.errors)) == (2, 1)


def test_status_for_people(told: Path, budgetd: Budgetd) -> None:
    ran = budgetd("status", "-c", told)
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    for said in (
        "90.25 credits",
        "rejected",
        "401: the key is wrong",
        "critical",
        "low-credits",
        "watched by no rule: ",
    ):
        assert said in ran.out
    assert "voice connection" in ran.out.partition("watched by no rule: ")[2]


def test_an_episode_for_people_has_the_very_words_that_were_sent(told: Path, budgetd: Budgetd) -> None:
    (episode,) = budgetd("episodes", "--json", "-c", told).json
    ran = budgetd("episodes", episode["id"], "-c", told)
    assert ran.code == 0
    for said in (
        "opened critical: condition is true  (remaining 90.25)",
        "ops: sent at ",
        "after 2 attempts (failed, ok)",
        "CRITICAL voice: 90.25 credits",
    ):
        assert said in ran.out


def test_an_account_that_left_the_config_is_not_shown(told: Path, budgetd: Budgetd) -> None:
    told.write_text(told.read_text().replace("accounts.voice", "accounts.other"))
    status = budgetd("status", "--json", "-c", told).json
    assert [(one["account"], one["readings"]) for one in status["accounts"]] == [("other", [])]
    assert [one["account"] for one in status["episodes"]] == ["voice"]


# --- providers


def test_providers_as_json(budgetd: Budgetd) -> None:
    shapes = budgetd("providers", "--json").json
    assert [one["provider"] for one in shapes] == sorted(file.stem for file in CATALOG.glob("*.toml"))
    for shape in shapes:
        known = ["provider", "title", "docs", "evidence", "base_url", "key", "rate_limit", "params", "meters", "file"]
        assert list(shape) == known
        assert all(list(meter) == ["meter", "kind", "unit", "fields"] for meter in shape["meters"])
        assert all(meter["kind"] in list(Kind) and meter["fields"] for meter in shape["meters"])
    (sonzai,) = (shape for shape in shapes if shape["provider"] == "sonzai")
    found = [meter["meter"] for meter in sonzai["meters"]]
    assert found[:5] == ["credits", "postpaid", "billing", "contract", "schedule"]


def test_providers_are_a_line_each(budgetd: Budgetd) -> None:
    lines = [re.split(r" {2,}", line.strip()) for line in budgetd("providers").out.splitlines()[2:]]
    assert [line[0] for line in lines] == sorted(file.stem for file in CATALOG.glob("*.toml"))
    assert ["cargo", "Cargo", "credits, additional, subscription, overage/…, cap/…", "confirmed"] in lines
    (sonzai,) = (line for line in lines if line[0] == "sonzai")
    assert sonzai[2] == "credits, postpaid, billing, contract, schedule/…, contract_term/… and 17 more"
    assert ["deepseek", "DeepSeek", "balance/…, access", "secondary"] in lines


def test_one_provider(budgetd: Budgetd) -> None:
    (shape,) = budgetd("providers", "twilio", "--json").json
    (param,) = shape["params"]
    assert (shape["provider"], shape["evidence"], shape["base_url"]) == (
        "twilio",
        "confirmed",
        "https://api.twilio.com",
    )
    assert (param["param"], param["required"], param["secret"], param["default"]) == ("account_sid", True, False, None)
    out = budgetd("providers", "twilio").out
    for said in (
        "key:      Twilio wants the auth token of the main account",
        "param:    account_sid (required): the account's SID",
        "base_url: https://api.twilio.com",
        "docs:     support.twilio.com/",
        "evidence: confirmed by the vendor's own documents",
    ):
        assert said in out
    assert re.search(r"^balance +balance +remaining, .*, runway_days *$", out, re.MULTILINE)
    assert shape["rate_limit"] is None
    assert "takes:" not in out
    assert "path (default /v1/billing/subscription): " in budgetd("providers", "cargo").out
    assert "\n  takes:    6 requests in 1m, of all accounts together\n" in budgetd("providers", "scrapingbee").out
    (limited,) = budgetd("providers", "scrapingbee", "--json").json
    assert limited["rate_limit"] == {"requests": 6, "per": "1m"}


# --- poll and channels test, against servers on loopback


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with VendorServer() as vendors:
        yield vendors


def _account(vendors: VendorServer, key: str) -> str:
    base_url = vendors.base_url(Vendor.CEKURA)
    return f'[accounts.voice]\nprovider = "cekura"\nbase_url = "{base_url}"\napi_key = "{key}"\n'


def test_poll_as_json(vendors: VendorServer, budgetd: Budgetd, write_config: WriteConfig) -> None:
    ran = budgetd("poll", "voice", "--json", "-c", write_config(_account(vendors, KEYS[Vendor.CEKURA])))
    (shape,) = ran.json
    assert (ran.code, ran.err) == (0, "")
    assert list(shape) == ["account", "provider", "at", "readings", "outages"]
    assert (shape["account"], shape["provider"], shape["outages"]) == ("voice", "cekura", [])
    assert TIME.fullmatch(shape["at"])
    readings = {one["meter"]: one for one in shape["readings"]}
    assert {"credits", "subscription", "cap/agents", "payment/subscription", "paid/subscription/USD"} <= readings.keys()
    assert list(readings["credits"]) == ["meter", "kind", "unit", "as_of", "fields"]
    assert all(value is None or isinstance(value, str | bool) for value in readings["credits"]["fields"].values())
    assert readings["credits"]["fields"]["remaining_percent"] is not None


def test_poll_for_people(vendors: VendorServer, budgetd: Budgetd, write_config: WriteConfig) -> None:
    ran = budgetd("poll", "-c", write_config(_account(vendors, KEYS[Vendor.CEKURA])))
    assert ran.code == 0
    assert ran.out.startswith("voice (cekura)\n")
    assert re.search(r"credits +balance +remaining_percent +\d", ran.out)


def test_a_poll_that_failed_ends_with_1(vendors: VendorServer, budgetd: Budgetd, write_config: WriteConfig) -> None:
    path = write_config(_account(vendors, CANARY))
    ran = budgetd("poll", "--json", "-c", path)
    assert ran.code == 1
    assert [list(outage) for outage in ran.json[0]["outages"]] == [["request", "cause", "detail"]]
    assert ran.json[0]["outages"][0]["cause"] == "rejected"
    assert "rejected at info: " in budgetd("poll", "-c", path).out


def test_a_poll_stores_nothing(
    vendors: VendorServer, budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path
) -> None:
    budgetd("poll", "-c", write_config(f'[daemon]\nstate = "x.db"\n{_account(vendors, KEYS[Vendor.CEKURA])}'))
    assert not (tmp_path / "x.db").exists()


def test_a_channel_that_works_says_so(
    budgetd: Budgetd, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    inbox = Inbox()
    with Webhook("webhook", inbox) as webhook:
        ran = budgetd("channels", "test", "ops", "-c", write_config(f'{ACCOUNT}[channels.ops]\nurl = "{webhook.url}"'))
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"channel ops: sent as plain text, \d+ ms\n", ran.out)
    assert len(inbox.received) == 1


def test_a_channel_that_does_not_work_ends_with_1(
    budgetd: Budgetd, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = f"json://user:{CANARY}@127.0.0.1:9/{CANARY}?retry=0"
    ran = budgetd("channels", "test", "ops", "-c", write_config(f'{ACCOUNT}[channels.ops]\nurl = "{url}"'))
    assert (ran.code, ran.out, len(ran.errors)) == (1, "", 1)
    assert re.match(r"channel ops: failed as plain text, \d+ ms: ", ran.err)
    assert ran.err.endswith("; nothing listens there: check host and port\n")


def test_a_second_daemon_on_the_same_state_ends_with_1(
    budgetd: Budgetd, write_config: WriteConfig, tmp_path: Path
) -> None:
    path = write_config(f'[daemon]\nstate = "x.db"\n{GOOD}')
    with database.locked(tmp_path / "x.db"):
        ran = budgetd("run", "--config", path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"{tmp_path}/x.db: another budgetd is running on this database\n"


@pytest.mark.parametrize("verb", ["check", "poll", "poll --json", "status", "channels test ops"])
def test_a_key_from_the_environment_is_never_printed(
    verb: str, budgetd: Budgetd, write_config: WriteConfig, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", CANARY)
    monkeypatch.setenv("URL", f"json://user:{CANARY}@127.0.0.1:9/{CANARY}")
    account = _account(vendors, "x").replace('"x"', '{ env = "KEY" }')
    path = write_config(f'{account}[channels.ops]\nurl = {{ env = "URL" }}\n', mode=0o644)
    ran = budgetd(*verb.split(), "--config", path)
    assert ran.out + ran.err, "it says something"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        pytest.param(0, "rejected at ", id="the vendor refuses it"),
        pytest.param(
            3, "credential at api_key: the command for the key failed: exit code 3 (token)", id="there is none"
        ),
    ],
)
def test_a_key_from_a_command_is_never_printed(
    code: int, why: str, budgetd: Budgetd, write_config: WriteConfig, vendors: VendorServer, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"#!/bin/sh\necho {CANARY}\necho {CANARY} >&2\nexit $2\n")
    (tmp_path / "token").chmod(0o700)
    command = f'{{ command = ["./token", "{CANARY}", "{code}"] }}'
    ran = budgetd("poll", "-c", write_config(_account(vendors, "x").replace('"x"', command)))
    assert (ran.code, ran.err) == (1, "")
    assert why in ran.out


# --- as a process of its own


def test_a_process_ends_with_the_exit_code_and_says_why_in_a_line_each(write_config: WriteConfig) -> None:
    path = write_config(GOOD + f'[accounts.growth]\nprovider = "cargoo"\napi_key = "{CANARY}"\n[rules.x]\non = {{}}\n')
    command = [sys.executable, "-m", "budgetd", "run", "--config", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.splitlines() == [
        f"{path}: accounts.growth.provider: no provider is named 'cargoo'; did you mean cargo?",
        f"{path}: rules.x: says neither `warning` nor `critical` nor `on_change`: give at least one",
    ]


def test_a_daemon_logs_no_secret(write_config: WriteConfig, vendors: VendorServer, tmp_path: Path) -> None:
    path = write_config(
        f"""
        [daemon]
        state = "x.db"
        interval = "1s"
        {_account(vendors, CANARY)}
        [channels.ops]
        url = "json://user:{CANARY}@127.0.0.1:9/{CANARY}"
        group_wait = "0s"
        [rules.down]
        on = {{ kind = "connection" }}
        critical = "failures >= 1"
        """
    )
    command = [sys.executable, "-m", "budgetd", "run", "--config", str(path), "--log-level", "debug"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        seen = []
        # The vendor refuses the key, and nobody listens at the channel's address: both are logged.
        for line in daemon.stderr:
            seen.append(line)
            if "not sent" in line:
                daemon.terminate()
        out = daemon.stdout.read() if daemon.stdout else ""
    assert (daemon.wait(), out) == (0, "")
    assert CANARY not in "".join(seen)
    assert any("episode opened" in line for line in seen)
    assert not any("Traceback" in line for line in seen)
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("x.db*"))
