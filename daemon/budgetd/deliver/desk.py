"""The desk: what waits for a channel is settled, and one errand is made of what can be sent next."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from budgetd.deliver.errands import Errand, digest_errand, drill_errand, lines_errand
from budgetd.deliver.retries import is_singly
from budgetd.store import notices, reports
from budgetd.store.database import Store
from budgetd.store.notices import Waiting
from budgetd.threads import Worker
from budgetd_rules.appointments import Report
from budgetd_rules.digests import OwedReport, settle_reports
from budgetd_rules.holds import Holds
from budgetd_rules.judgement import Ruleset
from budgetd_rules.lines import Line, Settled, Settlement
from budgetd_rules.routing import Routing
from budgetd_rules.schedules import Quiet
from budgetd_rules.settlement import ALWAYS_AUDIBLE, settle

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Of one config."""

    db: Store
    worker: Worker
    channels: Collection[str]
    ruleset: Ruleset
    routing: Routing

    async def settle(self, waiting: Waiting, now: datetime, *, with_reports: bool) -> Errand | None:
        """Writes down what became of notices without a send; what is left to tell is the errand, if anything is."""
        name = waiting.channel.name
        quiet = self.routing.quiet.get(name, ALWAYS_AUDIBLE)
        settlement = self._settle_lines(waiting, quiet, now)
        report, of_reports = await self._settle_reports(name, quiet, now) if with_reports else (None, [])
        for one in waiting.unreadable:
            logger.error("a notice is dead", extra={"notice": one.notice, "channel": name, "reason": one.reason})
        if settled := (*waiting.unreadable, *settlement.settled, *of_reports):
            await self.worker.run(notices.settle, self.db, settled, now)
        if report and goes_before(report, settlement.lines, waiting.channel.failures):
            return await self._report_errand(report, name, quiet.zone, now)
        if settlement.lines:
            return lines_errand(settlement.lines, waiting, self.ruleset, quiet.zone, now)
        return None

    def _settle_lines(self, waiting: Waiting, quiet: Quiet, now: datetime) -> Settlement:
        return settle(
            waiting.owed,
            waiting.episodes,
            waiting.heard,
            waiting.parked,
            Holds.at(now, waiting.holds, self.ruleset.accounts),
            now=now,
            quiet=quiet,
            singly=is_singly(waiting.channel.failures),
        )

    async def _settle_reports(self, name: str, quiet: Quiet, now: datetime) -> tuple[OwedReport | None, list[Settled]]:
        owed = await self.worker.run(reports.load_owed, self.db, name)
        diary = self.routing.diaries.get(name)
        return settle_reports(owed, diary.appointments if diary else (), quiet, now)

    async def _report_errand(self, report: OwedReport, name: str, zone: tzinfo, now: datetime) -> Errand:
        if report.report is Report.DRILL:
            return drill_errand(report)
        accounts, channels, may_repeat = self.ruleset.accounts, self.channels, report.outcome_unknown
        facts = await self.worker.run(reports.load_facts, self.db, accounts, channels, name, now, may_repeat=may_repeat)
        return digest_errand(report, facts, zone, now)


def goes_before(report: OwedReport, lines: Sequence[Line], failures: int) -> bool:
    """Reports are sent after all changes, except changes that the service keeps refusing."""
    return not lines or (is_singly(failures) and report.attempts < min(line.attempts for line in lines))
