"""Messages: the built-in texts. Their values are those of the moment of sending, not those of the change.

A title fits a lock screen. The body says how much is left, the threshold, as of when, since when, what happens at zero,
who owns it and where to refill. Whatever a vendor or a config supplied is made harmless first (`sanitizing`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from budgetd_rules.entries import Entry, Fact, entry
from budgetd_rules.formats import Block, Code, Format, Link, Part, Row, write
from budgetd_rules.lines import Told
from budgetd_rules.rule import Level

LINES_IN_FULL: Final = 8
LINES_WITH_COURSE: Final = 100
# The built-in rule for accounts that can no longer be polled.
BLIND: Final = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`level` is the worst one that is still true; None if everything told is over."""

    title: str
    level: Level | None
    blocks: tuple[Block, ...]
    entries: tuple[Entry, ...] = ()

    @property
    def body(self) -> str:
        return write(self.blocks, Format.TEXT)


def compose(facts: Sequence[Fact], zone: tzinfo, now: datetime) -> Message:
    """One message for all the lines; more than eight are shortened to a line each, by account.

    Accounts that went blind together are one line: what they have in common is most likely this host's network.
    """
    entries = tuple(entry(fact, zone, now) for fact in facts)
    level = max((fact.line.level for fact in facts if not fact.line.is_over), default=None)
    blind = [one for one in entries if _is_blind(one)]
    together = [_blind_together(blind)] if len(blind) > 1 else []
    others = [one for one in entries if not (together and _is_blind(one))]
    if len(entries) == 1:
        title, blocks = _title(entries[0]), [Block(tuple(_body(entries[0])))]
    elif len(others) <= LINES_IN_FULL:
        title = _summary(entries) if others else together[0].rows[0].strong
        blocks = [*together, *(_section(one) for one in others)]
    else:
        by_account = sorted(others, key=lambda one: one.account)
        title, blocks = _summary(entries), [*together, _digest(by_account)]
    return Message(title=title, level=level, blocks=tuple(blocks), entries=entries)


def _is_blind(one: Entry) -> bool:
    return one.rule == BLIND and not one.is_over


def _blind_together(blind: Sequence[Entry]) -> Block:
    """One block for all of them, at the level of the worst."""
    level = max(Level[one.level.upper()] for one in blind).label.upper()
    episodes = ", ".join(f"{one.account} {one.episode}" for one in blind)
    unsure = repeat(any(one.may_repeat for one in blind))
    return Block(
        (
            Row(f"{level} {len(blind)} accounts can't be polled: is it this host's network?"),
            Row("Episodes:", (f" {episodes}{unsure}",)),
        )
    )


def _summary(entries: Sequence[Entry]) -> str:
    counts = Counter(one.heading for one in entries)
    accounts = list(dict.fromkeys(one.account for one in entries))
    named = ", ".join(accounts[:3]) + (f" and {len(accounts) - 3} more" if len(accounts) > 3 else "")
    return ", ".join(f"{count} {heading}" for heading, count in counts.items()) + f": {named}"


def _title(one: Entry) -> str:
    return f"{one.heading} {one.account}: {one.state}"


def _section(one: Entry) -> Block:
    """One entry of several: its title takes the place of the first row, which says the same."""
    _, *rows = _body(one)
    return Block((Row(_title(one), _as_of(one)), *rows))


def _digest(entries: Sequence[Entry]) -> Block:
    """A row each. What is over says from when to when it was; of very many, only if nobody here has heard of it."""
    is_long = len(entries) > LINES_WITH_COURSE
    return Block(tuple(_brief(one, one.is_over and (not is_long or one.told == Told.PASSED)) for one in entries))


def _brief(one: Entry, is_course_told: bool) -> Row:
    as_of = f", {one.as_of}" if one.is_stale else ""
    was = f", {one.course.replace('Was', 'was', 1)}" if is_course_told else ""
    handed = f" · {one.handed}" if one.handed else ""
    text = f" {one.state}{as_of}{was} [{one.episode}]{handed}{repeat(one.may_repeat)}"
    return Row(f"{one.heading} {one.account}:", (text,))


def _body(one: Entry) -> Iterator[Row]:
    yield Row(one.state, _as_of(one))
    if one.detail:
        yield Row("What came:", (f" {one.detail}",))
    first, _, others = one.course.partition(" ")
    yield Row(first, (f" {others}",))
    if one.conditions or one.on_change:
        yield Row(f"Rule {one.rule}:", tuple(_rule(one)))
    told_here = f"because it {one.handed}" if one.handed else ""
    labelled = (("Now:", one.now), ("Told here", told_here), ("At zero:", one.at_zero), ("Owner:", one.owner))
    for label, text in labelled:
        if text:
            yield Row(label, (f" {text}",))
    if one.refill:
        yield Row("Refill:", (" ", Link(one.link) if one.link else one.refill))
    if one.ack:
        yield Row("Ack:", (" ", Code(one.ack)))
    vendor = f" at {one.vendor}" if one.vendor else ""
    yield Row("Account", (f" {one.account}{vendor} · episode {one.episode}{repeat(one.may_repeat)}",))


def _rule(one: Entry) -> Iterator[Part]:
    """`critical when remaining < 100, warning when remaining < 500`."""
    between = " "
    for level, condition in one.conditions:
        yield from (f"{between}{level} when ", Code(condition))
        between = ", "
    if one.on_change:
        yield f"{between}notes a change of {', '.join(one.on_change)}"


def _as_of(one: Entry) -> tuple[Part, ...]:
    return (f", {one.as_of}",) if one.as_of else ()


def repeat(may_repeat: bool) -> str:
    return " · may be a repeat: it is not known whether an earlier try arrived" if may_repeat else ""
