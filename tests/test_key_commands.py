"""Commands that print a key: what counts as one, every way to fail, and that nothing is shown or left behind."""

import asyncio
import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from budgetd.credentials import LARGEST, Secret, SecretUnavailableError
from budgetd.key_commands import KeyCommands, find_program

CANARY = "canary-5be02d7f91"
SOON = timedelta(seconds=0.5)

Write = Callable[..., list[str]]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """A shell script beside the config, as the words of a command."""

    def write(text: str, *arguments: str, name: str = "token") -> list[str]:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o700)
        return [f"./{name}", *arguments]

    return write


def secret(words: list[str]) -> list[Secret]:
    return [Secret(word) for word in words]


def run(words: list[str], base: Path, within: timedelta = timedelta(seconds=30)) -> Secret:
    return asyncio.run(KeyCommands(within).run(secret(words), base))


def fail(words: list[str], base: Path, within: timedelta = timedelta(seconds=30)) -> str:
    with pytest.raises(SecretUnavailableError) as error:
        run(words, base, within)
    assert "canary" not in "".join(traceback.format_exception(error.value))
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        pytest.param(f"echo {CANARY}", CANARY, id="a line"),
        pytest.param(f"printf '\\n  {CANARY} \\r\\n\\n'", CANARY, id="blanks around it"),
        pytest.param(f"printf '\\357\\273\\277{CANARY}'", CANARY, id="a mark before it"),
        pytest.param(f"echo warning >&2; echo {CANARY}", CANARY, id="words for people"),
        pytest.param('echo "$1:$2:$#"', "--org:a b $(id) ;:2", id="its arguments as they are"),
        pytest.param('cat; echo "key"', "key", id="nothing to read"),
        pytest.param('echo "$VENDOR_ORG"', "acme", id="our environment"),
        pytest.param("head -c 65536 /dev/zero | tr '\\0' x", "x" * LARGEST, id="as long as may be"),
    ],
)
def test_what_it_prints_is_the_key(
    text: str, key: str, script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_ORG", "acme")
    assert run(script(text, "--org", "a b $(id) ;"), tmp_path).reveal() == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(f"echo {CANARY}; echo {CANARY} >&2; exit 3", "exit code 3", id="an exit code"),
        pytest.param(f"echo {CANARY}; kill -9 $$", "ended by signal 9", id="a signal"),
        pytest.param("true", "it printed nothing", id="nothing"),
        pytest.param("echo ' '", "it printed nothing", id="blanks"),
        pytest.param(f"printf '{CANARY}\\377'", "it printed what is no UTF-8 text", id="Latin-1"),
        pytest.param(
            f"echo {CANARY}; echo {CANARY}", "it printed more than one line, or control characters", id="two lines"
        ),
        pytest.param(f"printf '{CANARY}\\033[0m'", "it printed more than one line, or control characters", id="colour"),
        pytest.param("head -c 65537 /dev/zero | tr '\\0' x", "it printed more than 65,536 bytes", id="a byte too much"),
        pytest.param("yes canary", "it printed more than 65,536 bytes", id="no end"),
        pytest.param(f"echo {CANARY}; sleep 60", "not done within 500ms", id="a sleep"),
        pytest.param(f"echo {CANARY}; sleep 60 &", "not done within 500ms", id="one in the background that holds on"),
        pytest.param(f"trap '' TERM INT; echo {CANARY}; sleep 60", "not done within 500ms", id="deaf to signals"),
    ],
)
def test_what_fails_names_the_program_alone(text: str, why: str, script: Write, tmp_path: Path) -> None:
    words = script(text, CANARY)
    within = SOON if "within" in why else timedelta(seconds=30)
    assert fail(words, tmp_path, within) == f"the command for the key failed: {why} (token)"


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", "~nobody-here/token", "/", "./folder"])
def test_a_program_that_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert find_program([Secret(name)], tmp_path) is None
    assert (
        fail([name, CANARY], tmp_path)
        == f"the command for the key failed: there is no such program ({Path(name).name})"
    )


