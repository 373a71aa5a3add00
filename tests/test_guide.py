"""docs/providers.md: runs all of its commands in order, and compares the output with what the page shows."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.collect.provider import load_provider
from budgetd.collect.request_tables import ActionTable, ArgTable, PagesTable, RequestTable, ValueTable
from budgetd.collect.tables import AuthTable, MeterTable, ParamTable, ProviderTable, RateTable, WithinTable

GUIDE: Final = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
PORT: Final = "8099"
LONGEST_WAIT: Final = 20.0

# What differs at each run.
_PASSING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d UTC"), "DATE"),
    (re.compile(r"\d\d:\d\d UTC"), "TIME"),
    (re.compile(r"\d+ ms"), "MS"),
    (re.compile(r"\d+ built-in"), "SOME built-in"),
    (re.compile(r"\b(episode|ack) [a-z0-9]{8}\b"), r"\1 ID"),
    (re.compile(r" +$", re.MULTILINE), ""),
    (re.compile("─+"), "─"),
    (re.compile("  +"), "  "),
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def settled(text: str) -> list[str]:
    for pattern, stands_for in _PASSING:
        text = pattern.sub(stands_for, text)
    return text.rstrip().splitlines()


def agree(shown: str, came: str) -> None:
    """Asserts that the lines are the same; `...` in the guide stands for any number of lines."""
    pattern = "\n".join(r"(.*\n)*?.*" if line == "..." else re.escape(line) for line in settled(shown))
    assert re.fullmatch(pattern, "\n".join(settled(came))), f"the guide shows\n{shown}\nand this came\n{came}"


class Reader:
    """Follows the guide in a folder of its own, on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self._running: list[subprocess.Popen[str]] = []
        self.write("acme.py", blocks("python")[0])

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text.replace(PORT, self._port))

    def do(self, line: str) -> str:
        """Runs one command. Returns its output, unless it goes on in the background."""
        command, stdin = line.replace(PORT, self._port), None
        if match := re.fullmatch(r"echo (\S+) \| (.*)", command):
            stdin, command = f"{match[1]}\n", match[2]
        words = shlex.split(command)
        match words:
            case ["echo", said, ">", file]:
                self.write(file, f"{said}\n")
            case ["cat", file]:
                return (self.folder / file).read_text()
            case ["curl", "-s", "-H", header, url, ">", file]:
                name, _, value = header.partition(": ")
                with urlopen(Request(url, headers={name: value})) as answer:
                    self.write(file, answer.read().decode())
            case [*_, "&"]:
                self._start([sys.executable, *words[1:-1]] if words[0] == "python3" else _module(words[1:-1]))
            case ["budgetd", *rest]:
                ran = CliRunner().invoke(app, rest, input=stdin)
                assert ran.exit_code == 0, ran.exception or ran.output
                return ran.output.replace(self._port, PORT)
            case _:
                pytest.fail(f"the guide has a command that nobody here can do: {line}")
        return ""

    def _start(self, words: list[str]) -> None:
        environment = {**os.environ, "no_proxy": "127.0.0.1"}
        process = subprocess.Popen(
            words, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._running.append(process)
        if len(self._running) == 1:
            self._wait_for_the_vendor()

    def _wait_for_the_vendor(self) -> None:
        deadline = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(self._port))).close()
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def arrived(self, lines: int) -> str:
        """Waits for this many lines of Acme's output."""
        out = self._running[0].stdout
        assert out
        return "".join(out.readline() for _ in range(lines))

    def leave(self) -> None:
        for process in reversed(self._running):
            process.terminate()
            process.communicate(timeout=LONGEST_WAIT)


def _module(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "budgetd", *words]


def steps(console: str) -> list[tuple[str, str]]:
    """Each command with the output that the guide shows."""
    parts = re.split(r"^\$ (.*)\n", console, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS")
    reader = Reader(tmp_path)
    yield reader
    reader.leave()


def test_the_guide_is_what_happens(reader: Reader, tmp_path: Path) -> None:
    """Files are written at the point where the guide says so."""
    draft, mended, config = blocks("toml")
    start, answer, new, look, providers, alert = blocks("console")
    for console in (start, answer, new):
        for command, shown in steps(console):
            agree(shown, reader.do(command))
    assert (tmp_path / "providers.d" / "acme.toml").read_text().splitlines() == [
        line.replace(PORT, reader._port) for line in draft.splitlines()
    ]
    for command, shown in steps(look):
        agree(shown, reader.do(command))
    reader.write("providers.d/acme.toml", mended)
    for command, shown in steps(providers):
        agree(shown, reader.do(command))
    reader.write("config.toml", config)
    *commands, (last, told) = steps(alert)
    for command, shown in commands:
        agree(shown, reader.do(command))
    reader.do(last)
    agree(told, reader.arrived(len(told.splitlines())))


def test_the_sample_is_whole() -> None:
    (_, _), (_, shown) = steps(blocks("console")[1])
    assert json.loads(shown)["credits"] == {"remaining": "300.00", "granted": 1000, "used": 700.0}


@pytest.mark.parametrize("number", [0, 1], ids=["the draft", "the file"])
def test_the_files_of_the_guide_load(number: int, tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(blocks("toml")[number])
    load_provider(tmp_path / "acme.toml")


SECTIONS: Final[Mapping[str, tuple[type[BaseModel], ...]]] = {
    "### The file": (ProviderTable, RateTable),
    "### `auth`": (AuthTable,),
    "### `[params.NAME]`": (ParamTable,),
    "### `[requests.NAME]`": (RequestTable,),
    "### `pages`": (PagesTable,),
    "### `[requests.NAME.values]`": (ValueTable,),
    "### `[meters.NAME]`": (MeterTable, WithinTable),
    "### `[actions.NAME]`": (ActionTable, ArgTable),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_guide_has_every_key(section: str) -> None:
    text = GUIDE.partition(f"{section}\n")[2].partition("\n##")[0]
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]*)`", text))))
    keys = {field.alias or name for model in SECTIONS[section] for name, field in model.model_fields.items()}
    assert keys <= named
