"""Keys that change: when a command is run or a file read again, and that a vendor is asked once more, not oftener."""

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from budgetd.collect.poll import poll
from budgetd.collect.provider import load_shelf
from budgetd.collect.renewal import read_again, renewable
from budgetd.collect.sources import Source, make_source
from budgetd.config import load_config
from budgetd.credentials import KeySource, Secret, SecretUnavailableError
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd.key_commands import KeyCommands
from budgetd.planning import make_plan
from budgetd.store import database, polls
from budgetd.store.polls import Finished
from budgetd_rules.polls import Cause, Poll
from collecting import NOW, document
from conftest import WriteConfig

CANARY = "canary-8c04d9e6"
ARGUMENT = f"--token={CANARY}-argument"
MINUTE = timedelta(minutes=1)

# Prints the key that stands beside it, and counts its runs.
SCRIPT = f"""#!/bin/sh
echo >>runs
echo {CANARY}-stderr >&2
cat key
exit $(cat code 2>/dev/null || echo 0)
"""


@dataclass
class Vendor:
    """Accepts its own keys, refuses all others, and quotes the key that it was given."""

    keys: set[str] = field(default_factory=set)
    given: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        self.given.append(key)
        if key not in self.keys:
            return httpx.Response(401, json={"detail": f"no such key: {key}, after {', '.join(self.given)}"})
        return httpx.Response(200, json=document("cargo/subscription"))


@dataclass
class Account:
    """An account at Cargo, in a config beside which its key stands."""

    folder: Path
    source: Source
    vendor: Vendor = field(default_factory=Vendor)

    def poll(self, at: datetime = NOW) -> Poll:
        return asyncio.run(poll(self.source, Client(httpx.MockTransport(self.vendor)), at))

    def print(self, key: str, code: int = 0) -> None:
        (self.folder / "key").write_text(key)
        (self.folder / "code").write_text(str(code))

    @property
    def runs(self) -> int:
        runs = self.folder / "runs"
        return len(runs.read_text()) if runs.exists() else 0


Make = Callable[..., Account]