def test_a_program_that_can_not_be_run(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\x7fELF no program")
    (tmp_path / "token").chmod(0o700)
    assert fail(["./token"], tmp_path) == "the command for the key failed: Exec format error (token)"
    (tmp_path / "token").chmod(0o600)
    assert find_program([Secret("./token")], tmp_path) is None


def test_where_a_program_is_looked_for(script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script("echo key")
    assert find_program([Secret("token")], tmp_path) is None
    assert find_program([Secret("sub/../token")], tmp_path) is None
    assert find_program([Secret("./token")], tmp_path) == str(tmp_path / "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_program([Secret("~/token")], Path("/elsewhere")) == str(tmp_path / "token")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_program([Secret("token")], Path("/elsewhere")) == str(tmp_path / "token")
    assert run(["token"], Path("/elsewhere")).reveal() == "key"


# --- what is left of it


BEGETS = """\
sleep 60 >/dev/null &
echo $! >child
echo $$ >parent
wait
"""


def _alive(folder: Path) -> list[str]:
    """Those of the two that still run; a zombie does not."""
    return [name for name in ("parent", "child") if _runs(int((folder / name).read_text()))]


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_until_gone(folder: Path) -> None:
    """A kill is a promise: it may take the kernel a moment."""
    deadline = time.monotonic() + 5
    while _alive(folder) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_time_out_kills_all_that_it_began(script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fail(script(BEGETS), tmp_path, SOON)
    _wait_until_gone(tmp_path)
    assert _alive(tmp_path) == []


def test_who_is_given_up_is_killed(
    script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)

    async def stop() -> None:
        running = asyncio.create_task(KeyCommands().run(secret(script(BEGETS)), tmp_path))
        while not (tmp_path / "parent").exists() or not (tmp_path / "parent").read_text():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
        assert _alive(tmp_path) == ["parent", "child"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()

    asyncio.run(stop())
    _wait_until_gone(tmp_path)
    assert _alive(tmp_path) == []
    assert caplog.text == ""


def test_who_is_given_up_while_it_starts_is_killed(
    script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of the turns of the loop in which it starts."""
    monkeypatch.chdir(tmp_path)

    async def stop(turns: int) -> None:
        running = asyncio.create_task(KeyCommands().run(secret(script(BEGETS)), tmp_path))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    for turns in range(8):
        asyncio.run(stop(turns))
    deadline = time.monotonic() + 5
    while _others_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _others_in(tmp_path) == []


def _others_in(folder: Path) -> list[int]:
    """Whose working directory it is, besides us."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.pid != os.getpid() and one.cwd() == str(folder):
                found.append(one.pid)
    return found


def test_nothing_stays_open(script: Write, tmp_path: Path) -> None:
    """Nor where one in the background has left the group, and holds the output open past the end."""

    async def often() -> int:
        commands, before = KeyCommands(SOON), psutil.Process().num_fds()
        for text in ("echo key", "exit 1", "yes"):
            await asyncio.gather(
                *(commands.run(secret(script(text)), tmp_path) for _ in range(3)), return_exceptions=True
            )
        detached = f'"{sys.executable}" -c "import os, time; os.setsid(); time.sleep(3)" & echo key'
        await asyncio.gather(commands.run(secret(script(detached)), tmp_path), return_exceptions=True)
        return psutil.Process().num_fds() - before

    assert asyncio.run(often()) <= 0


def test_only_some_run_at_a_time(script: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = script("echo >>begun; ls -d run.* 2>/dev/null | wc -l; : >run.$$; sleep 0.05; rm run.$$")

    async def all_of_them() -> list[Secret]:
        commands = KeyCommands()
        return await asyncio.gather(*(commands.run(secret(words), tmp_path) for _ in range(20)))

    assert max(int(others.reveal()) for others in asyncio.run(all_of_them())) < 8
    assert len((tmp_path / "begun").read_text().splitlines()) == 20


def test_no_log_shows_it(script: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    run(script(f"echo {CANARY}; echo {CANARY} >&2", CANARY), tmp_path)
    fail(script(f"echo {CANARY} >&2; exit 1", CANARY), tmp_path)
    assert CANARY not in caplog.text
