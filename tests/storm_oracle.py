"""The oracle of a storm: what must have been noticed and told, from what happened outside of the daemon.

It knows the vendor's numbers, what arrived, and what the daemon wrote down, and shares no code with the daemon. Every
function returns what it complains of.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from storm_record import CRITICAL, OVER, REMINDER, WARNING, Attempt, Change, Notice, Record, Told, told
from storm_world import CLEAR_ABOVE, CRITICAL_BELOW, FORM, HOOK, MAIL, WARNING_BELOW, Asked, Came

_RANK: Final = {None: 0, WARNING: 1, CRITICAL: 2}


# --- the vendor's course, and what must have been noticed of it


@dataclass(slots=True)
class Stretch:
    """How long an account's number stayed the same. `sure`: the daemon has it on record, whatever came then.

    A life of the daemon that asks for an account again has recorded the answer that it got before.
    """

    balance: Decimal
    began: int
    sure: bool


def stretches(events: Sequence[Asked | Came]) -> dict[str, list[Stretch]]:
    by_account: dict[str, list[Stretch]] = defaultdict(list)
    last_asked: dict[str, Asked] = {}
    for at, event in enumerate(events):
        if isinstance(event, Came):
            continue
        courses, before = by_account[event.account], last_asked.get(event.account)
        if before and before.life == event.life and before.balance is not None:
            courses[-1].sure = True
        if event.balance is not None and (not courses or courses[-1].balance != event.balance):
            courses.append(Stretch(event.balance, at, sure=False))
        last_asked[event.account] = event
    return by_account


def becomes(level: str | None, balance: Decimal) -> str | None:
    """The level after this number: it only rises, until it is over."""
    if balance > CLEAR_ABOVE:
        return None
    if balance < CRITICAL_BELOW or level == CRITICAL:
        return CRITICAL
    return WARNING if balance < WARNING_BELOW else level


def unnoticed(courses: Mapping[str, Sequence[Stretch]], changes: Sequence[Change]) -> Iterator[str]:
    """Walks each account's course beside the changes on record: none missing, none too many, each at its number."""
    for account, course in courses.items():
        mine = [change for change in changes if change.account == account and change.kind != "reminded"]
        level, episode = None, ""
        for stretch in course:
            due = becomes(level, stretch.balance)
            if due == level:
                continue
            if not mine or mine[0].balance != stretch.balance:
                if stretch.sure:
                    yield f"LOST: {account} was {due} at {stretch.balance}, and nobody noticed"
                continue
            change = mine.pop(0)
            kind = "opened" if level is None else "resolved" if due is None else "worsened"
            if (change.kind, change.level) != (kind, due):
                yield f"FALSE: {change} where {account} was {kind}, {due}"
            if (change.episode == episode) == (kind == "opened"):
                yield f"FALSE: {change} is of another episode"
            level, episode = due, change.episode
        yield from (f"FALSE: {change}, and the vendor never said so" for change in mine)


def misreminded(changes: Sequence[Change]) -> Iterator[str]:
    """A reminder is of an episode that is open, and at the level at which it is."""
    levels: dict[str, str | None] = {}
    for change in changes:
        if change.kind == "reminded" and levels.get(change.episode) != change.level:
            yield f"FALSE: {change}"
        levels[change.episode] = change.level


def misrouted(record: Record) -> Iterator[str]:
    """Each change is owed to the channels of its route; what is over, to those who were owed its beginning."""
    owed: dict[str, set[str]] = defaultdict(set)
    for change in record.changes:
        due = {HOOK, FORM, MAIL} if change.level == CRITICAL else {HOOK, FORM}
        if change.kind == "resolved":
            due = owed[change.episode]
        found = {notice.channel for notice in record.notices.values() if notice.change == change}
        if found != due:
            yield f"LOST: {change} is owed to {sorted(found)}, and should be to {sorted(due)}"
        owed[change.episode] = owed[change.episode] | found


# --- what must have been told of it


def unheard(record: Record, lines: Iterable[Told]) -> Iterator[str]:
    """Every notice is sent, or went into one that was; what is sent has arrived, in these words."""
    said = {(one.channel, one.episode, one.heading) for one in lines}
    for notice in record.notices.values():
        if notice.state == "sent":
            if not any((notice.channel, notice.change.episode, heading) in said for heading in _headings([notice])):
                yield f"LOST: {notice} never arrived"
        elif notice.state == "collapsed":
            newest = record.notices.get(notice.reason.removeprefix("told together with "))
            if newest is None or newest.state != "sent" or newest.change.episode != notice.change.episode:
                yield f"LOST: {notice} went into nothing"
        else:
            yield f"LOST: {notice}"


