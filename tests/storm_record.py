"""What a storm left: the daemon's record of it, read from its database, and what the texts that arrived say."""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

WARNING: Final = "WARNING"
CRITICAL: Final = "CRITICAL"
REMINDER: Final = "REMINDER "
OVER: Final = ("RESOLVED", "PASSED")

# --- what the daemon wrote down


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`level` is what it became; none where it is over. `balance` is the number by which it was judged."""

    id: str
    episode: str
    account: str
    kind: str
    level: str | None
    balance: Decimal

    @property
    def number(self) -> int:
        """In its episode."""
        return int(self.id.rpartition(".")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    id: str
    change: Change
    channel: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: int
    channel: str
    outcome: str
    title: str
    body: str
    notices: tuple[Notice, ...]

    @property
    def text(self) -> tuple[str, str, str]:
        return self.channel, self.title, self.body

    def of(self, episode: str) -> list[Notice]:
        """Oldest first."""
        mine = [notice for notice in self.notices if notice.change.episode == episode]
        return sorted(mine, key=lambda notice: notice.change.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    changes: tuple[Change, ...]
    notices: Mapping[str, Notice]
    attempts: tuple[Attempt, ...]


def read_record(path: Path) -> Record:
    """What is of the vendor's accounts; the daemon's own troubles are not the oracle's."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        ours = db.execute("SELECT * FROM changes WHERE account LIKE 'account-%' ORDER BY at, length(id), id")
        changes = {row["id"]: _change(row) for row in ours}
        notices = {
            row["id"]: Notice(
                id=row["id"],
                change=changes[row["change"]],
                channel=row["channel"],
                state=row["state"],
                reason=row["reason"] or "",
            )
            for row in db.execute("SELECT * FROM notices")
            if row["change"] in changes
        }
        tried: dict[int, list[str]] = defaultdict(list)
        for row in db.execute("SELECT * FROM attempted"):
            if row["notice"] in notices:
                tried[row["attempt"]].append(row["notice"])
        attempts = [
            Attempt(
                **{name: row[name] for name in ("id", "channel", "outcome", "title", "body")},
                notices=tuple(notices[notice] for notice in tried[row["id"]]),
            )
            for row in db.execute("SELECT * FROM attempts ORDER BY id")
        ]
    return Record(changes=tuple(changes.values()), notices=notices, attempts=tuple(attempts))


def _change(row: sqlite3.Row) -> Change:
    return Change(
        id=row["id"],
        episode=row["episode"],
        account=row["account"],
        kind=row["kind"],
        level=row["new"].upper() if row["new"] else None,
        balance=Decimal(json.loads(row["values"])["remaining"]),
    )


# --- what a text says


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a message says of one episode. `at` is the message's place in the chronicle; `was` when it is over."""

    at: int
    channel: str
    heading: str
    account: str
    balance: Decimal | None
    episode: str
    may_repeat: bool
    text: str

    @property
    def level(self) -> str | None:
        """None where it is over."""
        return None if self.heading in OVER else self.heading.removeprefix(REMINDER)


_LINE: Final = re.compile(r"^(?P<heading>[A-Z ]+) (?P<account>[\w-]+): (?P<balance>[\d,.]+)?.*")
_EPISODE: Final = re.compile(r"(?:episode (\w+))|(?:\[(\w{8})\])")


def told(at: int, channel: str, title: str, body: str) -> Iterator[Told]:
    """A message of one line, of several in full, or, past eight, of one short line for each."""
    blocks = body.split("\n\n")
    if len(blocks) == 1:
        lines = body.splitlines()
        blocks = lines if all("[" in line for line in lines) else [f"{title}\n{body}"]
    for block in blocks:
        line, episode = _LINE.match(block), _EPISODE.search(block)
        assert line, block
        assert episode, block
        if line["account"].startswith("account-"):
            yield Told(
                at=at,
                channel=channel,
                heading=line["heading"],
                account=line["account"],
                balance=Decimal(line["balance"].replace(",", "")) if line["balance"] else None,
                episode=episode[1] or episode[2],
                may_repeat="may be a repeat" in block,
                text=block,
            )
