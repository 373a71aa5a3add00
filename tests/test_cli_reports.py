"""What `status` and `outbox` show of digests, drills and heartbeats."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.store.heartbeats import write_heartbeat
from budgetd_rules.appointments import Report
from budgetd_rules.encoding import when
from build import NOON, minutes
from house import House

CONFIG: Final = """
[daemon]
state = "budgetd.db"
heartbeat = { url = { env = "NOT_NEEDED_HERE" } }
[accounts.voice]
provider = "cekura"
api_key = { env = "NOT_NEEDED_HERE" }
[channels.ops]
url = { env = "NOT_NEEDED_HERE" }
digest = "12:00"
drill = "mon 10:00"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a house whose digest could not be sent."""
    house = House(tmp_path / "budgetd.db", reports={Report.DIGEST: "12:00"})
    house.start(NOON - timedelta(days=1))
    house.mailbox.failing.add("ops")
    house.deliver(NOON)
    write_heartbeat(house.db, NOON, None, NOON)
    write_heartbeat(house.db, None, "failed: answered with 404", minutes(5))
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return path


def run(config: Path, *words: str) -> str:
    ran = CliRunner().invoke(app, [*words, "-c", str(config)])
    assert ran.exit_code == 0, ran.output
    return ran.output


def shape(config: Path, *words: str) -> Any:
    return json.loads(run(config, *words, "--json"))


def test_status(config: Path) -> None:
    """When the next ones are depends on the day on which this runs."""
    said = run(config, "status")
    assert re.search("digest .*12:00 UTC, drill .*10:00 UTC", said)
    assert re.search(r"heartbeat: last sent .*12:00 UTC\nfailed: answered with 404 \(at .*12:05 UTC\)\n", said)


def test_status_as_json(config: Path) -> None:
    status = shape(config, "status")
    (channel,) = status["channels"]
    digest, drill = when(channel["next_digest"]), when(channel["next_drill"])
    assert (digest.hour, drill.hour, drill.weekday()) == (12, 10, 0)
    assert status["heartbeat"] == {
        "last_sent": "2026-11-21T12:00:00.000000Z",
        "last_checked": "2026-11-21T12:05:00.000000Z",
        "problem": "failed: answered with 404",
    }


def test_outbox(config: Path) -> None:
    assert "digest-2026-11-21@ops   digest   waiting" in run(config, "outbox")
    (entry,) = shape(config, "outbox")
    assert (entry["report"], entry["change"], entry["account"]) == ("digest", None, None)
