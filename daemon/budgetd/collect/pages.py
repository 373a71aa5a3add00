"""Answers that come in pages: where the next one is, and all of them as one document."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from budgetd.collect.links import find_next
from budgetd.collect.lists import MOST_ITEMS
from budgetd.collect.paths import Path, PathError
from budgetd.collect.plans import PagesPlan, Turn
from budgetd.collect.templates import TemplateValue
from budgetd.collect.texts import Redact
from budgetd.collect.values import MalformedError, describe, read_id


@dataclass(slots=True, kw_only=True)
class Pages:
    """The pages of one answer, as far as they have come. What is not whole is refused: half a sum is a wrong one."""

    plan: PagesPlan
    redact: Redact = field(repr=False)
    items: list[object] = field(default_factory=list)
    turned: list[Turn] = field(default_factory=list)

    def add(self, document: object, headers: Mapping[str, str]) -> Turn | None:
        """How to get the next page, or None after the last. Raises MalformedError."""
        items = self._find_items(document)
        turn = self._find_turn(document, items, headers)
        if items is None and (turn or self.turned):
            # By itself null may stand for an empty list. Among others it may as well have been lost.
            raise MalformedError("one of them has no list")
        self.items += items or []
        if turn in self.turned:
            raise MalformedError("the next one is one that has come already")
        if turn and len(self.turned) + 1 >= self.plan.most:
            raise MalformedError(f"there are more than {self.plan.most}")
        if len(self.items) > MOST_ITEMS:
            raise MalformedError(f"there are more than {MOST_ITEMS:,} items in them")
        self.turned += [turn] if turn else []
        return turn

    def bind(self, first: object) -> object:
        """The first page, with the items of all."""
        return self.items if isinstance(first, list) else _replace(first, self.plan.items, self.items)

    def _find_items(self, document: object) -> list[object] | None:
        found = document
        # A list in place of the object around it is all there is.
        for name in self.plan.items if not isinstance(document, list) else ():
            found = found.get(name) if isinstance(found, Mapping) else None
        if found is not None and not isinstance(found, list):
            raise MalformedError(f"expected a list, got {describe(found, self.redact)}")
        return found

    def _find_turn(self, document: object, items: list[object] | None, headers: Mapping[str, str]) -> Turn | None:
        if isinstance(document, list) and self.plan.items and not self.plan.in_header:
            return None
        has_more = self._has_more(document)
        if self.plan.number is not None:
            goes_on = has_more if self.plan.more else bool(items)
            return Turn(query={self.plan.number: str(self.plan.first + len(self.turned) + 1)}) if goes_on else None
        turn = self._find_way(document, headers) if has_more is not False else None
        if turn is None and has_more:
            raise MalformedError("there are more of them, and nothing says where")
        return turn

    def _find_way(self, document: object, headers: Mapping[str, str]) -> Turn | None:
        if self.plan.in_header:
            link = find_next(headers.get("link", ""))
            return None if link is None else Turn(link=link)
        place = self._find_place(document)
        if place is None:
            return None
        if self.plan.json:
            return Turn(json=(self.plan.json, place))
        text = str(place)
        return Turn(link=text) if self.plan.query is None else Turn(query={self.plan.query: text})

    def _has_more(self, document: object) -> bool | None:
        found = _search(self.plan.more, document) if self.plan.more else None
        if found is not None and not isinstance(found, bool):
            raise MalformedError(f"whether there are more: expected true or false, got {describe(found, self.redact)}")
        return found

    def _find_place(self, document: object) -> TemplateValue | None:
        """A number where it is one, which a body is sent as one again."""
        found = _search(self.plan.place, document) if self.plan.place else None
        if found is None or found is False or found == "":
            return None
        if isinstance(found, str):
            return found
        place = read_id(found, self.redact)
        if place is None:
            raise MalformedError(f"where the next one is: expected text, got {describe(found, self.redact)}")
        return int(place)


def _search(path: Path, document: object) -> object:
    try:
        return path.search(document)
    except PathError as error:
        raise MalformedError(str(error)) from error


def _replace(document: object, names: tuple[str, ...], items: list[object]) -> object:
    """With the items in place of what stands below these names; where nothing does, there are none."""
    if not names:
        return items
    if not isinstance(document, Mapping) or names[0] not in document:
        return document
    return {**document, names[0]: _replace(document[names[0]], names[1:], items)}
