"""Commands whose output is closed, full, or in a limited encoding: never a traceback."""

import json
import os
import subprocess
import sys

import pytest

from conftest import WriteConfig

CONFIG = """
[daemon]
state = "x.db"
[accounts.voice]
provider = "cekura"
api_key = { env = "NOT_SET" }
"""


def _shell(line: str, write_config: WriteConfig, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell line in which `budgetd` is this program."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'budgetd() {{ "{sys.executable}" -m budgetd "$@"; }}; {line}'],
        env={**os.environ, "BUDGETD_CONFIG": str(write_config(CONFIG)), **environment},
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        pytest.param("budgetd providers --json | head -1", (0, 1), "", id="who reads has enough"),
        pytest.param("budgetd status | true", (0, 1), "", id="nobody reads"),
        pytest.param(
            "budgetd status >/dev/full", (1,), "the output: No space left on device", id="nothing can be written"
        ),
        pytest.param("budgetd status >&- 2>&- <&-", (0,), "", id="nothing is open"),
        pytest.param("budgetd poll >&-", (78,), "NOT_SET is not set", id="no output, and an error"),
    ],
)
def test_where_nobody_listens(line: str, code: tuple[int, ...], said: str, write_config: WriteConfig) -> None:
    ended = _shell(line, write_config)
    assert ended.returncode in code
    assert ended.stderr.strip().endswith(said)
    assert len(ended.stderr.splitlines()) == bool(said)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_the_encoding_has_no_sign_for_it(encoding: str, write_config: WriteConfig) -> None:
    comment = "caf\u00e9 \u2713"
    line = 'budgetd silence --account voice --for 1h -m "$COMMENT" && budgetd holds list && budgetd holds list --json'
    ended = _shell(line, write_config, PYTHONIOENCODING=encoding, COMMENT=comment)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\u2713" in ended.stdout
    assert json.loads(ended.stdout[ended.stdout.index("[") :])[0]["comment"] == comment