def _headings(notices: Sequence[Notice]) -> tuple[str, ...]:
    """How these of one episode, oldest first, may be told together. A reminder adds nothing to what it comes with."""
    level = notices[-1].change.level
    if level is None:
        return OVER
    if all(notice.change.kind == "reminded" for notice in notices):
        # Alone on record, it may have gone with others that are settled already.
        return (f"{REMINDER}{level}", level)
    return (level,)


def misreported(record: Record, came: Sequence[Came]) -> Iterator[str]:
    """What the attempts say is what the receivers saw, text by text; and each tells of the episodes that it is for."""
    arrived = Counter(one.text for one in came if one.mood.arrives)
    refused = Counter(one.text for one in came if not one.mood.arrives)
    tries: dict[str, Counter[tuple[str, str, str]]] = {name: Counter() for name in ("ok", "failed", "unknown")}
    for attempt in record.attempts:
        tries[attempt.outcome][attempt.text] += 1
    yield from (f"LOST: ok, and never arrived: {text}" for text in tries["ok"] - arrived)
    yield from (f"DOUBLED: arrived without an attempt: {text}" for text in arrived - tries["ok"] - tries["unknown"])
    yield from (f"FALSE: not refused: {text}" for text in refused - tries["failed"] - tries["unknown"])
    for attempt in record.attempts:
        said = {one.episode: one.heading for one in told(0, attempt.channel, attempt.title, attempt.body)}
        owed = {notice.change.episode for notice in attempt.notices}
        if said.keys() != owed or any(said[one] not in _headings(attempt.of(one)) for one in owed):
            yield f"FALSE: attempt {attempt.id} tells of something else than it is for: {said}"


def doubled(record: Record, events: Sequence[Asked | Came]) -> Iterator[str]:
    """What is told again says so, and has an earlier attempt whose outcome nobody knows; and nothing else says so."""
    seen: set[tuple[str, ...]] = set()
    unsure: set[Notice] = set()
    by = attempts_of(record, events)
    for at, now in sorted(by.items()):
        unsure = {
            notice
            for attempt in record.attempts
            if attempt.id < now.id and attempt.outcome == "unknown"
            for notice in attempt.notices
        }
        for one in told(at, *now.text):
            mine = now.of(one.episode)
            if not mine:
                yield f"DOUBLED: an attempt that is for nothing: {one}"
                continue
            # Reminders are alike, and each is its own.
            heading = mine[-1].id if one.heading.startswith(REMINDER) else one.level or "over"
            line = (one.channel, one.episode, heading)
            if line in seen and not one.may_repeat:
                yield f"DOUBLED: {one}"
            if one.may_repeat and unsure.isdisjoint(mine):
                yield f"DOUBLED: no earlier attempt is unknown: {one}"
            seen.add(line)


def attempts_of(record: Record, events: Sequence[Asked | Came]) -> dict[int, Attempt]:
    """By the place in the chronicle at which a message arrived, the attempt that brought it.

    Of attempts with the same text those that are known to have arrived come first.
    """
    arrivals: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for at, event in enumerate(events):
        if isinstance(event, Came) and event.mood.arrives:
            arrivals[event.text].append(at)
    tries: dict[tuple[str, str, str], list[Attempt]] = defaultdict(list)
    for attempt in sorted(record.attempts, key=lambda attempt: (attempt.outcome != "ok", -attempt.id)):
        if attempt.outcome != "failed" and len(tries[attempt.text]) < len(arrivals[attempt.text]):
            tries[attempt.text].append(attempt)
    return {
        at: attempt
        for text, places in arrivals.items()
        for at, attempt in zip(places, sorted(tries[text], key=lambda attempt: attempt.id), strict=False)
    }


def disordered(lines: Iterable[Told]) -> Iterator[str]:
    """For each channel and episode: opened, then worsened, then resolved; an end without a beginning says so."""
    last: dict[tuple[str, str], Told] = {}
    for one in lines:
        before = last.get((one.channel, one.episode))
        if before and (before.level is None, _RANK[before.level]) > (one.level is None, _RANK[one.level]):
            yield f"DISORDER: after {before.heading}: {one}"
        if one.heading == "PASSED" and before and before.level:
            yield f"FALSE: its beginning was told: {one}"
        if one.level is None and before is None and not _WAS.search(one.text):
            yield f"DISORDER: an end without a beginning: {one}"
        last[one.channel, one.episode] = one


