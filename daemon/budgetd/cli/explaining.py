"""`explain` and `history`: why a message was or was not sent, and past readings. Both only read the database."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated

import typer

from budgetd.cli.explanation_text import headline_at_end, tell_explanation, tell_history, tell_left_out
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    load_outline,
    make_page,
    print_json,
    read_clock,
    read_length,
    require_accounts,
    require_rule,
)
from budgetd.errors import UsageError
from budgetd.explanation_shapes import explanation_json, history_json
from budgetd.judge import views_of
from budgetd.planning import Outline
from budgetd.store import database
from budgetd.store import explain as stored
from budgetd.store.explain import OwedNotice, Stored
from budgetd.validation import did_you_mean
from budgetd_rules.explanation import Explanation, Known
from budgetd_rules.explanation import explain as explain_watches
from budgetd_rules.holds import Holds
from budgetd_rules.kinds import KINDS, Kind
from budgetd_rules.meters import Account, MeterKey, family
from budgetd_rules.own_account import OWN_NAME, own_meters
from budgetd_rules.polls import CONNECTION
from budgetd_rules.rule import Selector
from budgetd_rules.sending_gates import Escalation


def explain(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's name.")],
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")],
    meter: Annotated[
        str | None, typer.Argument(metavar="METER", help="A meter, a family of meters, or a pattern. Default: all.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show why a rule alerts on an account, or why not. Prints each check with its current result."""
    outline, now = load_outline(config), read_clock()
    require_rule(rule, outline)
    _require_account(account, outline)
    found, known = _load(outline, rule, account, now)
    kinds = _kinds(outline, rule, account, known)
    if meter is not None:
        kinds = _only(meter, kinds, outline.ruleset.accounts[account])
    explained = explain_watches(outline.ruleset, outline.routing, rule, account, kinds, known, now)
    if as_json:
        print_json(explanation_json(rule, account, explained, found, now))
        return
    page = make_page(outline, now)
    if found is None:
        page.say(f"{outline.config.state}: nothing yet: the daemon has not run on this config\n")
    in_full = explained if meter is not None else _worth_showing(explained)
    for one in in_full:
        tell_explanation(page, one, found)
    tell_left_out(page, [one for one in explained if one not in in_full])


def _worth_showing(explained: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
    """The meters that the rule watches or remembers; if none, all of them, each with the reason it is not watched."""
    return tuple(one for one in explained if one.is_watched or one.before) or explained


def _require_account(account: str, outline: Outline) -> None:
    """An enabled account, or budgetd's own."""
    if account != OWN_NAME:
        require_accounts([account], outline)


def _load(outline: Outline, rule: str, account: str, now: datetime) -> tuple[Stored | None, Known]:
    """Reads everything in one database snapshot."""
    db = database.open_for_reading(outline.config.state)
    if db is None:
        return None, Known()
    with database.read(db):
        found = stored.load(db, rule, account, now)
        views = views_of(db, outline.ruleset, found.memory.readings, now)
    known = Known(
        views=views.get(account, {}),
        watches=found.memory.watches,
        audience=found.memory.audience,
        escalations={meter: tuple(_escalations(notices)) for meter, notices in found.notices.items()},
        holds=Holds.at(now, found.holds, outline.ruleset.accounts),
    )
    return found, known


def _escalations(notices: Iterable[OwedNotice]) -> Iterator[Escalation]:
    for one in notices:
        if one.delay is not None:
            yield Escalation(
                channel=one.channel,
                kind=one.kind,
                level=one.level,
                delay=one.delay,
                due_at=one.due_at,
                state=one.state,
            )


def _kinds(outline: Outline, rule: str, account: str, known: Known) -> dict[str, Kind]:
    """meter -> kind: those read, those that the rule remembers, and those of the provider never read so far."""
    provided = _provided(outline, account)
    kinds = {meter: view.reading.kind for meter, view in known.views.items()}
    for key in known.watches:
        if key.rule == rule and (like := _like(key.meter, provided)):
            kinds.setdefault(key.meter, like[0])
    seen = {*kinds, *(family(meter) for meter in kinds)}
    return kinds | {name: kind for name, (kind, _) in provided.items() if name not in seen}


def _provided(outline: Outline, account: str) -> dict[str, tuple[Kind, str]]:
    """meter, or family of meters -> its kind and unit."""
    if account == OWN_NAME:
        return dict.fromkeys(own_meters(outline.routing.group_wait), (Kind.CONNECTION, ""))
    provider = outline.providers[outline.config.file.accounts[account].provider]
    meters = {meter.name: (meter.kind, meter.unit) for meter in provider.meters.values()}
    return {**meters, CONNECTION: (Kind.CONNECTION, "")}


def _like(meter: str, provided: Mapping[str, tuple[Kind, str]]) -> tuple[Kind, str] | None:
    return provided.get(meter) or provided.get(family(meter))


def _only(meter: str, kinds: Mapping[str, Kind], account: Account) -> dict[str, Kind]:
    wanted = Selector(meter=meter)
    found = {name: kind for name, kind in kinds.items() if wanted.matches(account, name, kind)}
    if not found:
        raise UsageError(f"account {account.name} has no meter {meter!r}{did_you_mean(meter, list(kinds))}")
    return found


def history(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")],
    meter: Annotated[str, typer.Argument(metavar="METER", help="The meter's name.")],
    since: Annotated[str, typer.Option(metavar="LENGTH", help="How far back to go, such as 12h, 7d or 4w.")] = "7d",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the past readings of a meter. Equal readings in a row share one line, from the first to the last."""
    outline, now = load_outline(config), read_clock()
    if account not in outline.config.file.accounts:
        _require_account(account, outline)
    begin = now - read_length(since, "--since")
    db = database.open_for_reading(outline.config.state)
    if db is None:
        raise UsageError(f"{outline.config.state}: nothing yet: the daemon has not run on this config")
    with database.read(db):
        meters = stored.load_meters(db, account)
        _require_meter(meter, account, meters)
        spells = stored.load_spells(db, MeterKey(account, meter), since=begin)
    kind, unit = meters[meter] or _like(meter, _provided(outline, account)) or (None, "")
    told = [(spell, headline_at_end(spell, MeterKey(account, meter), kind)) for spell in spells]
    if as_json:
        print_json(history_json(account, meter, kind, unit, told))
        return
    page = make_page(outline, now)
    if told:
        tell_history(page, KINDS[kind].headline if kind else "", told)
    else:
        page.say(f"nothing was read of {account} {meter} in the last {since}")


def _require_meter(meter: str, account: str, known: Collection[str]) -> None:
    if account == OWN_NAME:
        raise UsageError("of budgetd itself no history is kept: see `budgetd episodes --all`")
    if meter == CONNECTION:
        raise UsageError(
            f"a connection's course is kept as outages and episodes: see `budgetd explain blind {account}`"
        )
    if meter not in known:
        raise UsageError(f"account {account} has no meter {meter!r}{did_you_mean(meter, list(known))}")
