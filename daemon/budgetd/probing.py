"""Probing: one account polled once, with notes on where each value came from and what nothing reads.

Of what the vendor sends, only the mapped values are kept; of other headers and fields, only the names.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from budgetd.collect.answers import Reply, Seen, State, Visit, find_raw
from budgetd.collect.bodies import read_body
from budgetd.collect.extract import conclude, converse
from budgetd.collect.paths import Path, PathError
from budgetd.collect.plans import Ask, ItemPart, Meter, RequestPlan, ValuePlan
from budgetd.collect.poll import send
from budgetd.collect.provider import Provider
from budgetd.collect.sources import Source
from budgetd.collect.values import MalformedError
from budgetd.http import Answer, Client, RequestFailedError
from budgetd.leftovers import MOST_NAMES, FieldSeen, HeaderSeen, find_unread, name_headers
from budgetd_rules.polls import Poll
from budgetd_rules.values import UNKNOWN, Value


class Found(StrEnum):
    READ = "read"
    NULL = "null"
    ABSENT = "absent"
    MALFORMED = "malformed"
    NOT_ANSWERED = "not answered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSeen:
    """`place` is the path, or the header that counted; `tried` are all header names of a value from headers.

    `near` is something of a like name that came and that nothing reads, where the value itself did not come.
    """

    name: str
    found: Found
    place: str
    tried: tuple[str, ...] = ()
    near: str | None = None
    value: Value = UNKNOWN
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSeen:
    """What a meter fans out over: how many items, if there is a list, and in how many of them each part was read."""

    meter: str
    place: str
    items: int | None
    parts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request as it was sent, with `status` and `size` of the answer if there was one, else the `failure`."""

    request: str
    method: str
    url: str
    took: timedelta
    status: int | None = None
    size: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSeen:
    """One request of the provider, with all its pages. `unread` are fields of the body that nothing reads."""

    name: str
    exchanges: tuple[Exchange, ...]
    values: tuple[ValueSeen, ...]
    headers: tuple[HeaderSeen, ...]
    lists: tuple[ListSeen, ...]
    unread: tuple[FieldSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    poll: Poll
    requests: tuple[RequestSeen, ...]


async def probe(source: Source, client: Client, now: datetime) -> Probe:
    """The same conversation as that of a poll, with notes taken."""
    visit = Visit(provider=source.provider, account=source.account, now=now, redact=source.redact)
    seen: dict[str, Seen] = {}
    values: dict[str, Value] = {}
    exchanges: list[Exchange] = []
    first: dict[str, Answer] = {}
    talk = converse(visit, seen, values)
    try:
        ask = next(talk)
        while True:
            started = time.monotonic()
            reply = await send(source, client, ask, now)
            took = reply.took if isinstance(reply, Answer) else timedelta(seconds=time.monotonic() - started)
            exchanges.append(_note(source, ask, reply, took))
            if isinstance(reply, Answer):
                first.setdefault(ask.plan.name, reply)
            ask = talk.send(reply)
    except StopIteration:
        requests = tuple(
            _look(
                visit,
                plan,
                seen[plan.name],
                first.get(plan.name),
                [one for one in exchanges if one.request == plan.name],
            )
            for plan in source.provider.requests
        )
    return Probe(poll=conclude(visit, seen, values), requests=requests)


# --- what was sent


def _note(source: Source, ask: Ask, reply: Reply, took: timedelta) -> Exchange:
    url = _show_url(source, ask)
    if not isinstance(reply, Answer):
        detail = source.redact(f"{reply.cause}: {reply.detail}")
        return Exchange(request=ask.plan.name, method=ask.plan.method, url=url, took=took, failure=detail)
    return Exchange(
        request=ask.plan.name,
        method=ask.plan.method,
        url=url,
        took=took,
        status=reply.status,
        size=len(reply.body),
    )


def _show_url(source: Source, ask: Ask) -> str:
    """Without secrets. Of the query of a further page only the names are shown, because a cursor may be anything."""
    try:
        split = urlsplit(str(source.request(ask).ready.url))
    except (ValueError, RequestFailedError):
        return "(can't be sent)"
    secret = source.maker.auth_query
    parts = [
        f"{name}={'***' if name in secret else text if ask.turn is None and name in ask.plan.query else '…'}"
        for name, text in parse_qsl(split.query, keep_blank_values=True)
    ]
    query = f"?{'&'.join(parts)}" if parts else ""
    return source.redact(f"{split.scheme}://{split.netloc}{split.path}{query}")


# --- what came


def _look(
    visit: Visit, plan: RequestPlan, seen: Seen, answer: Answer | None, exchanges: Sequence[Exchange]
) -> RequestSeen:
    """`answer` is that of the first page."""
    document = read_body(plan, answer, visit.redact)[0] if answer else None
    values = [_look_for(visit, value, seen, document) for value in plan.values]
    headers = tuple(name_headers(plan, seen.headers))
    meters = [meter for meter in visit.provider.meters.values() if meter.each and meter.each.request == plan.name]
    names = _names_read(visit.provider, plan) | _names_listed(meters, seen)
    unread = tuple(field for field in find_unread(document, names) if field.name not in plan.ignored)[:MOST_NAMES]
    return RequestSeen(
        name=plan.name,
        exchanges=tuple(exchanges),
        values=tuple(_suggest(value, headers, unread) for value in values),
        headers=headers,
        lists=tuple(_look_at(visit, meter, seen) for meter in meters),
        unread=unread,
    )


def _suggest(value: ValueSeen, headers: Sequence[HeaderSeen], unread: Sequence[FieldSeen]) -> ValueSeen:
    """A vendor may have given it another name, and a guess of ours may have been wrong."""
    if value.found is not Found.ABSENT:
        return value
    free = [one.name for one in headers if one.perhaps] if value.tried else [one.name for one in unread if one.type]
    near = (get_close_matches(name, free, n=1, cutoff=0.75) for name in value.tried or (value.place,))
    return replace(value, near=next((found[0] for found in near if found), None))


def _look_for(visit: Visit, value: ValuePlan, seen: Seen, document: object) -> ValueSeen:
    match = value.header.match(seen.headers) if value.header else None
    tried = value.header.names if value.header else ()
    place = value.path.text if value.path else match or ""
    read: Value = UNKNOWN
    fault = ""
    try:
        read = value.reader.read(find_raw(value, seen), visit.now, visit.redact)
        found = Found.READ if read is not UNKNOWN else _why_not(value, seen, document)
    except (PathError, MalformedError) as error:
        found, fault = Found.MALFORMED, visit.redact(str(error))
    return ValueSeen(name=value.name, found=found, place=place, tried=tried, value=read, fault=fault)


def _why_not(value: ValuePlan, seen: Seen, document: object) -> Found:
    if value.path is None:
        return Found.ABSENT
    if seen.state is not State.ANSWERED and document is None:
        return Found.NOT_ANSWERED
    return Found.NULL if _has(document, value.path) else Found.ABSENT


def _has(document: object, path: Path) -> bool:
    """Whether the path names a field that exists; of a path that computes something, that can't be known."""
    for name in path.text.split("."):
        if not isinstance(document, Mapping) or name.strip('"') not in document:
            return False
        document = document[name.strip('"')]
    return True


def _look_at(visit: Visit, meter: Meter, seen: Seen) -> ListSeen:
    """Of an object each value that is there is an item, and its name the key."""
    assert meter.each
    found = _items(meter, seen)
    if isinstance(found, dict):
        found = [{"key": key, "value": body} for key, body in found.items() if body is not None]
    bodies = found or []
    parts = {part.path.text: part for field in meter.fields.values() for part in field.items.values()}
    return ListSeen(
        meter=meter.name,
        place=meter.each.path.text,
        items=None if found is None else len(found),
        parts={text: sum(_is_read(visit, part, body) for body in bodies) for text, part in parts.items()},
    )


def _is_read(visit: Visit, part: ItemPart, body: object) -> bool:
    try:
        return part.reader.read(part.path.search(body), visit.now, visit.redact) is not UNKNOWN
    except (PathError, MalformedError):
        return False


def _items(meter: Meter, seen: Seen) -> list[object] | dict[str, object] | None:
    items = meter.each.path.find(seen.document) if meter.each and seen.state is State.ANSWERED else None
    return items if isinstance(items, list | dict) else None


def _names_listed(meters: Iterable[Meter], seen: Seen) -> frozenset[str]:
    """The names of objects that are used as lists: they are items, not fields."""
    found = [_items(meter, seen) for meter in meters]
    return frozenset[str]().union(*(items for items in found if isinstance(items, dict)))


def _names_read(provider: Provider, plan: RequestPlan) -> frozenset[str]:
    """Every name in a path into this request's answers, at whatever depth."""
    paths = [value.path for value in plan.values if value.path]
    paths += [plan.success] if plan.success else []
    names = set(plan.unwrap)
    if plan.pages:
        names.update(plan.pages.items)
        paths += [path for path in (plan.pages.place, plan.pages.more) if path]
    for meter in provider.meters.values():
        if meter.each and meter.each.request == plan.name:
            paths += [meter.each.path, meter.each.key, *([meter.each.within.time] if meter.each.within else [])]
            paths += [part.path for field in meter.fields.values() for part in field.items.values()]
    return frozenset(names).union(*(path.fields for path in paths))
