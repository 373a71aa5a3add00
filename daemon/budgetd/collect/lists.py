"""The lists that meters fan out over: their items, by name, and narrowed to those that count."""

from datetime import datetime
from typing import Final

from budgetd.collect.answers import Visit
from budgetd.collect.paths import Path, PathError
from budgetd.collect.plans import Each, Meter, Within
from budgetd.collect.values import MalformedError, describe, read_id

MOST_ITEMS: Final = 1000

Named = list[tuple[int, str, object]]


def read_list(visit: Visit, meter: Meter, each: Each, document: object) -> tuple[Named, bool]:
    """The items that count, each with its place and its key; and whether nothing stood in the way.

    Where an item can't be read nobody knows which are gone.
    """
    named: Named = []
    complete = True
    try:
        items = _find_items(visit, each, document)
    except (PathError, MalformedError) as error:
        visit.blame(each.request, f"meters.{meter.name}.each: {error}")
        return [], False
    for index, item in enumerate(items):
        try:
            if each.within is None or _is_within(visit, each.within, item):
                named.append((index, _name_item(visit, each, item), item))
        except MalformedError as error:
            visit.blame(each.request, f"meters.{meter.name}: item {index} {error}")
            complete = False
    return named, complete


def _find_items(visit: Visit, each: Each, document: object) -> list[object]:
    items = each.path.search(document)
    if items is None:
        return []
    if isinstance(items, dict) and each.takes_objects:
        items = [{"key": key, "value": value} for key, value in items.items()]
    if not isinstance(items, list):
        raise MalformedError(f"expected a list, got {describe(items, visit.redact)}")
    if len(items) > MOST_ITEMS:
        raise MalformedError(f"has {len(items):,} items; {MOST_ITEMS:,} are as many as one can watch")
    return items


def _name_item(visit: Visit, each: Each, item: object) -> str:
    key = read_id(_search(each.key, item), visit.redact)
    if key is None:
        raise MalformedError("has no key")
    return key


def _is_within(visit: Visit, within: Within, item: object) -> bool:
    try:
        moment = within.reader.read(_search(within.time, item), visit.now, visit.redact)
    except MalformedError as error:
        raise MalformedError(f"has no time: {error}") from error
    if not isinstance(moment, datetime):
        raise MalformedError("has no time, so that nobody knows whether it counts")
    return visit.now - within.last <= moment <= visit.now


def _search(path: Path, item: object) -> object:
    try:
        return path.search(item)
    except PathError:
        return None
