"""Rules: which meters to watch, and by which conditions and after how long they are bad."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Final

from budgetd_rules.expressions import Expression, ExpressionError, compile_condition
from budgetd_rules.kinds import FIELD_TYPES, KINDS, Kind
from budgetd_rules.meters import Account, family
from budgetd_rules.suggestions import suggest
from budgetd_rules.values import ValueType

EASE_FOR: Final = timedelta(hours=1)
# Where a rule limits the pause between reminders by nothing: what is still bad is told once a year at least.
LONGEST_BETWEEN_REMINDERS: Final = timedelta(days=365)


class Level(IntEnum):
    """Ordered: a greater level is a worse one."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which meters a rule watches. All that is given must match; texts are glob patterns."""

    kinds: frozenset[Kind] = frozenset()
    meter: str = "*"
    account: str = "*"
    provider: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, account: Account, meter: str, kind: Kind) -> bool:
        """A pattern for `meter` may name a family: `schedule` is every `schedule/...`."""
        return (
            (not self.kinds or kind in self.kinds)
            and (fnmatchcase(meter, self.meter) or family(meter) == self.meter)
            and fnmatchcase(account.name, self.account)
            and fnmatchcase(account.provider, self.provider)
            and all(fnmatchcase(account.labels.get(name, ""), glob) for name, glob in self.labels.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Clockwork:
    """Reminders at intervals, which grow by the factor `backoff` each time, up to `longest`."""

    every: timedelta
    backoff: Decimal = Decimal(1)
    longest: timedelta | None = None

    def pause(self, reminders: int) -> timedelta:
        ceiling = self.longest or max(self.every, LONGEST_BETWEEN_REMINDERS)
        # A thousand steps reach any ceiling; more would overflow.
        growth = self.backoff ** min(reminders, 1000)
        return self.every * float(min(growth, Decimal(ceiling / self.every)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A reminder as the field `each` passes each step: falling steps at or below it, rising ones at or above."""

    each: str
    steps: tuple[Decimal, ...]

    def passed(self, value: Decimal) -> frozenset[Decimal]:
        first, last = self.steps[0], self.steps[-1]
        falling = first > last if first != last else self.each not in _RISING
        return frozenset(step for step in self.steps if (value <= step if falling else value >= step))


# The fields that get worse as they rise: a single step does not show its direction.
_RISING: Final = frozenset(
    {
        "amount",
        "burn_per_day",
        "days_since_payment",
        "failures",
        "hours_since_success",
        "overage",
        "overage_price",
        "used",
        "used_percent",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule with its conditions compiled.

    `clear` and `sustain` (`for` in the config) have an entry for each level that they apply to. `was` is the rule's
    former name, under which its watches may still be stored.
    """

    name: str
    on: Selector
    levels: Mapping[Level, Expression]
    clear: Mapping[Level, Expression] = field(default_factory=dict)
    unless: Expression | None = None
    sustain: Mapping[Level, timedelta] = field(default_factory=dict)
    ease_for: timedelta = EASE_FOR
    remind: Clockwork | Steps | None = None
    on_change: tuple[str, ...] = ()
    was: str | None = None

    names: frozenset[str] = field(init=False, compare=False)
    own_names: frozenset[str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """`names` are all fields that the rule reads, `own_names` those of the meter itself, without `turns.used`."""
        conditions = [*self.levels.values(), *self.clear.values(), *([self.unless] if self.unless else [])]
        stepped = {self.remind.each} if isinstance(self.remind, Steps) else set()
        names = frozenset(stepped).union(self.on_change, *(condition.names for condition in conditions))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "own_names", frozenset(name for name in names if "." not in name))

    def watches(self, account: Account, meter: str, kind: Kind) -> bool:
        """Whether it selects the meter, the kind has every field that it reads, and it is judged at this account."""
        return self.on.matches(account, meter, kind) and self.fits(kind) and account.judges(kind)

    def fits(self, kind: Kind) -> bool:
        return self.own_names <= frozenset(KINDS[kind].all)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleText:
    """A rule as it is written, its conditions still text."""

    on: Selector
    levels: Mapping[Level, str]
    clear: Mapping[Level, str]
    unless: str | None
    sustain: Mapping[Level, timedelta]
    ease_for: timedelta
    remind: Clockwork | Steps | None
    on_change: tuple[str, ...] = ()
    was: str | None = None


class RuleError(ValueError):
    """What is wrong with a rule: pairs of a key and one line."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{key}: {what}" for key, what in self.problems))


def build_rule(name: str, text: RuleText) -> Rule:
    """The rule with its conditions compiled; raises RuleError with every problem in it."""
    problems: list[tuple[str, str]] = []
    known = sorted(_fields(text.on.kinds))

    def compiled(key: str, condition: str) -> Expression | None:
        try:
            expression = compile_condition(condition, _type_of, known=known)
        except ExpressionError as error:
            problems.append((key, str(error)))
            return None
        problems.extend((key, what) for what in _missing(expression, text.on.kinds))
        return expression

    levels = {level: compiled(level.label, condition) for level, condition in text.levels.items()}
    alike = len(set(text.clear.values())) == 1
    clear = {
        level: compiled("clear" if alike else f"clear.{level.label}", condition)
        for level, condition in text.clear.items()
    }
    unless = compiled("unless", text.unless) if text.unless is not None else None
    if not levels and not text.on_change:
        problems.append(("", "says neither `warning` nor `critical` nor `on_change`: give at least one"))
    problems.extend(("on_change", what) for name in text.on_change for what in _lacking(name, text.on.kinds))
    if isinstance(text.remind, Steps):
        problems.extend(("remind", what) for what in _wrong_steps(text.remind, text.on.kinds))
    if problems:
        raise RuleError(dict.fromkeys(problems))
    return Rule(
        name=name,
        on=text.on,
        levels={level: condition for level, condition in levels.items() if condition},
        clear={level: condition for level, condition in clear.items() if condition},
        unless=unless,
        sustain=text.sustain,
        ease_for=text.ease_for,
        remind=text.remind,
        on_change=text.on_change,
        was=text.was,
    )


def _type_of(name: str) -> ValueType | None:
    """A field, or a field of another meter of the account: `turns.used_percent`."""
    return FIELD_TYPES.get(name.rpartition(".")[2])


def _fields(kinds: frozenset[Kind]) -> frozenset[str]:
    """What a condition may name: fields that every given kind has, or that any kind has where none is given."""
    sets = [frozenset(KINDS[kind].all) for kind in kinds or KINDS]
    return frozenset.intersection(*sets) if kinds else frozenset.union(*sets)


def _missing(expression: Expression, kinds: frozenset[Kind]) -> Iterable[str]:
    """A line for each name that a selected kind lacks, or one if no kind has all of them."""
    own = sorted(name for name in expression.names if "." not in name)
    for name in own:
        yield from _lacking(name, kinds)
    if not kinds and not any(set(own) <= set(KINDS[kind].all) for kind in KINDS):
        yield f"no kind has all of {', '.join(own)}: a rule watches meters of a kind that has every field it reads"


def _lacking(name: str, kinds: frozenset[Kind]) -> Iterable[str]:
    """A line if a selected kind has no such field or, where no kind is selected, if none has."""
    lacking = sorted(kind for kind in kinds or KINDS if name not in KINDS[kind].all)
    if lacking and (kinds or len(lacking) == len(KINDS)):
        hint = suggest(name, _fields(kinds)) or f"; there are {', '.join(sorted(_fields(kinds)))}"
        yield f"{name} is no field of {'the kind ' + ' or '.join(lacking) if kinds else 'any kind'}{hint}"


def _wrong_steps(steps: Steps, kinds: frozenset[Kind]) -> Iterable[str]:
    numbers = [name for name in sorted(_fields(kinds)) if FIELD_TYPES[name] is ValueType.NUMBER]
    if steps.each not in numbers:
        yield f"each = {steps.each!r} is no number of the watched kinds{suggest(steps.each, numbers)}"
    if not steps.steps:
        yield "steps are missing: name at least one, such as [30, 14, 7]"
    pairs = list(pairwise(steps.steps))
    if not (all(a > b for a, b in pairs) or all(a < b for a, b in pairs)):
        yield "steps must fall or rise all the way: [30, 14, 7] or [80, 90, 95]"
