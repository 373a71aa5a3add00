"""Handovers: a notice that a channel can't be told any more dies there and goes to another, in one transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from budgetd.store import rows
from budgetd.store.database import Store, put, read, write
from budgetd.store.rows import among
from budgetd_rules.encoding import at
from budgetd_rules.handover import OWED_FOR_LONGEST, choose_substitute
from budgetd_rules.notices import UNTOLD, NoticeState
from budgetd_rules.own_account import NOT_COMPOSED, channel_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """A notice given up for its channel. `told` is the channel that gets it instead, or already knows.

    A `report` (digest or drill) is not handed over: the next one says the same.
    """

    notice: str
    report: str | None
    channel: str
    told: str | None
    reason: str


def remember(db: Store, channels: Iterable[str], fallbacks: Mapping[str, str]) -> None:
    """Remembers the fallbacks, for channels that will have left the config."""
    with write(db):
        for name in channels:
            db.execute(
                "INSERT INTO channels (name, fallback) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET fallback = excluded.fallback",
                [name, fallbacks.get(name)],
            )


def hand_over(
    db: Store, channels: Sequence[str], sending: Collection[str], now: datetime, *, spare_aged: bool
) -> list[Dead]:
    """Hands over all notices of channels not in the config, and those that failing channels have owed for too long.

    Channels that are `sending` are left out, even if they left the config, because the send may succeed.
    """
    overdue = _Overdue(db=db, channels=channels, sending=sending, now=now, spare_aged=spare_aged)
    with read(db):
        if not overdue.find():
            return []
    with write(db):
        return [dead for row in overdue.find() if (dead := overdue.hand_over(row))]


# All waiting notices of an episode go together, once the first is too old.
_OVERDUE: Final = """
    SELECT notices.id, notices.change, notices.report, notices.channel, notices.due_at, notices.delay, notices.state,
           channels.fallback,
           changes.episode, changes.at, changes.account, changes.meter,
           (SELECT error FROM attempted JOIN attempts ON attempts.id = attempted.attempt
            WHERE attempted.notice = notices.id ORDER BY attempts.id DESC LIMIT 1) AS own_error,
           (SELECT error FROM attempts WHERE attempts.channel = notices.channel AND outcome <> 'ok'
            ORDER BY id DESC LIMIT 1) AS channels_error
    FROM notices LEFT JOIN changes ON changes.id = notices.change LEFT JOIN channels ON name = notices.channel
    WHERE notices.state IN ('waiting', 'held') AND notices.channel NOT IN (SELECT value FROM json_each(?3)) AND (
        notices.channel NOT IN (SELECT value FROM json_each(?1))
        OR notices.state = 'waiting' AND failures > 0 AND (
            owed_since <= ?2
            OR (notices.channel, changes.episode) IN (
                SELECT old.channel, of_old.episode FROM notices AS old JOIN changes AS of_old ON of_old.id = old.change
                WHERE old.state IN ('waiting', 'held') AND old.state = 'waiting' AND old.owed_since <= ?2)))
    ORDER BY changes.at, notices.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Overdue:
    """The handovers of one instant."""

    db: Store
    channels: Sequence[str]
    sending: Collection[str]
    now: datetime
    spare_aged: bool

    def find(self) -> list[rows.Row]:
        limit = "" if self.spare_aged else at(self.now - OWED_FOR_LONGEST)
        return list(self.db.query(_OVERDUE, [among(self.channels), limit, among(self.sending)]))

    def hand_over(self, row: rows.Row) -> Dead | None:
        """None for a digest or a drill of a channel that is gone, which nobody needs."""
        is_gone = row["channel"] not in self.channels
        if is_gone and row["report"] is not None:
            self._settle(row, NoticeState.DROPPED, "the channel left the config")
            return None
        error = row["own_error"] or row["channels_error"] or "no answer"
        for_long = f"for {OWED_FOR_LONGEST.days} days"
        why = "the channel left the config" if is_gone else f"not delivered {for_long}"
        instead, knowing = self._instead_of(row), self._up_to_date(row)
        if instead is None:
            instead = min(knowing, default=None)
        if row["report"] is not None:
            what = f"and the next {row['report']} says the same"
        elif instead is None:
            what = "and by no other channel"
        elif instead in knowing:
            what = f"{instead} knows already"
        else:
            what = f"handed over to {instead}"
            handed = f"could not be told on {row['channel']}" + (f": {why}" if is_gone else f" {for_long}")
            self._owe(row, instead, handed)
        reason = f"{why}, {what}" + ("" if is_gone else f": {error}")
        self._settle(row, NoticeState.DEAD, reason)
        if instead is None and row["report"] is None:
            self._keep_trying(row)
        return Dead(notice=row["id"], report=row["report"], channel=row["channel"], told=instead, reason=reason)

    def _settle(self, row: rows.Row, state: NoticeState, reason: str) -> None:
        self.db.execute(
            "UPDATE notices SET state = ?, reason = ?, hold = NULL, settled_at = ? WHERE id = ?",
            [state, reason, at(self.now), row["id"]],
        )

    def _keep_trying(self, row: rows.Row) -> None:
        """Marks the dead notices of this change as untold, so that their channels tell it once they work again."""
        if not (row["own_error"] or "").startswith(NOT_COMPOSED):
            self.db.execute(
                "UPDATE notices SET hold = ? WHERE change = ? AND state = 'dead' AND owed_since > coalesce("
                "(SELECT last_success FROM channels WHERE name = notices.channel), '')",
                [UNTOLD, row["change"]],
            )

    def _instead_of(self, row: rows.Row) -> str | None:
        """The channel to tell instead, if any. Each gets a change at most once, so fallbacks may form a cycle.

        A change that can't be composed is not handed over: it would only delay the notices of another channel.
        """
        if row["change"] is None or (row["own_error"] or "").startswith(NOT_COMPOSED):
            return None
        notices = self.db.execute("SELECT channel FROM notices WHERE change = ?", [row["change"]])
        failing = self.db.execute("SELECT name FROM channels WHERE failures > 0")
        had = {channel_of(row["account"], row["meter"]), *(channel for (channel,) in notices)}
        return choose_substitute(self.channels, row["fallback"], had, {name for (name,) in failing})

    def _up_to_date(self, row: rows.Row) -> set[str]:
        """The other channels that were told this change, or a later one of its episode."""
        sql = """
            SELECT channel FROM notices JOIN changes ON changes.id = notices.change
            WHERE ? IN (changes.id, changes.episode) AND state = 'sent' AND settled_at >= ? AND channel <> ?
        """
        about = row["episode"] or row["change"]
        return {channel for (channel,) in self.db.execute(sql, [about, row["at"], row["channel"]])}

    def _owe(self, row: rows.Row, channel: str, handed: str) -> None:
        """Due at once, or when it was due before. Holds apply there as well."""
        now = at(self.now)
        due_at = max(row["due_at"], now) if row["state"] == NoticeState.WAITING else now
        notice = {
            "id": f"{row['change']}@{channel}",
            "change": row["change"],
            "channel": channel,
            "due_at": due_at,
            "owed_since": due_at,
            "delay": row["delay"],
            "state": NoticeState.WAITING,
            "handed": handed,
        }
        put(self.db, "notices", [notice])
