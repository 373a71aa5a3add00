"""Reminders, and when the clock alone is a reason to judge a watch again."""

from datetime import datetime, timedelta
from decimal import Decimal

from budgetd_rules.evaluation import next_changes
from budgetd_rules.memory import Reason, Watch
from budgetd_rules.meters import HOUR, Reading, View
from budgetd_rules.rule import Clockwork, Rule, Steps


def reminder_due(rule: Rule, watch: Watch, view: View, now: datetime) -> Reason | None:
    due_at = next_reminder(rule, watch)
    if due_at is not None and now >= due_at:
        return Reason.REMINDER_DUE
    return Reason.STEP_PASSED if passed_steps(rule, view) - watch.told_steps else None


def next_reminder(rule: Rule, watch: Watch) -> datetime | None:
    """When a reminder at intervals is due; None if no episode is open, or if the rule reminds by steps."""
    if isinstance(rule.remind, Clockwork) and watch.told_at and watch.episode:
        return watch.told_at + rule.remind.pause(watch.reminders)
    return None


def passed_steps(rule: Rule, view: View) -> frozenset[Decimal]:
    """The reminder steps that the meter has reached."""
    if not isinstance(rule.remind, Steps):
        return frozenset()
    value = view.fields.get(rule.remind.each)
    return rule.remind.passed(value) if isinstance(value, Decimal) else frozenset()


def wake_at(rule: Rule, watch: Watch, reading: Reading, now: datetime, stale_after: timedelta) -> datetime | None:
    """When to judge the watch again though no reading came; None without a reason to.

    An earlier time that is still ahead is kept: judging too early costs nothing, but writing at every reading does.
    """
    instants = [*next_changes(reading, rule.own_names, now, stale_after)]
    if reminder := next_reminder(rule, watch):
        # A reminder that is overdue, because something else kept it back, is due in a minute.
        instants.append(max(reminder, now + HOUR / 60))
    if watch.easing and watch.easing.last > watch.easing.first:
        instants.append(watch.easing.first + rule.ease_for)
    for level, stretch in watch.pending.items():
        if stretch.last > stretch.first:
            instants.append(stretch.first + rule.sustain[level])
    next_ = min([instant for instant in instants if instant > now], default=None)
    if next_ and watch.wake_at and now < watch.wake_at <= next_:
        return watch.wake_at
    return next_