_WAS: Final = re.compile(r"[Ww]as (?P<peak>warning|critical) from \S+ \w+ to \S+ \w+ \(worst (?P<worst>[\d,.]+)\)")
_BY: Final = re.compile(r"topped up by (?P<by>[-\d,.]+)")


def falsehoods(courses: Mapping[str, Sequence[Stretch]], record: Record, lines: Iterable[Told]) -> Iterator[str]:
    """Every number was the vendor's by then, none older than one told before, and fits what is said of it."""
    newest: dict[tuple[str, str], int] = {}
    for one in lines:
        course = courses[one.account]
        places = {stretch.balance: place for place, stretch in enumerate(course)}
        place = places.get(one.balance) if one.balance is not None else None
        if place is None or course[place].began > one.at:
            yield f"FALSE: the vendor had not said {one.balance}: {one}"
            continue
        if place < newest.get((one.channel, one.account), 0):
            yield f"FALSE: a number older than told before: {one}"
        newest[one.channel, one.account] = place
        changes = [change for change in record.changes if change.episode == one.episode]
        yield from _misfits(one, [stretch.balance for stretch in course], place, changes)


def _misfits(one: Told, course: Sequence[Decimal], place: int, changes: Sequence[Change]) -> Iterator[str]:
    """An episode's line beside its changes on record, of which `unnoticed` has shown that they are the vendor's."""
    if not changes or changes[0].account != one.account:
        yield f"FALSE: no such episode: {one}"
        return
    if one.level not in {change.level for change in changes}:
        yield f"FALSE: it never was so: {one}"
    since = course.index((changes[0] if one.level else changes[-1]).balance)
    if place < since:
        yield f"FALSE: a number from before it: {one}"
    if one.level and course[place] > CLEAR_ABOVE:
        yield f"FALSE: bad, and fine: {one}"
    if not one.level:
        if course[place] < WARNING_BELOW and "again" not in one.text:
            yield f"FALSE: over, and bad: {one}"
        yield from _wrong_history(one, course[course.index(changes[0].balance) : since], changes)


def _wrong_history(one: Told, seen: Sequence[Decimal], changes: Sequence[Change]) -> Iterator[str]:
    """`seen` are the vendor's numbers from its beginning to its end, not all of which the daemon need have seen."""
    if was := _WAS.search(one.text):
        if was["peak"].upper() != max((change.level for change in changes), key=_RANK.__getitem__):
            yield f"FALSE: its peak: {one}"
        if Decimal(was["worst"].replace(",", "")) not in seen:
            yield f"FALSE: its worst: {one}"
    if (by := _BY.search(one.text)) and changes[-1].balance - Decimal(by["by"].replace(",", "")) not in seen:
        yield f"FALSE: what was topped up: {one}"


def untold(courses: Mapping[str, Sequence[Stretch]], record: Record, lines: Sequence[Told]) -> Iterator[str]:
    """Channels that at the end do not know the state of an account."""
    for account, course in courses.items():
        level, heard = None, dict.fromkeys((HOOK, FORM, MAIL))
        for change in record.changes:
            if change.account == account:
                level = change.level
        if becomes(level, course[-1].balance) != level:
            yield f"LOST: {account} ends at {course[-1].balance}, on record as {level}"
        for channel in heard:
            mine = [one for one in lines if one.channel == channel and one.account == account]
            stands = {level for level in {one.episode: one.level for one in mine}.values() if level}
            expected = {level} if level and (channel != MAIL or level == CRITICAL) else set()
            if stands != expected:
                yield f"LOST: {channel} believes {account} to be {stands}, and it is {expected}"


def complaints(events: Sequence[Asked | Came], record: Record) -> list[str]:
    courses = stretches(events)
    came = [event for event in events if isinstance(event, Came)]
    lines = [
        line
        for at, event in enumerate(events)
        if isinstance(event, Came) and event.mood.arrives
        for line in told(at, event.channel, event.title, event.body)
    ]
    return [
        *unnoticed(courses, record.changes),
        *misreminded(record.changes),
        *misrouted(record),
        *unheard(record, lines),
        *misreported(record, came),
        *doubled(record, events),
        *disordered(lines),
        *falsehoods(courses, record, lines),
        *untold(courses, record, lines),
    ]
