"""The tables, as a list of migrations. Each runs in one transaction together with its own record.

Times are UTC ISO-8601 texts of the same length, so that they sort as text. Decimals are texts: SQLite has no such type.
"""

from typing import Final

from sqlite_utils import Database, Migrations

migrations: Final = Migrations("budgetd")

_FIRST: Final = """
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, provider TEXT NOT NULL, identity TEXT, last_attempt TEXT, last_success TEXT,
    next_poll_at TEXT NOT NULL, retry_until TEXT, failures INTEGER NOT NULL DEFAULT 0,
    unjudged INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE latest (
    account TEXT, meter TEXT, kind TEXT NOT NULL, unit TEXT NOT NULL, as_of TEXT NOT NULL, since TEXT NOT NULL,
    rolling INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (account, meter)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    account TEXT, meter TEXT, from_at TEXT, until_at TEXT NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (account, meter, from_at)
) STRICT, WITHOUT ROWID;
CREATE TABLE outages (
    account TEXT, request TEXT, cause TEXT, from_at TEXT, until_at TEXT, detail TEXT NOT NULL, more INTEGER NOT NULL,
    PRIMARY KEY (account, request, cause, from_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX outages_open ON outages (account) WHERE until_at IS NULL;
CREATE TABLE watches (
    rule TEXT, account TEXT, meter TEXT, memory TEXT NOT NULL, episode TEXT, wake_at TEXT, parked_at TEXT,
    PRIMARY KEY (account, meter, rule)
) STRICT, WITHOUT ROWID;
CREATE INDEX watches_wake ON watches (wake_at) WHERE wake_at IS NOT NULL;
CREATE TABLE episodes (
    id TEXT PRIMARY KEY, rule TEXT NOT NULL, account TEXT NOT NULL, meter TEXT NOT NULL, "window" TEXT,
    level TEXT NOT NULL, peak TEXT NOT NULL, opened_at TEXT NOT NULL, ended_at TEXT, "end" TEXT, worst TEXT,
    count INTEGER NOT NULL
) STRICT;
CREATE INDEX episodes_open ON episodes (account) WHERE ended_at IS NULL;
CREATE TABLE changes (
    id TEXT PRIMARY KEY, episode TEXT, rule TEXT NOT NULL, account TEXT NOT NULL, meter TEXT NOT NULL,
    kind TEXT NOT NULL, old TEXT, new TEXT, at TEXT NOT NULL, reason TEXT NOT NULL, unsaid INTEGER NOT NULL,
    "values" TEXT NOT NULL, before TEXT NOT NULL
) STRICT;
CREATE INDEX changes_episode ON changes (episode);
CREATE TABLE notices (
    id TEXT PRIMARY KEY, change TEXT, report TEXT, channel TEXT NOT NULL, due_at TEXT NOT NULL,
    owed_since TEXT NOT NULL, state TEXT NOT NULL, delay REAL, reason TEXT, hold TEXT, handed TEXT, settled_at TEXT
) STRICT;
CREATE INDEX notices_change ON notices (change);
CREATE INDEX notices_waiting ON notices (channel, due_at) WHERE state IN ('waiting', 'held');
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, channel TEXT NOT NULL, started_at TEXT NOT NULL, took REAL, outcome TEXT NOT NULL,
    error TEXT, title TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_channel ON attempts (channel);
CREATE TABLE attempted (
    notice TEXT, attempt INTEGER, PRIMARY KEY (notice, attempt)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, matcher TEXT NOT NULL, from_at TEXT NOT NULL, until_at TEXT, "by" TEXT,
    comment TEXT
) STRICT;
CREATE TABLE hold_ends (hold TEXT PRIMARY KEY, at TEXT NOT NULL, "by" TEXT) STRICT;
CREATE TABLE actions (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, action TEXT NOT NULL, args TEXT NOT NULL, "by" TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;
CREATE TABLE action_ends (
    action INTEGER PRIMARY KEY, at TEXT NOT NULL, ending TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TABLE channels (
    name TEXT PRIMARY KEY, failing_since TEXT, failures INTEGER NOT NULL DEFAULT 0, last_try_at TEXT, next_try_at TEXT,
    last_success TEXT, fallback TEXT
) STRICT;
CREATE TABLE appointments (
    channel TEXT, report TEXT, says TEXT NOT NULL, since TEXT NOT NULL, PRIMARY KEY (channel, report)
) STRICT, WITHOUT ROWID;
CREATE TABLE heartbeat (
    id INTEGER PRIMARY KEY CHECK (id = 1), checked_at TEXT NOT NULL, sent_at TEXT, problem TEXT
) STRICT;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, at TEXT NOT NULL, "by" TEXT, comment TEXT,
    done_at TEXT
) STRICT;
CREATE INDEX requests_open ON requests (id) WHERE done_at IS NULL;
"""


@migrations()
def first_tables(db: Database) -> None:
    # One by one: executescript would commit the transaction that the migration runs in.
    for statement in filter(str.strip, _FIRST.split(";")):
        db.execute(statement)
