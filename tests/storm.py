"""A storm: the real service is killed (-9) again and again, while the vendor's numbers change and channels fail."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Final, Self

from budgetd.demo.loopback import HOST
from storm_receivers import MailReceiver, WebReceiver, read_form, read_json
from storm_world import (
    CLEAR_ABOVE,
    CRITICAL_BELOW,
    FINE,
    FORM,
    HOOK,
    MAIL,
    WARNING_BELOW,
    Asked,
    Chronicle,
    Vendor,
    Weather,
)

_SETTINGS: Final = f"""\
[daemon]
state    = "state/budgetd.db"
interval = "1s"

# What is critical goes to all three.
[[routes]]
match    = {{ level = "critical" }}
channels = ["{HOOK}", "{FORM}", "{MAIL}"]
[[routes]]
channels = ["{HOOK}", "{FORM}"]

[rules.low]
on       = {{ kind = "balance" }}
warning  = "remaining < {WARNING_BELOW}"
critical = "remaining < {CRITICAL_BELOW}"
clear    = "remaining > {CLEAR_ABOVE}"
{{remind}}

# A vendor's outages are told by the clock, and the oracle has none.
[rules.blind]
enabled = false
[rules.changed-shape]
enabled = false

[channels.{HOOK}]
url        = {{ file = "{HOOK}.url" }}
group_wait = "0s"
[channels.{FORM}]
url        = {{ file = "{FORM}.url" }}
group_wait = "1s"
[channels.{MAIL}]
url        = {{ file = "{MAIL}.url" }}
group_wait = "0s"
"""

_ACCOUNT: Final = """
[accounts.{name}]
provider    = "cekura"
base_url    = "{url}/{name}"
api_key     = {{ env = "STORM_LIFE" }}
stale_after = "1h"
"""


# Seconds that end a storm whose daemon does nothing any more; they decide nothing.
PATIENCE: Final = 120.0
# A life ends so long after its first poll, at most.
LONGEST_LIFE: Final = 1.6


class Storm:
    """Everything runs from the start of the `with` block but the daemon; at its end all is gone, the folder too.

    `command` is put before the daemon's own; `{state}` in it is the folder of its database.
    """

    def __init__(
        self,
        seed: str,
        accounts: int = 40,
        *,
        remind: str = 'remind = "8s"',
        read_timeout: int = 1,
        command: Sequence[str] = (),
    ) -> None:
        self.kills = 0
        self.chronicle = Chronicle()
        self.vendor = Vendor(self.chronicle, accounts, seed)
        self.weathers = {
            name: Weather(random.Random(f"{seed} {name}"), self._perhaps_strike) for name in (HOOK, FORM, MAIL)
        }
        self._hook = WebReceiver(HOOK, self.chronicle, self.weathers[HOOK], read_json)
        self._form = WebReceiver(FORM, self.chronicle, self.weathers[FORM], read_form)
        self._mail = MailReceiver(MAIL, self.chronicle, self.weathers[MAIL])
        self._chance = random.Random(f"{seed} kills")
        self._in_the_act = random.Random(f"{seed} kills in the act")
        self._rages = False
        self._remind, self._read_timeout, self._command = remind, read_timeout, command
        self._said: list[str] = []
        self._lives = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="budgetd-storm-")))
            for server in (self.vendor.http, self._hook, self._form, self._mail):
                exits.enter_context(server)
            self._write_config()
            exits.callback(self._strike)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def database(self) -> Path:
        """In a folder of its own, so that a test may put a small disk there."""
        return self.folder / "state" / "budgetd.db"

    @property
    def log(self) -> str:
        return "".join(self._said)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    # --- what happens to the daemon

    def rage(self, kills: int, until: float) -> None:
        """Runs this many lives, each ended by kill -9, at a random time or while a message is received."""
        self._rages = True
        while self.kills < kills and time.monotonic() < until:
            self._pass_time()
            self.start()
            if self._chance.random() < 0.15:
                self.live(self._chance.uniform(0, 1))  # it may not even have begun to poll
            else:
                self.wait_until(self._has_polled, "a poll", may_die=True)
                self.live(self._chance.uniform(0, LONGEST_LIFE))
            self._strike()
            assert self.process.returncode == -signal.SIGKILL, self._last_words()
            self.kills += 1
        self._rages = False

    def be_calm(self) -> None:
        """From here on nothing fails any more, and nothing is spent."""
        for weather in self.weathers.values():
            weather.is_calm = True
        self.vendor.is_calm = True

    def calm_down(self) -> None:
        """Returns when everyone has been told everything, and the daemon has ended in order."""
        self.be_calm()
        if not self._is_alive:
            self._pass_time(always=True)
            self.start()
        self._wait_for_silence()
        # What is open is reminded of as long as it is, and a stop might come between a reminder and its message.
        self.vendor.move(FINE)
        self._wait_for_silence()
        self.stop()

    def _wait_for_silence(self) -> None:
        self.wait_for_polls(3)
        self.wait_until(lambda: not self._waits(), "the last notice")

    def start(self) -> None:
        # A proxy set for this machine is not on the way to its own loopback. The watchdog makes the heart beat faster.
        own = {"NO_PROXY": HOST, "no_proxy": HOST, "WATCHDOG_USEC": "1000000"}
        own["STORM_LIFE"] = f"life-{self._lives + 1:04}"
        command = [part.format(state=self.database.parent) for part in self._command]
        with self._lock:
            self._lives += 1
            self._process = subprocess.Popen(
                [*command, sys.executable, "-m", "budgetd", "run", "--config", str(self.folder / "config.toml")],
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=[self._process.stdout], daemon=True).start()

    def _listen(self, pipe: IO[bytes]) -> None:
        """Reads a pipe, because a test may forbid the service to write to files."""
        with pipe:
            for line in pipe:
                self._said.append(line.decode(errors="replace"))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self._last_words()

    # --- what to wait for

    def wait_until(self, happened: Callable[[], bool], what: str, *, may_die: bool = False) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if not self._is_alive:
                assert may_die, self._last_words()
                return
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self._last_words()}"
            time.sleep(0.02)

    def wait_for_polls(self, times: int) -> None:
        """So many of each account, begun from now on; what came before them has been judged."""
        seen = len(self.chronicle.events)

        def happened() -> bool:
            asked = Counter(one.account for one in self.chronicle.events[seen:] if isinstance(one, Asked))
            return all(asked[account] > times for account in self.vendor.accounts)

        self.wait_until(happened, f"{times} polls of each account")

    def wait_for_log(self, text: str) -> None:
        self.wait_until(lambda: text in self.log, f"{text!r} in the log")

    def live(self, seconds: float) -> None:
        """Runs for at most this long; it may be killed earlier."""
        deadline = time.monotonic() + seconds
        while self._is_alive and time.monotonic() < deadline:
            time.sleep(0.005)

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _has_polled(self) -> bool:
        life = f"life-{self._lives:04}"
        return any(isinstance(one, Asked) and one.life == life for one in self.chronicle.events[-50:])

    def _waits(self) -> bool:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute("SELECT 1 FROM notices WHERE state IN ('waiting', 'held')").fetchone() is not None

    def _last_words(self) -> str:
        return "".join(self._said[-15:])

    # ---

    def _perhaps_strike(self) -> None:
        """In a receiver's thread; whoever waits for the end of the life starts the next one."""
        life = self._lives
        if self._rages and self._in_the_act.random() < 0.15:
            self._strike(life)

    def _strike(self, life: int | None = None) -> None:
        """Kills without any handler, like a power failure."""
        with self._lock:
            if self._process is not None and life in (None, self._lives):
                self._process.kill()
                self._process.wait()

    def _pass_time(self, *, always: bool = False) -> None:
        """As if the pause of a channel that fails had gone by: else most of a storm would be waiting."""
        if self.database.exists() and (always or self._chance.random() < 0.5):
            with closing(sqlite3.connect(self.database)) as db, db:
                db.execute("UPDATE channels SET next_try_at = NULL")

    def _write_config(self) -> None:
        self.database.parent.mkdir()
        accounts = [_ACCOUNT.format(name=name, url=self.vendor.http.url) for name in self.vendor.accounts]
        self._write("config.toml", "".join([_SETTINGS.replace("{remind}", self._remind), *accounts]))
        self._write(f"{HOOK}.url", f"json://{self._hook.address}/?cto=1&rto={self._read_timeout}")
        self._write(f"{FORM}.url", f"form://{self._form.address}/?cto=1&rto={self._read_timeout}")
        self._write(f"{MAIL}.url", self._mail.url.replace("cto=4", "cto=1"))

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
