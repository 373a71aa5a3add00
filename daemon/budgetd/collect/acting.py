"""Carrying out an action: one request that a person asked for, sent once and never repeated by us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from budgetd.collect.bodies import read_body
from budgetd.collect.failures import describe_failure, find_cause, is_in_doubt
from budgetd.collect.numbers import parse_number
from budgetd.collect.paths import Path
from budgetd.collect.plans import Action, Arg, Ask
from budgetd.collect.sources import Source
from budgetd.collect.templates import TemplateValue
from budgetd.collect.texts import Redact, hide, one_line
from budgetd.errors import UsageError
from budgetd.http import Answer, Client, RequestFailedError
from budgetd.validation import did_you_mean

LONGEST_SHOWN: Final = 2000


class Ending(StrEnum):
    """How it ended. Unknown: no answer came, or one of a server in trouble, but the vendor may have done it."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """`shown` is only for the person who asked, and not recorded: a payment link is as good as money."""

    ending: Ending
    detail: str
    shown: Mapping[str, str] = field(default_factory=dict)


def read_args(action: Action, given: Mapping[str, str]) -> dict[str, TemplateValue]:
    """What a person typed, checked. Raises UsageError, one line for the first thing that is wrong."""
    for name in given:
        if name not in action.args:
            raise UsageError(f"{action.name} takes no {name}{did_you_mean(name, list(action.args))}")
    for name, arg in action.args.items():
        if not given.get(name, "").strip():
            raise UsageError(f"{action.name} needs {name}: {arg.help}; write {name}=...")
    return {name: _read_arg(name, arg, given[name].strip()) for name, arg in action.args.items()}


def _read_arg(name: str, arg: Arg, text: str) -> TemplateValue:
    if arg.type == "text":
        return text
    number = parse_number(text)
    if number is None or number != number.to_integral_value() or number <= 0:
        raise UsageError(f"{name} is a whole number above zero, {arg.help}; {text!r} is not")
    return int(number)


async def act(
    source: Source, action: Action, args: Mapping[str, TemplateValue], client: Client, now: datetime
) -> Acted:
    """Raises SecretUnavailableError where there is no key to send, and UsageError where it can't be sent."""
    source = await source.keyring.current(now) if source.keyring else source
    redact = hide(*source.secrets, *(str(args[name]) for name, arg in action.args.items() if arg.secret))
    try:
        request = source.request(Ask(plan=action.request, found=args))
        answer = await client.send(request, source.timeout, source.line)
    except RequestFailedError as error:
        return Acted(ending=Ending.UNKNOWN, detail=one_line(error.detail, redact))
    except ValueError as error:
        raise UsageError(f"can't be sent: {redact(str(error))}") from error
    return _read(source, action, answer, redact)


def _read(source: Source, action: Action, answer: Answer, redact: Redact) -> Acted:
    document, fault = read_body(action.request, answer, redact)
    cause = find_cause(source.provider, action.request, answer, document)
    if cause:
        ending = Ending.UNKNOWN if is_in_doubt(answer) else Ending.REFUSED
        return Acted(ending=ending, detail=describe_failure(source.provider, answer, document, cause, redact))
    shown = {label: text for label, path in action.shows.items() if (text := _show(path, document))}
    missing = fault or ("it answered without what it was to show" if action.shows and not shown else "")
    return Acted(ending=Ending.DONE, detail=missing, shown=shown)


def _show(path: Path, document: object) -> str:
    """In full: a link that is cut off leads nowhere."""
    found = path.find(document)
    if isinstance(found, Decimal):
        return format(found, "f")
    return one_line(found, lambda text: text, LONGEST_SHOWN) if isinstance(found, str) else ""
