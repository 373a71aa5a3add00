"""The daemon as a process, between real servers on loopback: how it starts, stops, and keeps going."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import psutil
import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.demo.books import Vendor
from budgetd.demo.loopback import Fault
from budgetd.demo.receivers import Received, Reply
from budgetd.demo.stage import WEBHOOK, Stage
from budgetd.demo.vendors import KEYS
from budgetd.service import utc_now

# What a slow machine may take for what takes a second.
PATIENCE: Final = 30.0
STOPS_WITHIN: Final = 10.0

SETTINGS: Final = """\
[daemon]
state    = "budgetd.db"
interval = "1s"

[[routes]]
match    = { level = "info" }
channels = ["mail"]
[[routes]]
channels = ["webhook"]

[rules.low-credits]
on      = { kind = "balance" }
warning = "remaining_percent < 12"
critical = "remaining_percent < 2"

[rules.vendor-down]
on       = { kind = "connection" }
critical = "failures >= 2"
"""


def wait_until(happened: Callable[[], bool], what: str, timeout: float = PATIENCE) -> float:
    """The seconds that it took."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < timeout, f"waited {timeout:.0f} s in vain for {what}"
        time.sleep(0.01)
    return time.monotonic() - started


# Gives up what lets root read and write everywhere (CAP_DAC_OVERRIDE), then becomes the program that it is given.
_HUMBLY: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Daemon:
    """One process of `budgetd run` on the stage's config, or on another; killed at the end of its `with` block."""

    def __init__(self, config: Path, environment: Mapping[str, str] | None = None, *, humble: bool = False) -> None:
        self.config = config
        own = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HUMBLY, *self._command("run")] if humble else self._command("run"),
            env={**os.environ, **own, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._said = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def log(self) -> str:
        assert self.process.stdout is not None
        while more := self.process.stdout.read():
            self._said += more
        return self._said.decode()

    def ready(self) -> Self:
        self.wait_for_log("ready ")
        return self

    def wait_for_log(self, text: str, times: int = 1) -> None:
        def happened() -> bool:
            found = self.log.count(text) >= times
            assert found or self.process.poll() is None, f"it ended before it said {text!r}:\n{self.log}"
            return found

        wait_until(happened, f"{text!r} in the log")

    def ended(self, timeout: float = PATIENCE) -> int:
        wait_until(lambda: self.process.poll() is not None, "the end of the process", timeout)
        code = self.process.returncode
        assert isinstance(code, int)
        return code

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.ended(STOPS_WITHIN)

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            self._command(*words), env={**os.environ, "NO_PROXY": "127.0.0.1"}, capture_output=True, check=False
        )
        return (done.stdout + done.stderr).decode()

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "budgetd", *words, "--config", str(self.config)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(settings=SETTINGS) as stage:
        yield stage


def run(stage: Stage, environment: Mapping[str, str] | None = None) -> Daemon:
    return Daemon(stage.folder / "config.toml", environment)


def spend(stage: Stage, down_to: str = "5000.00") -> None:
    with stage.vendors.books() as books:
        books.spend_cekura(down_to)


def wait_for_message(stage: Stage, title: str, skip: int = 0) -> None:
    found = stage.inbox.wait_for(lambda one: title in f"{one.title}\n{one.body}", PATIENCE, skip)
    assert found, f"no message {title!r}, only {[received.title for received in stage.inbox.received]}"


def requests(stage: Stage) -> int:
    return sum(stage.vendors.requests(vendor) for vendor in Vendor)


def rows(stage: Stage, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(stage.folder / "budgetd.db")) as db:
        return db.execute(sql).fetchall()