@pytest.fixture
def make(tmp_path: Path, write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> Make:
    (tmp_path / "token").write_text(SCRIPT)
    (tmp_path / "token").chmod(0o700)
    (tmp_path / "key").write_text(f"{CANARY}-1\n")
    monkeypatch.setenv("VENDOR_KEY", f"{CANARY}-1")
    monkeypatch.chdir(tmp_path)

    def make(api_key: str = f'{{ command = ["./token", "{ARGUMENT}"] }}', provider: str = "cargo") -> Account:
        path = write_config(f'[accounts.voice]\nprovider = "{provider}"\napi_key = {api_key}\n')
        account = Account(tmp_path, make_plan(load_config(path)).scheduled["voice"].source)
        account.vendor.keys = {f"{CANARY}-1"}
        return account

    return make


def outages(seen: Poll) -> list[str]:
    return [f"{one.cause} at {one.request}: {one.detail}" for one in seen.outages]


def with_ttl(ttl: str) -> str:
    return f'{{ command = ["./token", "{ARGUMENT}"], ttl = "{ttl}" }}'


# --- when a command is run


def test_a_command_is_run_when_the_key_is_first_needed_and_not_again(make: Make) -> None:
    account = make()
    assert account.runs == 0
    for day in range(3):
        assert account.poll(NOW + timedelta(days=day)).outages == ()
    assert (account.runs, account.vendor.given) == (1, [f"{CANARY}-1"] * 3)


@pytest.mark.parametrize(
    ("later", "runs"),
    [
        pytest.param(50 * MINUTE - timedelta(microseconds=1), 1, id="just before"),
        pytest.param(50 * MINUTE, 2, id="its time is over"),
        pytest.param(timedelta(days=3), 2, id="long ago"),
        pytest.param(-MINUTE, 2, id="the clock was set back, and tells nothing"),
    ],
)
def test_a_command_is_run_again_after_its_ttl(later: timedelta, runs: int, make: Make) -> None:
    account = make(with_ttl("50m"))
    account.poll(NOW)
    account.print(f"{CANARY}-2")
    account.vendor.keys = {f"{CANARY}-{runs}"}
    assert account.poll(NOW + later).outages == ()
    assert account.runs == runs


def test_the_ttl_begins_anew_with_each_run(make: Make) -> None:
    account = make(with_ttl("50m"))
    for minutes in (0, 50, 99, 100):
        account.poll(NOW + minutes * MINUTE)
    assert account.runs == 3


# --- when a vendor refuses the key


def test_a_refused_key_is_fetched_anew_and_the_request_repeated_once(make: Make) -> None:
    account = make()
    account.poll()
    account.print(f"{CANARY}-2")
    account.vendor.keys = {f"{CANARY}-2"}
    assert account.poll(NOW + MINUTE).outages == ()
    assert account.poll(NOW + 2 * MINUTE).outages == ()
    assert account.vendor.given == [f"{CANARY}-{number}" for number in (1, 1, 2, 2)]
    assert account.runs == 2


def test_the_same_key_again_is_not_sent_again(make: Make) -> None:
    account = make()
    account.poll()
    account.vendor.keys.clear()
    seen = account.poll(NOW + MINUTE)
    assert [outage.cause for outage in seen.outages] == [Cause.REJECTED]
    assert (account.runs, len(account.vendor.given)) == (2, 2)


def test_another_key_that_is_refused_too_is_sent_once(make: Make) -> None:
    account = make()
    account.poll()
    account.vendor.keys.clear()
    account.print(f"{CANARY}-2")
    assert [outage.cause for outage in account.poll(NOW + MINUTE).outages] == [Cause.REJECTED]
    assert account.vendor.given == [f"{CANARY}-{number}" for number in (1, 1, 2)]


@pytest.mark.parametrize("api_key", [with_ttl("1m"), with_ttl("1d")], ids=["aged at each poll", "never aged"])
def test_a_command_is_run_no_oftener_than_the_account_is_polled(api_key: str, make: Make) -> None:
    account = make(api_key)
    account.vendor.keys.clear()
    for minute in range(5):
        account.poll(NOW + minute * MINUTE)
        assert account.runs <= minute + 1


def test_all_requests_of_a_poll_share_the_new_key(make: Make) -> None:
    account, given = make(provider="sonzai"), []

    def vendor(request: httpx.Request) -> httpx.Response:
        given.append(request.headers["Authorization"])
        good = f"Bearer {CANARY}-2"
        return httpx.Response(200 if given[-1] == good else 401, json={})

    client = Client(httpx.MockTransport(vendor))
    account.vendor.keys.clear()

    async def twice() -> None:
        await poll(account.source, client, NOW)
        account.print(f"{CANARY}-2")
        await poll(account.source, client, NOW + MINUTE)

    asyncio.run(twice())
    # Nine requests; at the second poll the first one is refused, and repeated with the new key.
    requests = len(account.source.provider.requests)
    assert [key[-1] for key in given] == ["1"] * (requests + 1) + ["2"] * requests
    assert account.runs == 2


def test_polls_side_by_side_do_not_run_it_side_by_side(make: Make) -> None:
    account = make()
    client = Client(httpx.MockTransport(account.vendor))

    async def together() -> None:
        await asyncio.gather(*(poll(account.source, client, NOW) for _ in range(5)))

    asyncio.run(together())
    assert account.runs == 1


# --- when there is no key


def test_a_command_that_fails_is_one_outage_of_all_requests(make: Make) -> None:
    account = make(provider="sonzai")
    account.print(f"{CANARY}-1", code=3)
    seen = account.poll()
    assert outages(seen) == ["credential at api_key: the command for the key failed: exit code 3 (token)"]
    assert (seen.readings, seen.answered, account.vendor.given, account.runs) == ((), frozenset(), [], 1)


def test_a_command_that_failed_is_run_again_at_the_next_poll(make: Make) -> None:
    account = make()
    account.print(f"{CANARY}-1", code=3)
    assert [outage.cause for outage in account.poll().outages] == [Cause.CREDENTIAL]
    account.print(f"{CANARY}-1")
    assert account.poll(NOW + MINUTE).outages == ()
    assert account.runs == 2


def test_a_command_that_fails_after_a_refusal_is_the_cause(make: Make) -> None:
    account = make(provider="sonzai")
    client = Client(httpx.MockTransport(lambda _request: httpx.Response(401, json={})))

    async def twice() -> Poll:
        await poll(account.source, client, NOW)
        account.print("", code=1)
        return await poll(account.source, client, NOW + MINUTE)

    assert outages(asyncio.run(twice())) == [
        "credential at api_key: the command for the key failed: exit code 1 (token)"
    ]
    assert account.runs == 2


def test_a_key_that_has_aged_is_not_sent_where_there_is_no_other(make: Make) -> None:
    account = make(with_ttl("50m"))
    account.poll()
    account.print("", code=1)
    assert [outage.cause for outage in account.poll(NOW + 50 * MINUTE).outages] == [Cause.CREDENTIAL]
    assert len(account.vendor.given) == 1


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        pytest.param("", "the command for the key failed: it printed nothing (token)", id="nothing"),
        pytest.param(f"{CANARY}ü", "the new key holds characters that HTTP does not allow", id="not ASCII"),
        pytest.param(
            f"{CANARY}\r\nX-Other: 1",
            "the command for the key failed: it printed more than one line, or control characters (token)",
            id="a header of its own",
        ),
    ],
)
def test_a_key_that_can_not_be_sent(printed: str, why: str, make: Make) -> None:
    account = make()
    account.print(printed)
    assert outages(account.poll()) == [f"credential at api_key: {why}"]
    assert account.vendor.given == []


