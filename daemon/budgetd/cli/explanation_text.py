"""Prints explanations and histories: what was read, the result of each gate, and which channels are told."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from rich.text import Text

from budgetd.cli.layout import Page, make_table, print_table
from budgetd.durations import format_duration
from budgetd.store.explain import OwedNotice, Spell, Stored
from budgetd_rules.explanation import Explanation, Routed
from budgetd_rules.gates import Answer, Condition, Gate
from budgetd_rules.judgement import KEEP_PARKED
from budgetd_rules.kinds import KINDS, Kind
from budgetd_rules.memory import ChangeKind, Episode, Watch
from budgetd_rules.meters import MeterKey, Reading, View, view
from budgetd_rules.sanitizing import harmless
from budgetd_rules.values import UNKNOWN, Value
from budgetd_rules.wording import describe, show

_STYLES: Final = {
    Answer.YES: "green",
    Answer.NO: "",
    Answer.UNKNOWN: "yellow",
    Answer.WAITING: "cyan",
    Answer.NOT_ASKED: "dim",
}
NO_TIME: Final = timedelta(0)
_WIDEST: Final = max(len(answer) for answer in Answer)


def tell_explanation(page: Page, one: Explanation, stored: Stored | None) -> None:
    meter = one.key.meter
    page.say(f"{one.key.rule} on {one.key.account} {harmless(meter)} ({one.kind})", "bold")
    if not one.is_watched and one.before is None:
        page.say("  the rule does not watch this meter")
        for gate in one.gates:
            _gate(page, gate, 0)
        page.say("")
        return
    if stored and (spells := stored.spells.get(meter)):
        page.say("\nRead", "bold")
        headline = KINDS[one.kind].headline
        tell_history(page, headline, [(spell, headline_at_end(spell, one.key.of_meter, one.kind)) for spell in spells])
    page.say("\nNow", "bold")
    for line in _state(page, one):
        page.say(f"  {line}")
    page.say("\nQuestions, in the order in which they are asked", "bold")
    for gate in one.gates:
        _gate(page, gate, 0)
    _outcome(page, one)
    if stored and (episode := stored.episodes.get(meter)):
        page.say("\nEpisode", "bold")
        page.say(f"  {_episode(page, episode)}")
    if stored and (notices := stored.notices.get(meter)):
        page.say("\nNotices", "bold")
        _notices(page, notices)
    page.say("")


def tell_left_out(page: Page, others: Sequence[Explanation]) -> None:
    """One line for each meter that the rule does not watch."""
    for one in others:
        why = "; ".join(line for gate in one.gates for line in _refusals(gate))
        page.say(f"not watched: {harmless(one.key.meter)}: {why}", "dim")


def tell_history(page: Page, headline: str, spells: Iterable[tuple[Spell, Value]]) -> None:
    table = make_table("from", "until", headline or "headline", "changed")
    for spell, value in spells:
        changed = [
            f"{name} {page.show(before)} before, {page.show(now)} now" for name, (before, now) in spell.changed.items()
        ]
        first = "the first that is stored" if spell.before is None else ""
        table.add_row(
            page.when(spell.from_at), page.when(spell.until_at), page.show(value), "; ".join(changed) or first
        )
    print_table(page.console, table)


def _state(page: Page, one: Explanation) -> Iterable[str]:
    if one.view is None:
        yield "nothing read yet" if one.before is None else "gone: the vendor's last answer had it no more"
    else:
        as_of = page.when(one.view.reading.as_of)
        stale = f", stale: as last read {as_of}" if one.view.stale else f", as of {as_of}"
        yield describe(one.view, page.zone, page.now) + stale
        yield from _fields(page, one.view)
    yield from _memory(page, one.before) if one.before else ()


def _fields(page: Page, seen: View) -> Iterable[str]:
    names = KINDS[seen.reading.kind].all
    known = [f"{name} {page.show(seen.fields[name])}" for name in names if seen.fields[name] is not UNKNOWN]
    unknown = [name for name in names if seen.fields[name] is UNKNOWN]
    made = [name for name in unknown if seen.reading.fields.get(name, UNKNOWN) is not UNKNOWN]
    yield "known: " + (", ".join(known) or "nothing")
    yield "unknown: " + (", ".join(name for name in unknown if name not in made) or "nothing")
    if made:
        yield f"unknown because it is stale: {', '.join(made)}"


def _memory(page: Page, watch: Watch) -> Iterable[str]:
    if watch.parked_at:
        since, until = page.when(watch.parked_at), page.when(watch.parked_at + KEEP_PARKED)
        yield f"parked since {since}: what the rule remembers is kept until {until}"
    if watch.window:
        yield f"in the period that ends {page.when(watch.window)}"
    if watch.rollover:
        yield f"a new period, until {page.when(watch.rollover.resets_at)}, was seen by one reading so far"


# --- gates


def _gate(page: Page, gate: Gate, depth: int) -> None:
    name = f"{gate.name} {gate.level.label}" if gate.level is not None else gate.name
    needs = f" {format_duration(gate.needs)}" if gate.needs is not None else ""
    since = f", since {page.when(gate.since)}" if gate.since else ""
    until = f", until {page.when(gate.until)}" if gate.until else ""
    text = f": {gate.condition.text}" if gate.condition else ""
    _answer(page, gate.answer, f"{name}{needs}{text}", f"{gate.reason}{since}{until}", depth)
    if gate.condition:
        _condition(page, gate.condition, depth + 1, is_whole=True)
    for part in gate.parts:
        _gate(page, part, depth + 1)


def _answer(page: Page, answer: Answer, question: str, why: str, depth: int) -> None:
    line = Text(f"  {answer:<{_WIDEST}}  ", _STYLES[answer])
    line.append(f"{'  ' * depth}{question} ", "")
    page.console.print(line.append(f"({why})" if why else "", "dim"), soft_wrap=True)


def _condition(page: Page, condition: Condition, depth: int, *, is_whole: bool = False) -> None:
    """The parts of a condition, each with its result; a part without parts, with the values that it reads."""
    values = ", ".join(f"{name} {page.show(value)}" for name, value in condition.values.items())
    if not is_whole:
        _part(page, condition, values if not condition.parts else "", depth)
    elif not condition.parts:
        page.say(f"  {'':<{_WIDEST}}  {'  ' * depth}{values}", "dim")
    for part in condition.parts:
        _condition(page, part, depth if is_whole else depth + 1)


def _part(page: Page, condition: Condition, values: str, depth: int) -> None:
    result = condition.result
    answer = Answer.UNKNOWN if result is UNKNOWN else Answer.YES if result is True else Answer.NO
    if result is UNKNOWN or isinstance(result, bool):
        _answer(page, answer, condition.text, values, depth)
    else:
        text = f"{condition.text} is {page.show(result)}" + (f" ({values})" if values else "")
        page.say(f"  {'':<{_WIDEST}}  {'  ' * depth}{text}", "dim")


# --- results


def _outcome(page: Page, one: Explanation) -> None:
    page.say("\nIf it were judged now", "bold")
    changes = [routed for routed in one.routed if routed.is_now]
    reason = one.reason or ("there is no reading" if one.is_watched else "the rule does not watch this meter")
    for routed in changes:
        page.say(f"  {_routed(routed)}: {routed.change.reason}")
    if not changes:
        page.say(f"  nothing changes: {reason}")
    if one.after and one.after.wake_at:
        page.say(f"  the clock alone can change something at {page.when(one.after.wake_at)}")
    elif one.is_watched:
        page.say("  only a new reading can change something")
    supposed = [routed for routed in one.routed if not routed.is_now]
    if supposed:
        page.say("\nRoutes of what could come next", "bold")
    for routed in supposed:
        page.say(f"  {_routed(routed)}")


def _routed(routed: Routed) -> str:
    change = routed.change
    what = f"{change.kind} {change.new.label}" if change.new is not None else change.kind
    channels = ", ".join(routed.channels)
    if change.unsaid:
        return f"{what}, recorded and not told"
    if change.kind is ChangeKind.RESOLVED:
        return f"{what} to {channels}, which heard of it before" if channels else f"{what}, which nobody was told of"
    entries = " and ".join(f"routes#{number}" for number in routed.entries)
    by = f" by {entries}" if entries else ", because there are no [[routes]]"
    return f"{what} to {channels}{by}{_later(routed)}" if channels else f"{what} to no channel: nothing routes it"


def _later(routed: Routed) -> str:
    later = [f"{name} only after {format_duration(after)}" for name, after in routed.waits.items() if after]
    return f"; {', '.join(later)}, if nobody acks" if later else ""


def _episode(page: Page, episode: Episode) -> str:
    worst = f", worst {show(episode.worst)}" if episode.worst is not UNKNOWN else ""
    opened = f"{episode.id}: {episode.level.label}, opened {page.when(episode.opened_at)}{worst}"
    return opened + (f", ended {page.when(episode.ended_at)}: {episode.end}" if episode.ended_at else ", open")


def _notices(page: Page, notices: Iterable[OwedNotice]) -> None:
    table = make_table("change", "channel", "state", "reason", "tries", "next try")
    for one in notices:
        what = f"{one.kind} {one.level.label}" if one.level is not None else one.kind
        state = f"{one.state} {page.when(one.settled_at)}" if one.settled_at else one.state
        tries = f"{one.attempts}, the last {one.outcome}" if one.attempts else "none"
        error = f": {one.error}" if one.error else ""
        next_ = page.when(one.next_try_at) if one.next_try_at else "never"
        reason = one.reason or ("only if nobody acks" if one.delay and one.next_try_at else "")
        table.add_row(what, one.channel, state, reason, tries + error, next_)
    print_table(page.console, table)


def headline_at_end(spell: Spell, key: MeterKey, kind: Kind | None) -> Value:
    """Derived at the end of the stretch, because derived fields and day counts depend on the time."""
    if kind is None:
        return UNKNOWN
    reading = Reading(key=key, kind=kind, unit="", as_of=spell.until_at, fields=spell.fields)
    return view(reading, spell.until_at, NO_TIME).headline


def _refusals(gate: Gate) -> list[str]:
    """The reason of the innermost gate that said no."""
    if gate.answer is not Answer.NO:
        return []
    inner = [line for part in gate.parts for line in _refusals(part)]
    return inner or [f"{gate.name}: {gate.reason}"]
