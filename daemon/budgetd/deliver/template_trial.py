"""Reads and compiles a channel's templates, and tries them on sample messages."""

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from budgetd.config import ChannelTable, TemplateFile
from budgetd.deliver.templates import LONGEST, Template
from budgetd.errors import TemplateError
from budgetd_rules.formats import Format, write
from budgetd_rules.samples import Sample, sample

# Any time will do, as long as it is always the same.
_THEN: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

Problem = tuple[str, str]
"""A key of the channel's table, and what is wrong with it."""


def try_template(
    table: ChannelTable, folder: Path, to: Format, zone: tzinfo
) -> tuple[Template | None, tuple[Problem, ...]]:
    """The channel's template; or None, and all problems."""
    problems: list[Problem] = []
    file = folder / table.body.file if isinstance(table.body, TemplateFile) else None
    body = table.body if isinstance(table.body, str) else None
    try:
        _try(Template(title=table.title, to=to), to, zone)
    except TemplateError as error:
        problems.append(("title", str(error)))
    try:
        body = _read(file) if file else body
        _try(Template(body=body, to=to), to, zone)
    except TemplateError as error:
        problems.append(("body.file", f"{file}: {error}") if file else ("body", str(error)))
    return (None if problems else Template(title=table.title, body=body, to=to)), tuple(problems)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        raise TemplateError(f"can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TemplateError("is not UTF-8; save the file as UTF-8") from error


def _try(template: Template, to: Format, zone: tzinfo) -> None:
    for which in Sample:
        message = sample(which, zone, _THEN)
        try:
            template.fill(message, write(message.blocks, to))
        except TemplateError as error:
            raise TemplateError(f"{error} (with the sample `{which}`)") from error
