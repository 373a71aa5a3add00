"""Judge: load what is stored of the accounts, call the core, write what changed; all in one transaction."""

from collections.abc import Iterable
from datetime import datetime

from budgetd.errors import StoreError
from budgetd.store import judgements
from budgetd.store.database import Store, part, write
from budgetd.store.troubles import note_broken
from budgetd_rules.burn import LOOK_BACK, burn_per_day
from budgetd_rules.judgement import Judgement, Ruleset, judge
from budgetd_rules.meters import Reading, View, view
from budgetd_rules.routing import Routing
from budgetd_rules.values import UNKNOWN, Number


def judge_due(db: Store, ruleset: Ruleset, routing: Routing, now: datetime) -> Judgement:
    """What is new, and what the clock alone may have changed."""
    with write(db):
        return _judge(db, ruleset, routing, judgements.unjudged(db, now), now)


def judge_all(db: Store, ruleset: Ruleset, routing: Routing, now: datetime) -> Judgement:
    """Everything that is stored, accounts and rules that left the config included: at start-up and after a reload."""
    with write(db):
        for rule in ruleset.rules.values():
            if rule.was and rule.was not in ruleset.rules:
                judgements.rename_rule(db, rule.was, rule.name)
        accounts = {*judgements.unjudged(db, now), *judgements.watched_accounts(db)}
        return _judge(db, ruleset, routing, sorted(accounts), now)


def _judge(db: Store, ruleset: Ruleset, routing: Routing, accounts: list[str], now: datetime) -> Judgement:
    """Together; where one of them makes no sense, one by one, so that it keeps back no other, and is tried again."""
    if not accounts:
        return Judgement()
    whole = _try(db, ruleset, routing, accounts, now)
    if isinstance(whole, Judgement):
        note_broken(db, [], now)
        return whole
    tried = {account: _try(db, ruleset, routing, [account], now) for account in accounts}
    broken = {account: one for account, one in tried.items() if isinstance(one, Exception)}
    judgements.put_aside(db, broken)
    note_broken(db, [f"{account}: {type(error).__name__}" for account, error in broken.items()], now)
    judged = [one for one in tried.values() if isinstance(one, Judgement)]
    return Judgement(
        changes=tuple(change for one in judged for change in one.changes),
        notices=tuple(notice for one in judged for notice in one.notices),
        broken=broken,
    )


def _try(db: Store, ruleset: Ruleset, routing: Routing, accounts: list[str], now: datetime) -> Judgement | Exception:
    """Or why not; then nothing of it is written. Raises StoreError."""
    try:
        with part(db):
            return _judge_together(db, ruleset, routing, accounts, now)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a mistake of ours, or a row that makes no sense: who called logs it
        return error


def _judge_together(db: Store, ruleset: Ruleset, routing: Routing, accounts: list[str], now: datetime) -> Judgement:
    memory = judgements.load(db, accounts)
    views = views_of(db, ruleset, memory.readings, now)
    for account in accounts:
        if account in ruleset.accounts:
            views.setdefault(account, {})
    judgement = judge(ruleset, routing, views, memory.watches, now, memory.audience)
    judgements.write_judgement(db, accounts, judgement)
    return judgement


def views_of(db: Store, ruleset: Ruleset, readings: Iterable[Reading], now: datetime) -> dict[str, dict[str, View]]:
    """account -> meter -> view; the burn of a balance is computed only where a rule reads it."""
    views: dict[str, dict[str, View]] = {}
    for reading in readings:
        account = ruleset.accounts.get(reading.key.account)
        if account is None:
            continue
        burn: Number = UNKNOWN
        if ruleset.needs_history(reading.key, reading.kind):
            burn = burn_per_day(judgements.runs(db, reading.key, now - LOOK_BACK), now)
        views.setdefault(account.name, {})[reading.key.meter] = view(reading, now, account.stale_after, burn)
    return views
