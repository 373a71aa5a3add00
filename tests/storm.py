"""A storm: the real daemon, killed (-9) again and again between a vendor that wanders and channels that fail."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Self

from budgetd.demo.loopback import HOST
from storm_receivers import MailReceiver, WebReceiver, read_form, read_json
from storm_world import (
    CLEAR_ABOVE,
    CRITICAL_BELOW,
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
state    = "budgetd.db"
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
remind   = "8s"

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
    """Everything runs from the start of the `with` block but the daemon; at its end all is gone, the folder too."""

    def __init__(self, seed: str, accounts: int = 40) -> None:
        self.kills = 0
        self.chronicle = Chronicle()
        self.vendor = Vendor(self.chronicle, accounts, seed)
        self.weathers = {name: Weather(random.Random(f"{seed} {name}"), self._strike) for name in (HOOK, FORM, MAIL)}
        self._hook = WebReceiver(HOOK, self.chronicle, self.weathers[HOOK], read_json)
        self._form = WebReceiver(FORM, self.chronicle, self.weathers[FORM], read_form)
        self._mail = MailReceiver(MAIL, self.chronicle, self.weathers[MAIL])
        self._chance = random.Random(f"{seed} kills")
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
            exits.callback(self._kill)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def database(self) -> Path:
        return self.folder / "budgetd.db"

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text(errors="replace")

    # --- what happens to the daemon

    def rage(self, kills: int, until: float) -> None:
        """So many lives, each ended by kill -9: at a random instant, or while a message of its is read."""
        while self.kills < kills and time.monotonic() < until:
            self._pass_time()
            self.start()
            if self._chance.random() < 0.15:
                self._live(self._chance.uniform(0, 1))  # it may not even have begun to poll
            else:
                self.wait_until(self._has_polled, "a poll", may_die=True)
                self._live(self._chance.uniform(0, LONGEST_LIFE))
            self._kill()
            self.kills += 1

    def calm_down(self) -> None:
        """Nothing fails any more, and nothing is spent. Returns when everyone has been told everything."""
        for weather in self.weathers.values():
            weather.is_calm = True
        self.vendor.is_calm = True
        self._pass_time(always=True)
        self.start()
        seen = len(self.chronicle.events)
        self.wait_until(lambda: self._polled_since(seen, times=3), "three polls of each account")
        self.wait_until(lambda: not self._waits(), "the last notice")
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, self._last_words()

    def start(self) -> None:
        self._lives += 1
        # A proxy set for this machine is not on the way to its own loopback.
        own = {"NO_PROXY": HOST, "no_proxy": HOST, "STORM_LIFE": self._life}
        with (self.folder / "daemon.log").open("ab") as log, self._lock:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "budgetd", "run", "--config", str(self.folder / "config.toml")],
                env={**os.environ, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, happened: Callable[[], bool], what: str, *, may_die: bool = False) -> None:
        deadline = time.monotonic() + PATIENCE
        while not happened():
            if not self._is_alive:
                assert may_die, self._last_words()
                return
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self._last_words()}"
            time.sleep(0.02)

    @property
    def _life(self) -> str:
        return f"life-{self._lives:04}"

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _live(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._is_alive and time.monotonic() < deadline:
            time.sleep(0.005)

    def _strike(self) -> None:
        """In a receiver's thread; whoever waits for the end of the life starts the next one."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _kill(self) -> None:
        self._strike()
        if self._process is not None:
            assert self._process.returncode in (-signal.SIGKILL, 0), self._last_words()

    def _pass_time(self, *, always: bool = False) -> None:
        """As if the pause of a channel that fails had gone by: else most of a storm would be waiting."""
        if self.database.exists() and (always or self._chance.random() < 0.5):
            with closing(sqlite3.connect(self.database)) as db, db:
                db.execute("UPDATE channels SET next_try_at = NULL")

    def _has_polled(self) -> bool:
        return any(isinstance(one, Asked) and one.life == self._life for one in self.chronicle.events[-50:])

    def _polled_since(self, seen: int, times: int) -> bool:
        asked = [one.account for one in self.chronicle.events[seen:] if isinstance(one, Asked)]
        return all(asked.count(account) > times for account in self.vendor.accounts)

    def _waits(self) -> bool:
        with closing(sqlite3.connect(self.database)) as db:
            return db.execute("SELECT 1 FROM notices WHERE state IN ('waiting', 'held')").fetchone() is not None

    def _last_words(self) -> str:
        return "\n".join(self.log.splitlines()[-15:])

    def _write_config(self) -> None:
        accounts = [_ACCOUNT.format(name=name, url=self.vendor.http.url) for name in self.vendor.accounts]
        self._write("config.toml", "".join([_SETTINGS, *accounts]))
        self._write(f"{HOOK}.url", f"json://{self._hook.address}/?cto=1&rto=1")
        self._write(f"{FORM}.url", f"form://{self._form.address}/?cto=1&rto=1")
        self._write(f"{MAIL}.url", self._mail.url.replace("cto=4", "cto=1"))

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