def hold(stage: Stage) -> sqlite3.Connection:
    """The database's write lock in the hands of another process than the daemon's, until it is closed."""
    path = stage.folder / "budgetd.db"
    holder = sqlite3.connect(path, isolation_level=None, timeout=PATIENCE, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def wait_for_a_record(stage: Stage) -> None:
    sql = "SELECT min(last_attempt) FROM accounts"
    before = rows(stage, sql)
    wait_until(lambda: rows(stage, sql) != before, "a record of every account")


def hang(stage: Stage) -> Daemon:
    """A daemon in the middle of a poll and of a send that do not end."""
    stage.webhook.reply = Reply.HANG
    # Longer than the daemon waits at a stop.
    url_file = stage.folder / f"{WEBHOOK}.url"
    url_file.write_text(url_file.read_text().replace("rto=4", "rto=30"))
    with stage.vendors.books() as books:
        books.trouble[Vendor.SONZAI] = Fault.HANG
    spend(stage)
    daemon = run(stage)
    wait_for_message(stage, "WARNING voice-prod")
    wait_until(lambda: stage.vendors.requests(Vendor.SONZAI) > 0, "a poll that hangs")
    return daemon


@pytest.mark.slow
def test_either_signal_stops_it_in_order_and_in_time_whatever_hangs(stage: Stage) -> None:
    """Three at once, because most of it is waiting: two with sends that hang, and one with a database that is held."""
    with Stage(settings=SETTINGS) as second, Stage(settings=SETTINGS) as third, contextlib.ExitStack() as exits:
        daemons = [exits.enter_context(daemon) for daemon in (hang(stage), hang(second), run(third).ready())]
        wait_for_a_record(third)
        exits.enter_context(contextlib.closing(hold(third)))
        polled = requests(third)
        wait_until(lambda: requests(third) > polled, "a poll that can't be recorded")
        started = time.monotonic()
        for daemon, sent in zip(daemons, (signal.SIGTERM, signal.SIGINT, signal.SIGTERM), strict=True):
            daemon.process.send_signal(sent)
        assert [daemon.ended(STOPS_WITHIN) for daemon in daemons] == [0, 0, 0]
        assert time.monotonic() - started < STOPS_WITHIN
        for daemon in daemons:
            assert daemon.log.index("service: stopping") < daemon.log.index("service: stopped")
            assert "Traceback" not in daemon.log
    assert rows(stage, "SELECT outcome FROM attempts") == [("unknown",)]
    assert rows(stage, "SELECT state FROM notices") == [("waiting",)]
    stage.webhook.reply = Reply.ACCEPT
    with run(stage):
        wait_for_message(stage, "WARNING voice-prod", skip=1)
        assert "may be a repeat" in stage.inbox.received[1].body


def test_idle_it_stops_at_once_and_leaves_one_file(stage: Stage) -> None:
    with run(stage).ready() as daemon:
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 2
    left = sorted(path.name for path in stage.folder.glob("budgetd.db*"))
    assert left == ["budgetd.db", "budgetd.db.lock"], "no -wal: everything is in the file"


def test_a_second_signal_ends_it_at_once(stage: Stage) -> None:
    stage.webhook.reply = Reply.HANG
    spend(stage)
    with run(stage) as daemon:
        wait_for_message(stage, "WARNING voice-prod")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for_log("stopping")
        started = time.monotonic()
        assert daemon.stop(signal.SIGINT) == -signal.SIGINT
        assert time.monotonic() - started < 1


def test_a_second_daemon_on_the_same_database_says_so_and_ends(stage: Stage) -> None:
    with run(stage).ready() as first:
        with run(stage) as second:
            assert second.ended() == 1
            assert second.log == f"{stage.folder}/budgetd.db: another budgetd is running on this database\n"
        assert first.stop() == 0


def _read_only_file(folder: Path) -> None:
    (folder / "budgetd.db").chmod(0o400)


def _read_only_folder(folder: Path) -> None:
    folder.chmod(0o500)


def _no_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a file where a folder should be")


def _no_database(folder: Path) -> None:
    (folder / "budgetd.db").write_bytes(b"this is no database at all, but long enough to be looked at" * 20)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(_read_only_file, "Permission denied", id="file"),
        pytest.param(_read_only_folder, "Permission denied", id="folder"),
        pytest.param(_no_folder, "(Not a directory|File exists)", id="no folder"),
        pytest.param(_no_database, "file is not a database", id="no database"),
    ],
)
def test_a_database_that_it_can_not_have_is_one_line(
    stage: Stage, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "budgetd.db").touch()
    damage(state)
    config = stage.folder / "config.toml"
    config.write_text(config.read_text().replace('"budgetd.db"', f'"{state}/budgetd.db"'))
    with Daemon(config, humble=True) as daemon:
        assert daemon.ended() == 1
        assert re.fullmatch(f"{re.escape(str(state))}/budgetd.db: {said}\n", daemon.log), daemon.log
    if state.is_dir():
        state.chmod(0o700)


