"""The replies to the requests of one poll, each classified by itself: answered, absent or failed; and their values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from budgetd.collect.bodies import read_body, unwrap
from budgetd.collect.failures import describe_failure, find_cause, read_retry_after
from budgetd.collect.paths import Path, PathError
from budgetd.collect.plans import RequestPlan, ValuePlan
from budgetd.collect.provider import Provider
from budgetd.collect.texts import Redact, one_line
from budgetd.collect.values import MalformedError
from budgetd.http import Answer, RequestFailedError
from budgetd_rules.polls import Cause, Outage
from budgetd_rules.values import UNKNOWN, Value, ValueType

KEY: Final = "api_key"
_LONGEST_DETAIL: Final = 500

Reply = Answer | RequestFailedError
"""What came of a request."""


class State(Enum):
    ANSWERED = "answered"
    ABSENT = "absent"
    """The vendor has nothing to say to an optional request."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request after its reply. `document` is set if it was answered, `headers` if anything came."""

    state: State
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One poll while its answers are read, with the outages so far."""

    provider: Provider
    account: str
    now: datetime
    redact: Redact
    outages: list[Outage] = field(default_factory=list)
    pauses: list[timedelta] = field(default_factory=list)

    def blame(self, request: str, detail: str, cause: Cause = Cause.MALFORMED) -> None:
        detail = one_line(detail, self.redact, _LONGEST_DETAIL)
        self.outages.append(Outage(request=request, cause=cause, detail=detail))


def classify(visit: Visit, plan: RequestPlan, reply: Reply) -> Seen:
    if isinstance(reply, RequestFailedError):
        # Without a key no request is sent: they share one outage.
        visit.blame(KEY if reply.cause is Cause.CREDENTIAL else plan.name, reply.detail, reply.cause)
        return Seen(state=State.FAILED)
    headers = reply.headers
    visit.pauses.extend(read_retry_after(reply, visit.now))
    if plan.optional and reply.status in (204, 403, 404):
        return Seen(state=State.ABSENT, headers=headers)
    document, fault = read_body(plan, reply, visit.redact)
    cause = find_cause(visit.provider, plan, reply, document)
    if cause:
        visit.blame(plan.name, describe_failure(visit.provider, reply, document, cause, visit.redact), cause)
        return Seen(state=State.FAILED, headers=headers)
    if fault:
        visit.blame(plan.name, f"HTTP {reply.status}: {fault}")
        return Seen(state=State.FAILED, headers=headers)
    if plan.optional and not document:
        return Seen(state=State.ABSENT, headers=headers)
    return Seen(state=State.ANSWERED, document=_unwrap(visit, plan, document), headers=headers)


def _unwrap(visit: Visit, plan: RequestPlan, document: object) -> object:
    for name in plan.unwrap:
        try:
            document = unwrap(document, name, visit.redact)
        except MalformedError as error:
            visit.blame(plan.name, str(error))
    return document


def read_values(visit: Visit, plan: RequestPlan, seen: Seen) -> dict[str, Value]:
    """All values of the request; what it did not bring is unknown. Headers are read from errors too."""
    return {value.name: _read_value(visit, value, seen) for value in plan.values}


def _read_value(visit: Visit, value: ValuePlan, seen: Seen) -> Value:
    try:
        raw = find_raw(value, seen)
        return value.reader.read(raw, visit.now, visit.redact)
    except (PathError, MalformedError) as error:
        visit.blame(value.request, f"values.{value.name}: {error}")
        return UNKNOWN


def find_raw(value: ValuePlan, seen: Seen) -> object:
    if value.path:
        return value.path.search(seen.document) if seen.state is State.ANSWERED else None
    found = value.header.find(seen.headers) if value.header else None
    return found.split(",") if isinstance(found, str) and value.reader.type is ValueType.NUMBERS else found


def has_any(values: Mapping[str, Value], lists: Iterable[Path], document: object) -> bool:
    """Whether an answer has anything that was looked for. Otherwise the API has changed."""
    paths = list(lists)
    return (
        not (values or paths)
        or any(value is not UNKNOWN for value in values.values())
        or any(_is_there(path, document) for path in paths)
    )


def _is_there(path: Path, document: object) -> bool:
    try:
        return path.search(document) is not None
    except PathError:
        return True  # Reading the list will say what is wrong with it.
