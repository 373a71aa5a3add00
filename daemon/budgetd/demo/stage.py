"""What a story, or a test, plays on: the vendors, the receivers, a folder with a config, and the daemon itself."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

from budgetd.demo.books import Vendor
from budgetd.demo.loopback import HOST
from budgetd.demo.receivers import Inbox, Mailbox, Received, Webhook
from budgetd.demo.vendors import KEYS, VendorServer
from budgetd.errors import BudgetdError

WEBHOOK: Final = "webhook"
MAIL: Final = "mail"

ACCOUNTS: Final[Mapping[Vendor, str]] = {
    Vendor.CEKURA: "voice-prod",
    Vendor.CARGO: "growth-prod",
    Vendor.SONZAI: "companion-prod",
    Vendor.UNIQOS: "dialogue-prod",
}

_SETTINGS: Final = """\
[daemon]
state    = "budgetd.db"
interval = "1s"

# What is critical is told twice over, by webhook and by mail; everything else by webhook.
[[routes]]
match    = { level = "critical" }
channels = ["webhook", "mail"]
[[routes]]
channels = ["webhook"]

[rules.low-credits]
on       = { kind = "balance" }
warning  = "remaining_percent < 20"
critical = "remaining_percent < 5"
clear    = "remaining_percent > 25"

[rules.subscription-ends]
on       = { kind = "subscription" }
warning  = "days_until_expiry <= 30"
critical = "days_until_expiry <= 3"
unless   = "auto_renew"

[rules.quota-nearly-used]
on       = { kind = "quota" }
warning  = "used_percent >= 90"

# Built in; here it is told sooner.
[rules.blind]
critical = "failures >= 2"
"""

# A busy machine polls late. After three intervals, which are 3 s here, that would be a story of its own.
_ACCOUNT: Final = """
[accounts.{name}]
provider    = "{vendor}"
base_url    = "{base_url}"
api_key     = {{ file = "{vendor}.key" }}
stale_after = "1m"
"""

_CHANNEL: Final = """
[channels.{name}]
url        = {{ file = "{name}.url" }}
group_wait = "0s"
"""


class DemoError(BudgetdError):
    """One line that says what did not happen; the daemon's last words follow it, where it has any."""


class DaemonProcess:
    """The real daemon as a child process, which can be stopped as systemd does it, or killed."""

    STOP_TIMEOUT: Final = 20.0

    def __init__(self, config: Path) -> None:
        self._config = config
        self._log = config.with_name("daemon.log")
        self._process: subprocess.Popen[bytes] | None = None
        # A proxy set for this machine is not on the way to its own loopback.
        self._environment = {**os.environ, "NO_PROXY": HOST, "no_proxy": HOST}

    def start(self) -> None:
        assert not self.is_running
        with self._log.open("ab") as log:
            # In a session of its own: Ctrl-C is for the demo, which then ends the daemon.
            self._process = subprocess.Popen(
                [*self._command("run")],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As when the power goes: no handler runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(self.STOP_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise self.failure(f"the daemon did not stop within {self.STOP_TIMEOUT:.0f} s of SIGTERM") from error

    def ask(self, *words: str) -> Any:
        """The JSON that a verb such as `episodes --all` prints about this daemon."""
        done = subprocess.run(
            self._command(*words, "--json"), env=self._environment, capture_output=True, timeout=60, check=False
        )
        if done.returncode:
            raise DemoError(f"budgetd {' '.join(words)} failed: {done.stderr.decode().strip()}")
        return json.loads(done.stdout)

    def failure(self, what: str) -> DemoError:
        last_words = self._log.read_text(errors="replace").splitlines()[-15:] if self._log.exists() else []
        return DemoError("\n".join([what, *last_words]))

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "budgetd", *words, "--config", str(self._config)]


class Stage:
    """Everything but the daemon runs from the start of the `with` block; at its end all is gone, the folder too."""

    def __init__(self, on_message: Callable[[Received], None] | None = None, settings: str = _SETTINGS) -> None:
        self.inbox = Inbox(on_message)
        self.vendors = VendorServer()
        self.webhook = Webhook(WEBHOOK, self.inbox)
        self.mailbox = Mailbox(MAIL, self.inbox)
        self._settings = settings
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="budgetd-demo-")))
            for server in (self.vendors, self.webhook, self.mailbox):
                exits.enter_context(server)
            self.daemon = DaemonProcess(self._write_config())
            exits.callback(self.daemon.kill)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def polled(self) -> int:
        """How often the least visited vendor was."""
        return min(self.vendors.requests(vendor) for vendor in Vendor)

    def wait_until(self, happened: Callable[[], bool], what: str, timeout: float) -> None:
        """Raises DemoError, with `what` was awaited, when the time is up or the daemon has gone."""
        deadline = time.monotonic() + timeout
        while not happened():
            if not self.daemon.is_running:
                raise self.daemon.failure(f"the daemon ended while waiting for {what}")
            if time.monotonic() > deadline:
                raise self.daemon.failure(f"waited {timeout:.0f} s in vain for {what}")
            time.sleep(0.02)

    def _write_config(self) -> Path:
        parts = [self._settings]
        for vendor, name in ACCOUNTS.items():
            self._write(f"{vendor}.key", KEYS[vendor])
            parts.append(_ACCOUNT.format(name=name, vendor=vendor, base_url=self.vendors.base_url(vendor)))
        for name, url in ((WEBHOOK, self.webhook.url), (MAIL, self.mailbox.url)):
            self._write(f"{name}.url", url)
            parts.append(_CHANNEL.format(name=name))
        return self._write("config.toml", "".join(parts))

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        with suppress(FileExistsError):
            path.touch(mode=0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8")
        return path
