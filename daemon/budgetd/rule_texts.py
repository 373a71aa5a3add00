"""From the table of a rule in the config to the records of the core."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TypeVar

from budgetd.config import ByLevel, ClockworkTable, RuleTable, StepsTable
from budgetd_rules.rule import Clockwork, Level, RuleText, Selector, Steps

T = TypeVar("T")


def rule_text(table: RuleTable) -> RuleText:
    levels = {Level.WARNING: table.warning, Level.CRITICAL: table.critical}
    conditions = {level: text for level, text in levels.items() if text is not None}
    return RuleText(
        on=Selector(
            kinds=frozenset(table.on.kind),
            meter=table.on.meter,
            account=table.on.account,
            provider=table.on.provider,
            labels=table.on.labels,
        ),
        levels=conditions,
        clear=_by_level(table.clear, conditions),
        unless=table.unless,
        sustain=_by_level(table.sustain, conditions),
        ease_for=table.ease_for,
        remind=_remind(table.remind),
        on_change=table.on_change,
        was=table.was,
    )


def levels_named(setting: object) -> list[str]:
    return [level.label for level in _named(setting)] if isinstance(setting, ByLevel) else []


def _by_level(setting: T | ByLevel[T] | None, levels: Mapping[Level, str]) -> dict[Level, T]:
    """A setting that is given once holds for every level of the rule; one that is given by level, for those levels."""
    if setting is None:
        return {}
    return _named(setting) if isinstance(setting, ByLevel) else dict.fromkeys(levels, setting)


def _named(setting: ByLevel[T]) -> dict[Level, T]:
    levels = {Level.WARNING: setting.warning, Level.CRITICAL: setting.critical}
    return {level: value for level, value in levels.items() if value is not None}


def _remind(setting: timedelta | ClockworkTable | StepsTable | None) -> Clockwork | Steps | None:
    if isinstance(setting, timedelta):
        return Clockwork(every=setting)
    if isinstance(setting, ClockworkTable):
        return Clockwork(every=setting.every, backoff=setting.backoff, longest=setting.max)
    return Steps(each=setting.each, steps=setting.steps) if setting else None
