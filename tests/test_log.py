"""Log lines: one for each event, fields after the message, and none of the libraries' chatter."""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO

import pytest

from budgetd import log
from budgetd.credentials import Secret
from budgetd.deliver.channels import url_problem


@pytest.fixture
def stream() -> StringIO:
    stream = StringIO()
    log.set_up("info", stream)
    return stream


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        pytest.param({}, "INFO deliver.outbox: sent", id="no fields"),
        pytest.param(
            {"channel": "ops", "count": 3}, "INFO deliver.outbox: sent channel=ops count=3", id="plain fields"
        ),
        pytest.param(
            {"error": "Failed to send"}, 'INFO deliver.outbox: sent error="Failed to send"', id="a space is quoted"
        ),
        pytest.param({"error": ""}, 'INFO deliver.outbox: sent error=""', id="nothing is quoted"),
        pytest.param({"query": "a=b"}, 'INFO deliver.outbox: sent query="a=b"', id="an equals sign is quoted"),
        pytest.param({"who": "Zoë"}, "INFO deliver.outbox: sent who=Zoë", id="letters stay"),
        pytest.param(
            {"detail": "a\nERROR budgetd: forged"},
            'INFO deliver.outbox: sent detail="a\\nERROR budgetd: forged"',
            id="a line break does not begin a line",
        ),
        pytest.param({"detail": "a\rb"}, 'INFO deliver.outbox: sent detail="a\\rb"', id="a return does not overwrite"),
        pytest.param({"detail": "\x1b[2J"}, 'INFO deliver.outbox: sent detail="\\u001b[2J"', id="a terminal's command"),
        pytest.param({"detail": "a\u2028b"}, 'INFO deliver.outbox: sent detail="a\\u2028b"', id="Unicode's line break"),
        pytest.param(
            {"at": datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)},
            "INFO deliver.outbox: sent at=2026-11-21T12:00:00+00:00",
            id="a time in seconds",
        ),
    ],
)
def test_a_line(extra: Mapping[str, object], line: str, stream: StringIO) -> None:
    logging.getLogger("budgetd.deliver.outbox").info("sent", extra=extra)
    assert stream.getvalue() == f"{line}\n"


def test_an_exception_follows_its_line(stream: StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("budgetd.service").exception("job failed", extra={"job": "judge"})
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["ERROR service: job failed job=judge", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: why"


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        pytest.param("debug", ["debug", "info", "warning"], id="debug"),
        pytest.param("info", ["info", "warning"], id="info"),
        pytest.param("warning", ["warning"], id="warning"),
    ],
)
def test_our_own_lines_are_seen_from_the_level_on(level: str, seen: list[str]) -> None:
    stream = StringIO()
    log.set_up(level, stream)
    for name in ("debug", "info", "warning"):
        getattr(logging.getLogger("budgetd.judge"), name)(name)
    assert [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()] == seen


@pytest.mark.parametrize("library", ["httpx", "httpcore.http11", "apscheduler.scheduler", "asyncio"])
def test_libraries_are_seen_from_warning_on(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    log.set_up("debug", stream)
    monkeypatch.setattr(logging.getLogger(library), "level", logging.NOTSET)
    logging.getLogger(library).info("GET https://vendor.example/?key=canary")
    logging.getLogger(library).warning("trouble")
    assert stream.getvalue() == f"WARNING {library}: trouble\n"


def test_apprise_is_never_seen_because_it_logs_urls(stream: StringIO) -> None:
    assert url_problem(Secret("nosuch://canary"))
    logging.getLogger("apprise").error("nosuch://canary")
    assert stream.getvalue() == ""


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up("info")
    logging.getLogger("budgetd.service").info("ready")
    assert capsys.readouterr() == ("", "INFO service: ready\n")


def test_standard_error_is_looked_up_when_it_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.set_up("info")
    logging.getLogger("budgetd.service").info("ready")
    assert stream.getvalue() == "INFO service: ready\n"