def test_a_program_that_is_gone_since_the_start(make: Make) -> None:
    account = make()
    (account.folder / "token").unlink()
    assert outages(account.poll()) == [
        "credential at api_key: the command for the key failed: there is no such program (token)"
    ]


# --- other sources


def test_a_file_is_read_again_when_its_key_is_refused(make: Make) -> None:
    account = make('{ file = "key" }')
    account.poll()
    account.print(f"{CANARY}-2\n")
    account.poll(NOW + MINUTE)
    account.vendor.keys = {f"{CANARY}-2"}
    assert account.poll(NOW + 2 * MINUTE).outages == ()
    assert account.poll(NOW + 3 * MINUTE).outages == ()
    assert account.vendor.given == [f"{CANARY}-{number}" for number in (1, 1, 1, 2, 2)]


@pytest.mark.parametrize(
    "source", ['{ file = "key" }', '{ env = "VENDOR_KEY" }', '{ credential = "key" }', f'"{CANARY}-1"']
)
def test_a_key_that_did_not_change_is_not_sent_again(
    source: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    account = make(source)
    account.vendor.keys.clear()
    assert [outage.cause for outage in account.poll().outages] == [Cause.REJECTED]
    assert len(account.vendor.given) == 1


def test_what_came_through_a_pipe_is_not_waited_for_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")

    def make(secret: Secret) -> Source:
        return make_source("acme", load_shelf().providers["cargo"], secret)

    source = renewable(make, KeySource(file=Path("key")), Secret(CANARY), tmp_path, KeyCommands())
    assert source.keyring is None


def test_a_file_that_can_not_be_read_in_time_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")

    async def read() -> None:
        with pytest.raises(SecretUnavailableError, match=r"key: not read within 10ms"):
            await read_again(KeySource(file=Path("key")), tmp_path, timedelta(milliseconds=10))
        await asyncio.to_thread((tmp_path / "key").write_text, "late")  # so that its reader ends

    asyncio.run(read())


def test_a_file_that_is_gone_says_so(make: Make) -> None:
    account = make('{ file = "key" }')
    account.vendor.keys.clear()
    (account.folder / "key").unlink()
    path = account.folder / "key"
    assert outages(account.poll()) == [f"credential at api_key: {path} can't be read: No such file or directory"]


# --- the config


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        pytest.param(
            "no-such-program", "there is no program no-such-program in $PATH, or it can't be run", id="in PATH"
        ),
        pytest.param("./nothing", "there is no program ./nothing beside the config, or it can't be run", id="by path"),
        pytest.param("./key", "there is no program ./key beside the config, or it can't be run", id="no program"),
    ],
)
def test_a_program_that_is_not_there_stops_the_start(program: str, problem: str, make: Make) -> None:
    with pytest.raises(ConfigError) as error:
        make(f'{{ command = ["{program}", "{ARGUMENT}"] }}')
    (line,) = error.value.problems
    assert line.endswith(f"config.toml: accounts.voice.api_key.command: {problem}")
    assert CANARY not in line


def test_what_else_is_wrong_is_found_without_the_key(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"accounts\.voice\.params\.org: Cargo takes no such thing"):
        make('{ command = ["./token"] }\nparams = { org = "x" }')
    assert not (Path.cwd() / "runs").exists()


# --- secrecy


def test_neither_old_nor_new_key_is_in_anything_that_is_kept(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The vendor quotes every key that it was ever given, but none of them is stored."""
    caplog.set_level(logging.DEBUG)
    account = make(with_ttl("1m"))
    db = database.open_for_daemon(tmp_path / "budgetd.db")
    account.vendor.keys.clear()
    for number in range(6):
        account.print(f"{CANARY}-{number}", code=number // 5)
        seen = account.poll(NOW + number * MINUTE)
        assert seen.outages
        assert CANARY not in repr(seen)
        polls.record(db, [Finished(poll=seen, next_poll_at=seen.at + MINUTE)])
    db.close()
    assert account.vendor.given == [f"{CANARY}-{number}" for number in range(5)]
    assert "no such key: ***, after ***" in (tmp_path / "budgetd.db").read_text(errors="replace")
    for file in tmp_path.glob("budgetd.db*"):
        assert CANARY not in file.read_text(errors="replace")
    assert CANARY not in caplog.text
    assert CANARY not in repr(account.source)


def test_a_key_that_holds_the_last_one_is_hidden_whole(make: Make) -> None:
    account = make()
    account.poll()
    account.vendor.keys.clear()
    account.print(f"{CANARY}-1-and-more")
    assert "no such key: ***, after ***, ***, ***" in outages(account.poll(NOW + MINUTE))[0]
