"""Answers that are failures: their cause, what to tell people, and when to try again."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from budgetd.collect.paths import Path
from budgetd.collect.plans import RequestPlan
from budgetd.collect.provider import Provider
from budgetd.collect.texts import Redact, one_line
from budgetd.collect.times import Encoding, parse_time
from budgetd.http import Answer
from budgetd_rules.polls import Cause

LONGEST_PAUSE: Final = timedelta(hours=24)
_LONGEST_ID: Final = 64

_CAUSES: Final = {
    401: Cause.REJECTED,
    402: Cause.EXHAUSTED,
    403: Cause.REJECTED,
    404: Cause.NOT_FOUND,
    408: Cause.VENDOR_ERROR,
    410: Cause.NOT_FOUND,
    429: Cause.RATE_LIMITED,
}


def is_success(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def is_in_doubt(answer: Answer) -> bool:
    """Whether what was asked for may have happened: a gateway gives up while the server behind it goes on."""
    return answer.status >= 500 or answer.status == 408


def find_cause(provider: Provider, plan: RequestPlan, answer: Answer, document: object) -> Cause | None:
    """What the body says, else what the status means; None if the answer is no failure.

    `success` is not asked of an empty body: that is a question of the body's shape.
    """
    for cause, condition in provider.causes:
        if condition.find(document) is True:
            return cause
    if is_success(answer):
        is_refused = plan.success and document and plan.success.find(document) is not True
        return Cause.VENDOR_ERROR if is_refused else None
    return _CAUSES.get(answer.status, Cause.VENDOR_ERROR if answer.status >= 500 else Cause.MALFORMED)


def describe_failure(provider: Provider, answer: Answer, document: object, cause: Cause, redact: Redact) -> str:
    refused = " (the vendor refused the request)" if cause is Cause.MALFORMED else ""
    refused = " (and yet a failure, by its body)" if is_success(answer) else refused
    said = _quote(provider.detail, document, redact)
    request_id = one_line(answer.header(provider.request_id) or "", redact, _LONGEST_ID)
    parts = [f"HTTP {answer.status}{refused}", said and f": {said}", request_id and f" [{request_id}]"]
    if cause is Cause.REJECTED and provider.key_hint:
        parts.append(f"; {provider.key_hint}")
    return "".join(parts)


def read_retry_after(answer: Answer, now: datetime) -> list[timedelta]:
    """The pause that a failure asks for: none or one. A time that is not in the future asks for none."""
    pause = timedelta() if is_success(answer) else _pause(answer, now)
    return [min(pause, LONGEST_PAUSE)] if pause > timedelta() else []


def _pause(answer: Answer, now: datetime) -> timedelta:
    text = answer.header("retry-after")
    until = parse_time(text, Encoding.DELTA, now) or parse_time(text, Encoding.HTTP_DATE, now)
    return until - now if until else timedelta()


def _quote(places: Iterable[Path], document: object, redact: Redact) -> str:
    texts = (one_line(found, redact) for path in places if isinstance(found := path.find(document), str))
    return next(filter(None, texts), "")
