"""Errands: one message each, with the notices that it delivers and their receipts for when it was sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import partial

from budgetd.store.notices import Waiting
from budgetd_rules.digests import Facts, OwedReport, compose_digest, compose_drill
from budgetd_rules.entries import Fact
from budgetd_rules.judgement import Ruleset
from budgetd_rules.lines import Line, Settled, receipts
from budgetd_rules.messages import Message, compose
from budgetd_rules.meters import Account, view
from budgetd_rules.notices import NoticeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    what: str
    notices: list[str]
    receipts: list[Settled]
    compose: Callable[[], Message]


def lines_errand(lines: tuple[Line, ...], waiting: Waiting, ruleset: Ruleset, zone: tzinfo, now: datetime) -> Errand:
    return Errand(
        what="1 line" if len(lines) == 1 else f"{len(lines)} lines",
        notices=[notice for line in lines for notice in line.notices],
        receipts=[receipt for line in lines for receipt in receipts(line)],
        compose=partial(_compose, lines, waiting, ruleset, zone, now),
    )


def digest_errand(report: OwedReport, facts: Facts, zone: tzinfo, now: datetime) -> Errand:
    return _report_errand(report, partial(compose_digest, facts, zone, now))


def drill_errand(report: OwedReport) -> Errand:
    return _report_errand(report, partial(compose_drill, report.outcome_unknown))


def _report_errand(report: OwedReport, compose: Callable[[], Message]) -> Errand:
    sent = Settled(notice=report.notice, state=NoticeState.SENT, reason=report.report)
    return Errand(what=report.report, notices=[report.notice], receipts=[sent], compose=compose)


def _compose(lines: tuple[Line, ...], waiting: Waiting, ruleset: Ruleset, zone: tzinfo, now: datetime) -> Message:
    facts = []
    for line in lines:
        key = line.episode.key if line.episode else line.change.key
        account = ruleset.accounts.get(key.account) or Account(
            name=key.account, provider="", title="", stale_after=timedelta(0)
        )
        reading = waiting.readings.get(key.of_meter)
        facts.append(
            Fact(
                line=line,
                account=account,
                rule=ruleset.rules.get(key.rule),
                view=view(reading, now, account.stale_after) if reading else None,
            )
        )
    return compose(facts, zone, now)
