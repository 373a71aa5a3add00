"""Logs on standard error: the event for people, its fields for machines.

WARNING deliver.outbox: not sent channel=ops outcome=failed error="Failed to send ..."
"""

import json
import logging
import sys
from datetime import datetime
from typing import Final, TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    """Appends what was passed as `extra`, as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("budgetd.")
        fields = [f"{key}={_shown(value)}" for key, value in vars(record).items() if key not in _STANDARD]
        line = " ".join([f"{record.levelname} {name}: {record.getMessage()}", *fields])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _shown(value: object) -> str:
    text = value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=') else text
    return json.dumps(text)  # control characters, which a terminal would obey, and line breaks are escaped


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Our own logs from `level` on; those of libraries from WARNING on, because they log URLs, which hold secrets."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(FieldsFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("budgetd").setLevel(level.upper())
