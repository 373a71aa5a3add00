"""The world around a daemon in a storm: a vendor whose numbers wander, and the weather in which its receivers stand.

Whatever happens is put down in one `Chronicle`, in the order in which it happened: what the vendor answered to whom,
and what arrived where. The oracle (storm_oracle.py) reads it beside the daemon's database.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from http import HTTPStatus
from typing import Final

from budgetd.demo.loopback import Answer, Fault, HttpServer, Request

HOOK: Final = "hook"
FORM: Final = "form"
MAIL: Final = "mail"

# The vendor's numbers: below 100 critical, below 500 a warning, above 600 over; between 500 and 600 as it was.
CRITICAL_BELOW: Final = 100
WARNING_BELOW: Final = 500
CLEAR_ABOVE: Final = 600
Band = tuple[int, int]
BAD: Final[Band] = (0, 99)
FINE: Final[Band] = (601, 9999)
_BANDS: Final[tuple[Band, ...]] = (BAD, (100, 499), (500, 599), FINE)


class Mood(Enum):
    """How a receiver treats a message."""

    ACCEPT = "accept"
    ERROR = "500, or 451 after the whole mail"
    BUSY = "429, or 421 before the mail"
    FORBIDDEN = "403, or 550 for the recipient"
    HANG = "takes it and says nothing"
    RESET = "takes it and resets the connection"
    DROP = "takes it and hangs up"
    LEAVE = "accepts it and hangs up"
    RESET_EARLY = "resets the connection before it is read"

    @property
    def arrives(self) -> bool:
        """Whether a person may have seen it, whatever the sender was told."""
        return self not in _TURNED_AWAY


_TURNED_AWAY: Final = (Mood.ERROR, Mood.BUSY, Mood.FORBIDDEN, Mood.RESET_EARLY)
_BAD_MOODS: Final = tuple(mood for mood in Mood if mood is not Mood.ACCEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for an account's balance by the daemon's so-manieth life; none where the answer was a fault."""

    account: str
    life: str
    balance: Decimal | None
    clock: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """A message that a receiver has read to its end."""

    channel: str
    title: str
    body: str
    mood: Mood

    @property
    def text(self) -> tuple[str, str, str]:
        return self.channel, self.title, self.body


class Chronicle:
    """The events, in order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[Asked | Came] = []

    def put(self, event: Asked | Came) -> None:
        with self._lock:
            self._events.append(event)

    @property
    def events(self) -> tuple[Asked | Came, ...]:
        with self._lock:
            return tuple(self._events)


class Course:
    """An account's numbers. No two are the same, so that a text shows which of them it was written by."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._count = 0
        self.move(self._chance.choice(_BANDS))

    def next(self, *, may_move: bool) -> Decimal:
        if may_move and self._chance.random() < 0.3:
            self.move(self._chance.choice(_BANDS))
        return self.balance

    def move(self, band: Band) -> None:
        self._count += 1
        whole = self._chance.randint(*band)
        self.balance = Decimal(f"{whole}.{self._count:04}")


class Vendor:
    """Answers for all accounts as Cekura does, now and then with a fault."""

    def __init__(self, chronicle: Chronicle, accounts: int, seed: str) -> None:
        self.is_calm = False
        self._chronicle = chronicle
        self._lock = threading.Lock()
        self._chance = random.Random(f"{seed} vendor")
        self._courses = {
            f"account-{number:02}": Course(random.Random(f"{seed} {number}")) for number in range(accounts)
        }
        self.http = HttpServer(self._answer)

    @property
    def accounts(self) -> list[str]:
        return list(self._courses)

    def move(self, band: Band) -> None:
        """Changes the numbers of all accounts at once."""
        with self._lock:
            for course in self._courses.values():
                course.move(band)

    def _answer(self, request: Request) -> Answer | Fault:
        account, life = request.path.split("/")[1], request.headers["x-cekura-api-key"]
        with self._lock:
            fault = None if self.is_calm or self._chance.random() > 0.1 else self._chance.choice(_VENDOR_FAULTS)
            balance = None if fault else self._courses[account].next(may_move=not self.is_calm)
            self._chronicle.put(Asked(account=account, life=life, balance=balance))
        if fault:
            return fault
        books = {"credits_remaining": str(balance), "initial_balance": "10000", "subscription_status": None}
        return Answer(status=HTTPStatus.OK, body=json.dumps(books).encode())


_VENDOR_FAULTS: Final = (
    Answer(status=HTTPStatus.SERVICE_UNAVAILABLE),
    Answer(status=HTTPStatus.OK, body=b"<html>Down for maintenance</html>", content_type="text/html"),
    Answer(status=HTTPStatus.OK, body=b'{"credits_remaining": null, "subscription_status": null}'),
    Fault.RESET,
)


class Weather:
    """Chooses how a receiver treats the next message. `on_read` is called when it was read, before the answer."""

    def __init__(self, chance: random.Random, on_read: Callable[[], None]) -> None:
        self.is_calm = False
        self.always: Mood | None = None
        self.on_read = on_read
        self._chance = chance
        self._lock = threading.Lock()

    def mood(self) -> Mood:
        with self._lock:
            if self.always or self.is_calm:
                return self.always or Mood.ACCEPT
            return Mood.ACCEPT if self._chance.random() < 0.6 else self._chance.choice(_BAD_MOODS)
