"""The lists that meters fan out over: their items by key, limited to those that count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from budgetd.collect.answers import Visit
from budgetd.collect.paths import PathError
from budgetd.collect.plans import Each, Meter, Within
from budgetd.collect.values import MalformedError, describe, read_id

MOST_ITEMS: Final = 10_000
MOST_METERS: Final = 1000
SKEW: Final = timedelta(minutes=5)
"""By so much a vendor's clock may be ahead of ours: what has just been paid counts at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list, and its index."""

    index: int
    body: object


Items = Mapping[str, Sequence[Item]]


def read_list(visit: Visit, meter: Meter, each: Each, document: object) -> tuple[Items, bool]:
    """The items that count, by their keys, and whether the list is complete: otherwise it is not known which are gone.

    A group is read only from a complete list: half a sum would be wrong.
    """
    items: dict[str, list[Item]] = {}
    complete = True
    try:
        found = _find_items(visit, each, document)
    except (PathError, MalformedError) as error:
        visit.blame(each.request, f"meters.{meter.name}.each: {error}")
        return {}, False
    for index, body in enumerate(found):
        try:
            if each.within is None or _is_within(visit, each.within, body):
                items.setdefault(_name_item(visit, each, body), []).append(Item(index, body))
        except MalformedError as error:
            visit.blame(each.request, f"meters.{meter.name}: item {index} {error}")
            complete = False
    if len(items) > MOST_METERS:
        visit.blame(each.request, f"meters.{meter.name}.each: {_too_many(len(items), MOST_METERS)}")
        return {}, False
    return (items if complete or not each.group else {}), complete


def _find_items(visit: Visit, each: Each, document: object) -> list[object]:
    items = each.path.search(document)
    if items is None:
        return []
    if isinstance(items, dict) and each.takes_objects:
        # A null there means absent: an object that a path makes has all its names.
        items = [{"key": key, "value": value} for key, value in items.items() if value is not None]
    if not isinstance(items, list):
        raise MalformedError(f"expected a list, got {describe(items, visit.redact)}")
    if len(items) > MOST_ITEMS:
        raise MalformedError(_too_many(len(items), MOST_ITEMS))
    return items


def _too_many(count: int, most: int) -> str:
    return f"has {count:,} items; {most:,} are as many as one can watch"


def _name_item(visit: Visit, each: Each, item: object) -> str:
    key = read_id(each.key.find(item), visit.redact)
    if key is None:
        raise MalformedError("has no key")
    return key


def _is_within(visit: Visit, within: Within, item: object) -> bool:
    try:
        moment = within.reader.read(within.time.find(item), visit.now, visit.redact)
    except MalformedError as error:
        raise MalformedError(f"has no time: {error}") from error
    if not isinstance(moment, datetime):
        raise MalformedError("has no time, so that nobody knows whether it counts")
    return visit.now - within.last <= moment <= visit.now + SKEW