def test_systemd_hears_ready_alive_and_stopping(stage: Stage, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with run(stage, environment) as daemon:
            assert listener.recv(100) == b"READY=1"
            started = time.monotonic()
            assert [listener.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert time.monotonic() - started < 5, "at least twice in the time that systemd gives it"
            daemon.process.send_signal(signal.SIGTERM)
            wait_until(lambda: listener.recv(100) == b"STOPPING=1", "STOPPING=1")
            assert daemon.ended(STOPS_WITHIN) == 0


def test_a_socket_of_systemd_that_nobody_reads_ends_nothing(stage: Stage, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "full"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as chatter, contextlib.suppress(BlockingIOError):
            chatter.setblocking(False)
            while True:
                chatter.sendto(b"noise", str(tmp_path / "full"))
        with (
            run(stage, {"NOTIFY_SOCKET": str(tmp_path / "full")}) as full,
            Stage(settings=SETTINGS) as other,
            run(other, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as gone,
        ):
            assert [full.ready().stop(), gone.ready().stop()] == [0, 0]


def test_vendors_that_fail_do_not_stop_the_others(stage: Stage) -> None:
    with stage.vendors.books() as books:
        books.trouble |= {Vendor.CARGO: Fault.HANG, Vendor.SONZAI: Fault.RESET}
    with run(stage).ready() as daemon:
        wait_until(lambda: stage.polled() > 0, "a poll of each")
        polled = {vendor: stage.vendors.requests(vendor) for vendor in Vendor}
        spend(stage)
        wait_for_message(stage, "WARNING voice-prod")
        wait_for_message(stage, "CRITICAL companion-prod")
        others = [vendor for vendor in Vendor if vendor is not Vendor.CARGO]
        wait_until(
            lambda: all(stage.vendors.requests(vendor) >= polled[vendor] + 2 for vendor in others),
            "polls of the others",
        )
        assert stage.vendors.requests(Vendor.CARGO) == 1, "an account is never polled twice at once"
        assert daemon.stop() == 0


# Stands in for a resolver that does not answer: the world, not us.
_DEAF_RESOLVER: Final = """
import socket, time
ask = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host in ("deaf.example", b"deaf.example"):
        print("asked for deaf.example", flush=True)
        time.sleep(60)
    return ask(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.slow
def test_names_that_hang_hold_up_neither_the_others_nor_the_stop(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_DEAF_RESOLVER)
    config = stage.folder / "config.toml"
    # More than asyncio's own pool has threads.
    deaf = (os.cpu_count() or 1) + 8
    with config.open("a") as file:
        for number in range(deaf):
            file.write(f"\n[accounts.a-deaf-{number}]\nprovider = 'cargo'\napi_key = {{ file = 'cargo.key' }}\n")
            file.write(f"base_url = 'http://deaf.example:{number + 1}'\n")
    config.write_text(config.read_text().replace("http://127.0.0.1", "http://localhost"))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with run(stage, {"PYTHONPATH": path}) as daemon:
        daemon.wait_for_log("asked for deaf.example", times=deaf)
        polled = stage.polled()
        wait_until(lambda: stage.polled() > polled + 1, "polls of the others")
        started = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - started < 3


@pytest.mark.slow
def test_a_command_that_hangs_holds_up_nobody_and_is_killed_with_all_it_began(stage: Stage) -> None:
    script = stage.folder / "token"
    script.write_text(
        "#!/bin/sh\ncd $(dirname $0)\nsleep 60 >/dev/null &\necho $$ $! >began.new\nmv began.new began\nwait\n"
    )
    script.chmod(0o700)
    config = stage.folder / "config.toml"
    config.write_text(config.read_text().replace('{ file = "sonzai.key" }', '{ command = ["./token"] }'))
    with run(stage) as daemon:
        wait_until((stage.folder / "began").exists, "the command")
        pids = [int(pid) for pid in (stage.folder / "began").read_text().split()]
        spend(stage)
        wait_for_message(stage, "WARNING voice-prod")
        assert all(_runs(pid) for pid in pids)
        assert daemon.stop() == 0
        assert daemon.log.endswith("service: stopped\n")
    wait_until(lambda: not any(_runs(pid) for pid in pids), "their end", timeout=1)


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.slow
def test_a_database_that_another_holds_loses_nothing_and_repeats_nothing() -> None:
    """It is held from the moment when the first message is out: not even its receipt can be written."""
    holders: list[sqlite3.Connection] = []

    def hold_it(received: Received) -> None:
        if "WARNING" in received.title:
            holders.append(hold(world))

    world = Stage(hold_it, SETTINGS)
    with world, run(world).ready() as daemon:
        spend(world)
        daemon.wait_for_log('no receipt yet channel=webhook error="database: database is locked"')
        spend(world, "500.00")
        holders[0].close()
        wait_for_message(world, "CRITICAL voice-prod")
        assert daemon.stop() == 0
        assert daemon.log.count("no receipt yet") == 1
        assert daemon.log.count("job failed job=record") <= 1
        assert "Traceback" not in daemon.log
        assert [received.title[:8] for received in world.inbox.received] == ["WARNING ", "CRITICAL"]
        assert rows(world, "SELECT outcome FROM attempts") == [("ok",), ("ok",)]


# --- secrets

CANARIES: Final = ("canary-path-5f1d", "canary-user-77aa", "canary p@ss-91c0", "canary%20p%40ss-91c0")

# A second channel that nobody listens on: why that fails is described with the whole URL.
_DEAD_CHANNEL: Final = """
[channels.dead]
url        = { file = "dead.url" }
group_wait = "0s"
"""


def test_no_secret_is_anywhere_but_where_it_has_to_be(stage: Stage) -> None:
    url = stage.webhook.url.replace("json://", "json://canary-user-77aa:canary%20p%40ss-91c0@")
    url = url.replace("/?", "/canary-path-5f1d/?")
    (stage.folder / f"{WEBHOOK}.url").write_text(url)
    (stage.folder / "dead.url").write_text(re.sub(r"127.0.0.1:\d+", "127.0.0.1:1", url))
    config = stage.folder / "config.toml"
    settings = config.read_text().replace('["webhook"]', '["webhook", "dead"]')
    config.write_text(settings + _DEAD_CHANNEL)
    stage.webhook.reply = Reply.REFUSE
    with stage.vendors.books() as books:
        books.trouble[Vendor.CARGO] = Fault.RESET
    spend(stage)
    with run(stage) as daemon:
        for channel in (WEBHOOK, "dead"):
            daemon.wait_for_log(f"not sent channel={channel}")
        verbs = ["status --json", "status", "episodes --all", "episodes --all --json", "poll", "poll --json", "check"]
        seen = [CliRunner().invoke(app, [*verb.split(), "--config", str(config)]).output for verb in verbs]
        assert all(seen)
        errors = {one["channel"]: one["last_error"] for one in json.loads(seen[0])["channels"]}
        assert "500" in errors[WEBHOOK]
        assert "onnection" in errors["dead"]
        seen.append(" ".join(psutil.Process(daemon.process.pid).cmdline()))
        files = list(stage.folder.glob("budgetd.db*"))
        assert any(path.name.endswith("-wal") for path in files)
        stored = b"".join(path.read_bytes() for path in files)
        assert daemon.stop() == 0
        stored += (stage.folder / "budgetd.db").read_bytes()
        seen.append(daemon.log)
    for secret in (*KEYS.values(), *CANARIES):
        assert secret.encode() not in stored
        assert not [text for text in seen if secret in text]


# --- SIGHUP


def test_a_config_that_is_wrong_is_reported_and_the_old_one_stays(stage: Stage) -> None:
    path = stage.folder / "config.toml"
    with run(stage).ready() as daemon:
        good = path.read_text()
        path.write_text(good.replace("remaining_percent < 12", "remaning_percent < 12"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("config not taken, the old one stays")
        assert "did you mean remaining_percent?" in daemon.log
        spend(stage)
        wait_for_message(stage, "WARNING voice-prod")
        assert daemon.stop() == 0


def test_a_new_config_is_taken_over_without_a_word_too_many(stage: Stage) -> None:
    """Rules gone for a moment and back tell nothing; a new rule tells; the process stays the same."""
    path = stage.folder / "config.toml"
    with run(stage).ready() as daemon:
        spend(stage)
        wait_for_message(stage, "WARNING voice-prod")
        wait_until(lambda: rows(stage, "SELECT state FROM notices WHERE state = 'waiting'") == [], "the receipts")
        good = path.read_text()
        before = len(stage.inbox.received)
        path.write_text(good.replace("[rules.low-credits]", "[rules.low-credits]\nenabled = false"))
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("ready ", times=2)
        path.write_text(good + '\n[rules.used]\non = { kind = "balance" }\nwarning = "used > 1000"\n')
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("ready ", times=3)
        wait_for_message(stage, "Rule used", skip=before)
        wait_for_a_record(stage)
        told = [one for one in stage.inbox.received[before:] if "Rule low-credits" in one.body]
        assert told == []
        assert daemon.stop() == 0


def test_other_quiet_hours_hold_at_once(stage: Stage) -> None:
    """They are taken over with the config: what the old ones held is told, now that nothing holds it."""
    path = stage.folder / "config.toml"
    good, today = path.read_text(), utc_now().date()
    quiet = f'quiet = "{today}..{today + timedelta(days=1)}"'
    path.write_text(good.replace('group_wait = "0s"', f'group_wait = "0s"\n{quiet}'))
    with run(stage).ready() as daemon:
        spend(stage)
        held = "SELECT hold FROM notices WHERE state = 'held'"
        wait_until(lambda: ("quiet",) in rows(stage, held), "the held notice")
        assert [one.title for one in stage.inbox.received if "voice-prod" in one.title] == []
        path.write_text(good)
        daemon.process.send_signal(signal.SIGHUP)
        wait_for_message(stage, "WARNING voice-prod")
        assert daemon.stop() == 0


# --- acks and silences, by commands beside the running daemon


@pytest.mark.slow
def test_a_silence_holds_and_its_end_tells(stage: Stage) -> None:
    with run(stage).ready() as daemon:
        said = daemon.ask("silence", "--account", "voice-prod", "--for", "1h")
        silence = said.partition(":")[0]
        spend(stage)
        held = "SELECT count(*) FROM notices WHERE state = 'held'"
        wait_until(lambda: rows(stage, held) == [(1,)], "the held notice")
        assert [one.title for one in stage.inbox.received if "voice-prod" in one.title] == []
        daemon.ask("holds", "end", silence)
        ended = time.monotonic()
        wait_for_message(stage, "WARNING voice-prod")
        assert time.monotonic() - ended < 5
        assert daemon.stop() == 0
