"""The condition language: what it reads, what it refuses and how it says so, and what is unknown in it."""

import operator
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from budgetd_rules.expressions import Expression, ExpressionError, compile_condition, compile_expression
from budgetd_rules.values import UNKNOWN, UNLIMITED, Truth, Value, ValueType

TYPES = {
    "used": ValueType.NUMBER,
    "limit": ValueType.NUMBER,
    "remaining": ValueType.NUMBER,
    "remaining_percent": ValueType.NUMBER,
    "turns.used_percent": ValueType.NUMBER,
    "item.amount.usd": ValueType.NUMBER,
    "count": ValueType.NUMBER,
    "trial": ValueType.BOOL,
    "paid": ValueType.BOOL,
    "plan": ValueType.TEXT,
    "status": ValueType.TEXT,
    "expires_at": ValueType.TIME,
    "due_at": ValueType.TIME,
    "amounts": ValueType.NUMBERS,
}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
FIELDS: dict[str, Value] = {
    "used": Decimal(30),
    "limit": Decimal(100),
    "remaining": Decimal(70),
    "turns.used_percent": Decimal(99),
    "item.amount.usd": Decimal("2.50"),
    "count": Decimal(4),
    "trial": True,
    "paid": False,
    "plan": "pro",
    "expires_at": NOON,
    "amounts": (Decimal(3), Decimal(1), Decimal(2)),
}


def compiled(text: str) -> Expression:
    return compile_expression(text, TYPES.get, known=TYPES)


def value_of(text: str, fields: Mapping[str, Value] = FIELDS) -> Value:
    return compiled(text).evaluate(lambda name: fields.get(name, UNKNOWN))


def truth_of(text: str, fields: Mapping[str, Value] = FIELDS) -> Truth:
    return compile_condition(text, TYPES.get, known=TYPES).truth(lambda name: fields.get(name, UNKNOWN))


def message_of(text: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        compile_condition(text, TYPES.get, known=TYPES)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7", Decimal(7), id="integer"),
        pytest.param("0", Decimal(0), id="zero"),
        pytest.param("12345678901234567.89", Decimal("12345678901234567.89"), id="more digits than a float has"),
        pytest.param("0.1 + 0.2", Decimal("0.3"), id="tenths are exact"),
        pytest.param(".5", Decimal("0.5"), id="no digit before the point"),
        pytest.param("5.", Decimal(5), id="no digit after the point"),
        pytest.param("2.5e3", Decimal(2500), id="exponent"),
        pytest.param("1E-2", Decimal("0.01"), id="negative exponent"),
        pytest.param("1e30", Decimal("1e30"), id="largest"),
        pytest.param("1e-30", Decimal("1e-30"), id="smallest"),
        pytest.param("1_000_000", Decimal(1000000), id="thousands set apart"),
        pytest.param("9" * 30 + ".9999", Decimal("9" * 30 + ".9999"), id="thirty-four digits"),
        pytest.param('"pro"', "pro", id="text in double quotes"),
        pytest.param("'pro'", "pro", id="text in single quotes"),
        pytest.param("""'say "no"'""", 'say "no"', id="the other quote in a text"),
        pytest.param('"größe € 😀"', "größe € 😀", id="text beyond ascii"),
        pytest.param('plan == "größe" or used + 0.25 == 30.25', True, id="a number after wide characters"),
        pytest.param('""', "", id="empty text"),
        pytest.param("true", True, id="true"),
        pytest.param("false", False, id="false"),
        pytest.param("used", Decimal(30), id="a name"),
        pytest.param("count", Decimal(4), id="a field with the name of a function"),
        pytest.param("turns.used_percent", Decimal(99), id="another meter's field"),
        pytest.param("item.amount.usd", Decimal("2.50"), id="a name with two dots"),
        pytest.param("  used\n", Decimal(30), id="space around"),
        pytest.param("((used))", Decimal(30), id="brackets around"),
        pytest.param("expires_at", NOON, id="a time is carried"),
        pytest.param("amounts", (Decimal(3), Decimal(1), Decimal(2)), id="a list is carried"),
    ],
)
def test_constants_and_names_are_exact(text: str, expected: Value) -> None:
    assert value_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1 + 2 * 3", Decimal(7), id="times before plus"),
        pytest.param("(1 + 2) * 3", Decimal(9), id="brackets first"),
        pytest.param("10 - 4 - 3", Decimal(3), id="minus from the left"),
        pytest.param("100 / 10 / 2", Decimal(5), id="division from the left"),
        pytest.param("-used + 40", Decimal(10), id="sign before plus"),
        pytest.param("2 * -3", Decimal(-6), id="sign after times"),
        pytest.param("--used", Decimal(30), id="two signs"),
        pytest.param("+used", Decimal(30), id="plus sign"),
        pytest.param("1 / 3", Decimal("0.3333333333333333333333333333333333"), id="thirty-four digits"),
        pytest.param("used / 0", UNKNOWN, id="division by zero"),
        pytest.param("0 / 0", UNKNOWN, id="nothing of nothing"),
        pytest.param("min(used, limit, 5)", Decimal(5), id="min of numbers"),
        pytest.param("max(used, limit)", Decimal(100), id="max of numbers"),
        pytest.param("sum(used, limit, 1)", Decimal(131), id="sum of numbers"),
        pytest.param("count(used, limit)", Decimal(2), id="count of numbers"),
        pytest.param("min(amounts)", Decimal(1), id="min of a list"),
        pytest.param("max(amounts)", Decimal(3), id="max of a list"),
        pytest.param("sum(amounts)", Decimal(6), id="sum of a list"),
        pytest.param("count(amounts)", Decimal(3), id="count of a list"),
        pytest.param("abs(used - limit)", Decimal(70), id="abs"),
        pytest.param("coalesce(remaining_percent, used)", Decimal(30), id="coalesce skips what is unknown"),
        pytest.param("coalesce(used, limit)", Decimal(30), id="coalesce takes the first"),
        pytest.param('coalesce(status, plan, "none")', "pro", id="coalesce of texts"),
        pytest.param("coalesce(due_at, expires_at)", NOON, id="coalesce of times"),
        pytest.param("coalesce(remaining_percent, remaining_percent)", UNKNOWN, id="coalesce of nothing known"),
        pytest.param("min(max(used, 50), limit)", Decimal(50), id="functions in functions"),
    ],
)
def test_arithmetic(text: str, expected: Value) -> None:
    assert value_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("used < 30", False, id="less at the bound"),
        pytest.param("used <= 30", True, id="at most at the bound"),
        pytest.param("used > 29.99", True, id="more"),
        pytest.param("used >= 30.01", False, id="at least"),
        pytest.param("used == 30.0", True, id="equal in value"),
        pytest.param("used != 30", False, id="not equal"),
        pytest.param("12345678901234567.89 > 12345678901234567.88", True, id="the last digit counts"),
        pytest.param("10 < used < 40", True, id="chain"),
        pytest.param("10 < used < 20", False, id="chain with a false link"),
        pytest.param("1 < 2 < 3 < 2", False, id="chain false at the end"),
        pytest.param("used == 30 == count", False, id="chain of equals"),
        pytest.param('plan == "pro"', True, id="text equal"),
        pytest.param('plan == "Pro"', False, id="text compares exactly"),
        pytest.param('plan != "free"', True, id="text not equal"),
        pytest.param("trial == paid", False, id="bools"),
        pytest.param('plan in ["free", "pro"]', True, id="text listed"),
        pytest.param('plan not in ("free", "pro")', False, id="text not listed, as a tuple"),
        pytest.param('plan in ("pro",)', True, id="tuple of one"),
        pytest.param("used in [-1, +30.0]", True, id="signed number listed"),
        pytest.param("trial in [false]", False, id="bool listed"),
        pytest.param("used + 1 in [31]", True, id="computed, then listed"),
        pytest.param("trial", True, id="a bool is a condition"),
        pytest.param("not paid", True, id="not"),
        pytest.param("not used < 10", True, id="not after comparison"),
        pytest.param("trial or paid and paid", True, id="and before or"),
        pytest.param("(trial or paid) and paid", False, id="brackets before and"),
        pytest.param("not paid or trial and false", True, id="not before and"),
        pytest.param("used + 1 < limit / 2", True, id="arithmetic before comparison"),
        pytest.param("turns.used_percent > 90 and used < limit", True, id="two meters"),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert truth_of(text) is expected


KLEENE: dict[str, Truth] = {"true": True, "false": False, "unknown": UNKNOWN}


def kleene(left: Truth, right: Truth) -> dict[str, Truth]:
    """The tables, by rank: false < unknown < true; `and` is the lower, `or` the higher."""
    rank = {False: 0, UNKNOWN: 1, True: 2}
    return {"and": min(left, right, key=rank.__getitem__), "or": max(left, right, key=rank.__getitem__)}


@pytest.mark.parametrize("word", ["and", "or"])
@pytest.mark.parametrize(
    ("left", "right"), [pytest.param(*pair, id=" ".join(pair)) for pair in product(KLEENE, repeat=2)]
)
def test_and_or_follow_kleene(word: str, left: str, right: str) -> None:
    fields: dict[str, Value] = {"trial": KLEENE[left], "paid": KLEENE[right]}
    assert truth_of(f"trial {word} paid", fields) is kleene(KLEENE[left], KLEENE[right])[word]


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        pytest.param(True, False, id="true"),
        pytest.param(False, True, id="false"),
        pytest.param(UNKNOWN, UNKNOWN, id="unknown"),
    ],
)
def test_not_follows_kleene(operand: Truth, expected: Truth) -> None:
    assert truth_of("not trial", {"trial": operand}) is expected


@pytest.mark.parametrize("name", ["limit", "status", "paid", "due_at", "amounts"])
def test_a_name_that_is_unknown_is_unknown(name: str) -> None:
    assert value_of(name, {}) is UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "limit < 5",
        "limit == limit",
        "limit != 5",
        "5 >= limit",
        "1 < limit < 5",
        "limit + used > 0",
        "limit * 0 == 0",
        "-limit < 0",
        "abs(limit) >= 0",
        'status == "active"',
        'status != "active"',
        'status in ["active"]',
        'status not in ["active"]',
        "limit in [1, 2]",
        "trial == paid",
        "sum(amounts) > 0",
        "count(amounts) == 0",
        "min(limit, used) < 5",
        "max(5, limit) > 0",
        "count(used, limit) == 2",
        "coalesce(used, limit) > 0",
        "not limit < 5",
        "limit < 5 or used < 2",
        "limit < 5 and used < 2",
    ],
)
def test_what_is_unknown_decides_nothing(text: str) -> None:
    assert truth_of(text, {}) is UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("limit < 5 or true", True, id="or is decided by the other"),
        pytest.param("false and limit < 5", False, id="and is decided by the other"),
        pytest.param("limit < 5 or false", UNKNOWN, id="or is not decided"),
        pytest.param("3 < 2 < limit", False, id="a chain is decided by a false link"),
        pytest.param("limit < 3 < 2", False, id="a chain is decided by a later link"),
        pytest.param("coalesce(limit, 7) == 7", True, id="coalesce makes it known"),
    ],
)
def test_what_is_unknown_may_not_matter(text: str, expected: Truth) -> None:
    assert truth_of(text, {}) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("limit", UNLIMITED, id="carried"),
        pytest.param("limit - used", UNLIMITED, id="less a number"),
        pytest.param("used - limit", UNKNOWN, id="a number less unlimited"),
        pytest.param("-limit", UNKNOWN, id="no negative"),
        pytest.param("limit - limit", UNKNOWN, id="less itself"),
        pytest.param("used / limit", Decimal(0), id="a share of it is nothing"),
        pytest.param("limit > 1e30", True, id="larger than every number"),
        pytest.param("limit < used", False, id="not smaller"),
        pytest.param("limit == limit", True, id="equals itself"),
        pytest.param("limit == used", False, id="equals no number"),
        pytest.param("limit in [1, 2]", False, id="is no listed number"),
        pytest.param("limit not in [1, 2]", True, id="is not listed"),
        pytest.param("min(limit, used)", Decimal(30), id="min"),
        pytest.param("max(used, limit)", UNLIMITED, id="max"),
        pytest.param("sum(used, limit)", UNLIMITED, id="sum"),
        pytest.param("abs(limit)", UNLIMITED, id="abs"),
        pytest.param("coalesce(limit, used)", UNLIMITED, id="is known"),
    ],
)
def test_unlimited(text: str, expected: Value) -> None:
    assert value_of(text, {"limit": UNLIMITED, "used": Decimal(30)}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("sum(amounts)", Decimal(0), id="sum"),
        pytest.param("count(amounts)", Decimal(0), id="count"),
        pytest.param("min(amounts)", UNKNOWN, id="min"),
        pytest.param("max(amounts)", UNKNOWN, id="max"),
    ],
)
def test_an_empty_list(text: str, expected: Value) -> None:
    assert value_of(text, {"amounts": ()}) == expected


WRONG: list[tuple[str, Value]] = [
    ("used", "30"),
    ("used", True),
    ("used", NOON),
    ("used", Decimal("NaN")),
    ("used", Decimal("sNaN")),
    ("used", Decimal("-Infinity")),
    ("trial", Decimal(1)),
    ("trial", "true"),
    ("trial", UNLIMITED),
    ("plan", Decimal(1)),
    ("plan", False),
    ("expires_at", "2026-07-01"),
    ("amounts", Decimal(1)),
    ("amounts", UNLIMITED),
    ("amounts", (Decimal(1), Decimal("NaN"))),
]


@pytest.mark.parametrize(("name", "value"), [pytest.param(*each, id=f"{each[0]}={each[1]!r}") for each in WRONG])
def test_a_value_that_is_not_of_its_type_is_unknown(name: str, value: Value) -> None:
    assert value_of(name, {name: value}) is UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("used + 1", ValueType.NUMBER, id="arithmetic"),
        pytest.param("used < 1", ValueType.BOOL, id="comparison"),
        pytest.param("not trial", ValueType.BOOL, id="logic"),
        pytest.param("plan", ValueType.TEXT, id="name"),
        pytest.param("coalesce(due_at, expires_at)", ValueType.TIME, id="coalesce"),
        pytest.param("coalesce(amounts, amounts)", ValueType.NUMBERS, id="coalesce of lists"),
        pytest.param("count(amounts)", ValueType.NUMBER, id="function"),
    ],
)
def test_the_type_of_an_expression(text: str, expected: ValueType) -> None:
    assert compiled(text).type is expected


def test_an_expression_names_everything_it_reads() -> None:
    expression = compiled("turns.used_percent > 90 or not trial and max(used, limit) in [1] and sum(amounts) < 5")
    assert expression.names == {"turns.used_percent", "trial", "used", "limit", "amounts"}


def test_only_the_text_the_type_and_the_names_make_an_expression_what_it_is() -> None:
    one, other = compiled(" used < 5 "), compiled("used < 5")
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one) == f"Expression(text='used < 5', type={ValueType.BOOL!r}, names=frozenset({{'used'}}))"


def test_what_is_no_condition_is_never_true() -> None:
    assert compiled("plan").truth(FIELDS.__getitem__) is UNKNOWN


PLAIN = "a constant is a plain decimal number, or text between two quotes"
QUOTES = "text stands between two quotes, without a backslash"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the expression is empty"),
        (" \n ", "the expression is empty"),
        ("used < 5" + " or used < 5" * 90, "the expression has 1,088 characters; 1,000 are allowed"),
        ("used <", "the end: invalid syntax: used <"),
        ("used < 5 5", "column 10: invalid syntax: used < 5 5"),
        ("(used < 5", "column 1: '(' was never closed: (used < 5"),
        ("used < 5)", "column 9: unmatched ')': used < 5)"),
        ("used < 007", "column 8: leading zeros in decimal integer literals are not permitted: used < 007"),
        ("used < 1or trial", "column 8: invalid decimal literal: used < 1or trial"),
        ("used <> 5", "column 6: invalid syntax: used <> 5"),
    ],
)
def test_text_that_cannot_be_read(text: str, message: str) -> None:
    assert message_of(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("used = 5", "column 6: '=' has no place here; write == to compare"),
        ("min(used, key=5)", "column 14: '=' has no place here; write == to compare"),
        ("trial && paid", "column 7: '&' has no place here; write and"),
        ("trial || paid", "column 7: '|' has no place here; write or"),
        ("!trial", "column 1: '!' has no place here; write not"),
        ("used > 5%", "column 9: '%' has no place here; percentages are fields, such as remaining_percent"),
        ("used < 5 # low", "column 10: '#' has no place here"),
        ("used <\n5", r"column 7: '\n' has no place here"),
        ("used\t< 5", r"column 5: '\t' has no place here"),
        ("used < 5\0 ", r"column 9: '\x00' has no place here"),
        ("plan == '\ud800'", r"column 10: '\ud800' has no place here"),
        ("plan == 'a\u2028b'", r"column 11: '\u2028' has no place here"),
        ('plan == "pro', f"column 9: '\"' has no place here; {QUOTES}"),
        (r"plan == 'a\n'", f'column 9: "\'" has no place here; {QUOTES}'),
        ("used < $5", "column 8: '$' has no place here"),
        ("lambda: trial", "column 7: ':' has no place here"),
        ("{used}", "column 1: '{' has no place here"),
    ],
)
def test_characters_that_have_no_place(text: str, message: str) -> None:
    assert message_of(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("used ** 2 > 5", "used ** 2: arithmetic is + - * /"),
        ("used // 2 > 5", "used // 2: arithmetic is + - * /"),
        ("paid if trial else paid", "paid if trial else paid: this has no place here"),
        ("used[0] > 5", "used[0]: this has no place here"),
        ("f'x' == plan", "f'x': this has no place here"),
        ("sum(*amounts) > 5", "*amounts: this has no place here"),
        ("[1, 2] == amounts", "[1, 2]: a list stands only after in"),
        ("max((1, 2)) > 1", "(1, 2): a list stands only after in"),
        ("used is 5", "used is 5: compare with < <= > >= == != or with a single in"),
        ("1 is 1", "1 is 1: compare with < <= > >= == != or with a single in"),
        ("1 < used in [5]", "1 < used in [5]: compare with < <= > >= == != or with a single in"),
        ("used in []", "used in []: in takes a list of constants, such as [1, 2]"),
        ("used in 5", "used in 5: in takes a list of constants, such as [1, 2]"),
        ("plan in ('pro')", "plan in ('pro'): in takes a list of constants, such as [1, 2]"),
        ("used in amounts", "used in amounts: in takes a list of constants, such as [1, 2]"),
        ("used in [1, limit]", "limit is not a constant; in takes a list of constants"),
        ("used in [1 / 0]", "1 / 0 is not a constant; in takes a list of constants"),
        ("'a'.b", "'a'.b: dots and calls take plain names"),
        ("sum(amounts).real > 1", "sum(amounts).real: dots and calls take plain names"),
        ("(used + 1)()", "used + 1: dots and calls take plain names"),
        ("-" * 60 + "1 < 5", "the expression is nested too deeply; 50 levels are allowed"),
        ("not " * 100 + "trial", "the expression is nested too deeply; 50 levels are allowed"),
        ("[" * 199 + "1 1", "the expression is nested too deeply; 50 levels are allowed"),
    ],
)
def test_python_that_is_not_of_the_language(text: str, message: str) -> None:
    assert message_of(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trial == True", "write true, not True"),
        ("trial == False", "write false, not False"),
        ("used == None", "there is no None: what is unknown makes its comparisons unknown"),
        ("used < 0x10", f"0x10: {PLAIN}"),
        ("used < 1_00", f"1_00: {PLAIN}"),
        ("used < 5j", f"5j: {PLAIN}"),
        ("used < 1e99999", f"1e99999: {PLAIN}"),
        ("used < ...", f"...: {PLAIN}"),
        ("plan == b'pro'", f"b'pro': {PLAIN}"),
        ("plan == r'pro'", f"r'pro': {PLAIN}"),
        ("plan in ['a' 'b']", f"'a' 'b': {PLAIN}"),
        ("plan == '''pro'''", f"'''pro''': {PLAIN}"),
        ("used < 1.1e30", "1.1e30: a number is between 1e-30 and 1e30"),
        (
            "used < 1234567890123456789012345678901",
            "1234567890123456789012345678901: a number is between 1e-30 and 1e30",
        ),
        ("used < 1e-31", "1e-31: a number is between 1e-30 and 1e30"),
        ("used < " + "1" * 900, "1" * 59 + "…: a number has at most 34 digits"),
    ],
)
def test_constants_that_are_refused(text: str, message: str) -> None:
    assert message_of(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("remainig < 5", "there is no remainig here; did you mean remaining?"),
        ("turn.used_percent < 5", "there is no turn.used_percent here; did you mean turns.used_percent?"),
        ("xyzzy < 5", "there is no xyzzy here"),
        ("true.x", "there is no true.x here"),
        ("mx(used, 5) < 5", "there is no mx() here; did you mean max()?"),
        ("plan.lower() == 'pro'", "there is no plan.lower() here"),
        ("__import__('os').system('x')", "__import__('os').system: dots and calls take plain names"),
        ("x" * 100, "there is no " + "x" * 59 + "… here"),
    ],
)
def test_names_that_there_are_not(text: str, message: str) -> None:
    assert message_of(text) == message


ONE_TYPE = "only values of one type are compared"
TIMES = "expires_at is a time; times are not compared or computed with: use a days_until_… field"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "remaining_percent",
            "remaining_percent is a number; a condition compares it: remaining_percent < 20",
        ),
        ("used + 1", "used + 1 is a number; a condition compares it: used + 1 < 20"),
        ("plan", 'plan is text; a condition compares it: plan == "…"'),
        ("amounts", "amounts is a list of numbers; a condition compares it: sum(amounts) < 20"),
        ("5", "5 is a number, not a condition"),
        ("'pro'", "'pro' is text, not a condition"),
        ("used < 5 or used", "used is a number; a condition compares it: used < 20"),
        ("used < 5 or 3", "3 is a number, not a condition"),
        ("not plan", 'plan is text; a condition compares it: plan == "…"'),
        ("expires_at", TIMES),
        ("expires_at < 5", TIMES),
        ("expires_at == due_at", TIMES),
        ("expires_at in [1]", TIMES),
        ("expires_at + 1 > 5", TIMES),
        ("max(used, expires_at) > 5", TIMES),
        ("plan < 5", f"plan is text and 5 is a number; {ONE_TYPE}"),
        ("plan == 5", f"plan is text and 5 is a number; {ONE_TYPE}"),
        ("trial == 1", f"trial is true or false and 1 is a number; {ONE_TYPE}"),
        ("1 < used < trial", f"used is a number and trial is true or false; {ONE_TYPE}"),
        ("plan in ['a', 1]", f"plan is text and 1 is a number; {ONE_TYPE}"),
        ("plan < 'q'", "plan is text; only numbers have an order"),
        ("trial >= paid", "trial is true or false; only numbers have an order"),
        ("amounts == amounts", "amounts is a list of numbers; compare its min, max, sum or count"),
        ("plan + 'x' == 'prox'", "plan is text; arithmetic takes numbers"),
        ("used * trial > 5", "trial is true or false; arithmetic takes numbers"),
        ("-plan == 5", "plan is text; arithmetic takes numbers"),
        ("min(used) < 5", "min takes a list of numbers, or two or more numbers"),
        ("sum() < 5", "sum takes a list of numbers, or two or more numbers"),
        ("max(amounts, 5) < 5", "amounts is a list of numbers; max takes a list of numbers, or two or more numbers"),
        ("count(plan) < 5", "plan is text; count takes a list of numbers, or two or more numbers"),
        ("abs(used, limit) < 5", "abs takes one number"),
        ("abs(amounts) < 5", "amounts is a list of numbers; abs takes one number"),
        ("coalesce(used) < 5", "coalesce takes two or more values of one type"),
        ("coalesce(used, plan) < 5", "coalesce takes two or more values of one type"),
    ],
)
def test_types_that_do_not_fit(text: str, message: str) -> None:
    assert message_of(text) == message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(" * 60 + "used < 5" + ")" * 60, id="brackets are no levels"),
        pytest.param("not " * 48 + "trial", id="forty-nine levels"),
        pytest.param(" or ".join(["used < 5"] * 80), id="wide is not deep"),
    ],
)
def test_large_expressions_within_the_limits(text: str) -> None:
    assert isinstance(truth_of(text), bool)


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.sampled_from([UNKNOWN, UNLIMITED, Decimal("9e999999999999999999"), Decimal("-1e-999999999999999999")]),
    st.sampled_from([Decimal("sNaN"), Decimal("-Infinity"), NOON, NOON.replace(tzinfo=None)]),
    st.booleans(),
    st.decimals(),
    st.text(max_size=5),
    st.lists(st.decimals(), max_size=3).map(tuple),
)
PYTHON_TYPES: dict[ValueType, type] = {
    ValueType.NUMBER: Decimal,
    ValueType.BOOL: bool,
    ValueType.TEXT: str,
    ValueType.TIME: datetime,
    ValueType.NUMBERS: tuple,
}

WORDS = [*TYPES, "true", "false", "None", "xyzzy", "and", "or", "not", "in", "is", "if", "else", "lambda", "for"]
SIGNS = [*"+-*/<>=!()[],.:;#@%&|^~\\\"'{}", "==", "!=", "<=", "**", ":=", " ", "\n", "\0", "\ud800", "é"]
LITERALS = ["0", "7", "1.5", "1e9", "1e999", "0x1f", "1_000", "5j", "007", "1" * 40, "'a'", '"b"', "r'x'", "f'{used}'"]
CALLS = ["min(", "max(", "sum(", "count(", "abs(", "coalesce(", "int(", "used("]
TOKENS = st.lists(st.sampled_from([*WORDS, *SIGNS, *LITERALS, *CALLS]), max_size=30)
SOUP = st.one_of(TOKENS.map(" ".join), TOKENS.map("".join), st.text(max_size=60))


def compute(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "sum", "count", "coalesce"]), inner, inner),
        st.builds("{}{}".format, st.sampled_from("+-"), inner),
        st.builds("abs({})".format, inner),
    )


def compare(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sign = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    return st.one_of(
        st.builds("{} {} {}".format, numbers, sign, numbers),
        st.builds("{} {} {} {} {}".format, numbers, sign, numbers, sign, numbers),
        st.builds("{} {} [1, -2.5]".format, numbers, st.sampled_from(["in", "not in"])),
    )


def combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner), st.builds("not {}".format, inner)
    )


NAMES = st.sampled_from(["used", "limit", "turns.used_percent", "sum(amounts)", "min(amounts)", "count(amounts)"])
FROM_NAMES = st.recursive(NAMES, compute, max_leaves=5)
FROM_ALL = st.recursive(NAMES | st.sampled_from(["0", "5", "0.25", "1e30"]), compute, max_leaves=5)
OTHER_CONDITIONS = st.sampled_from(
    ["trial", "true", "trial != paid", "plan == 'a'", "'a' not in ['b']", "coalesce(status, plan) in ('', 'a')"]
)
CONDITIONS = st.recursive(compare(FROM_ALL) | OTHER_CONDITIONS, combine, max_leaves=5)
NEARLY = st.builds(
    lambda text, start, end, token: text[:start] + token + text[end:],
    CONDITIONS,
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([*WORDS, *SIGNS, *LITERALS, *CALLS]),
)
FIELDS_OF_ANY_VALUE = st.fixed_dictionaries(dict.fromkeys(TYPES, VALUES))


def check_anything_goes(text: str, fields: Mapping[str, Value]) -> None:
    """Compiled, or one line of refusal; evaluated, a value of its type or an unknown."""
    refusal = ""
    try:
        expression = compiled(text)
    except ExpressionError as error:
        refusal = str(error)
    if refusal:
        assert refusal.isprintable()
        return
    value = expression.evaluate(fields.__getitem__)
    truth = expression.truth(fields.__getitem__)
    assert value in (UNKNOWN, UNLIMITED) or isinstance(value, PYTHON_TYPES[expression.type])
    assert value is not UNLIMITED or expression.type is ValueType.NUMBER
    assert not isinstance(value, Decimal) or value.is_finite()
    assert truth is (value if expression.type is ValueType.BOOL else UNKNOWN)


@given(text=SOUP | NEARLY, fields=FIELDS_OF_ANY_VALUE)
@example(text="9" * 1000, fields={})
@example(text="(" * 1000, fields={})
@example(text="-" * 999 + "1", fields={})
@example(text="a<(" * 333, fields={})
def test_any_text_compiles_or_is_refused_in_one_line(text: str, fields: Mapping[str, Value]) -> None:
    check_anything_goes(text, fields)


@given(text=CONDITIONS | FROM_ALL, fields=FIELDS_OF_ANY_VALUE)
def test_any_expression_of_the_language_evaluates_on_any_values(text: str, fields: Mapping[str, Value]) -> None:
    assert compiled(text).text == text
    check_anything_goes(text, fields)


@given(text=st.recursive(compare(FROM_NAMES), combine, max_leaves=4))
def test_comparisons_of_what_is_unknown_are_unknown(text: str) -> None:
    assert truth_of(text, {}) is UNKNOWN


@given(text=CONDITIONS, fields=FIELDS_OF_ANY_VALUE)
def test_not_not_is_the_same(text: str, fields: Mapping[str, Value]) -> None:
    assert truth_of(f"not not ({text})", fields) is truth_of(text, fields)


@given(used=NUMBERS, limit=NUMBERS)
@pytest.mark.parametrize(
    ("sign", "holds"),
    [
        ("<", operator.lt),
        ("<=", operator.le),
        (">", operator.gt),
        (">=", operator.ge),
        ("==", operator.eq),
        ("!=", operator.ne),
    ],
)
def test_numbers_compare_as_decimals_do(
    sign: str, holds: Callable[[Decimal, Decimal], bool], used: Decimal, limit: Decimal
) -> None:
    assert truth_of(f"used {sign} limit", {"used": used, "limit": limit}) is holds(used, limit)


@given(digits=st.integers(0, 10**30), places=st.integers(0, 30))
def test_a_number_is_read_to_its_last_digit(digits: int, places: int) -> None:
    number = Decimal(digits).scaleb(-places, Context(prec=40))
    assert value_of(f"{number:f}") == number


EDGES: dict[ValueType, list[Value]] = {
    ValueType.NUMBER: [Decimal(each) for each in ("0", "5", "-2.5", "1e-30", "9e999999999999999999", "NaN", "sNaN")],
    ValueType.BOOL: [True, False],
    ValueType.TEXT: ["", "a", "pro"],
    ValueType.TIME: [NOON, NOON.replace(tzinfo=None)],
    ValueType.NUMBERS: [(), (Decimal(1), Decimal("-2.5")), (Decimal("Infinity"),)],
}
ANY_EDGE: list[Value] = [UNKNOWN, UNLIMITED, *(value for values in EDGES.values() for value in values)]


def fill(random: Random) -> dict[str, Value]:
    """Values at the edges, most of them of the type of their name."""
    return {name: random.choice(EDGES[type_] if random.random() < 0.7 else ANY_EDGE) for name, type_ in TYPES.items()}


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("BUDGETD_HYPOTHESIS_EXAMPLES", "20000")), suppress_health_check=list(HealthCheck)
)
@given(text=SOUP | NEARLY | CONDITIONS | FROM_ALL, seed=st.integers(0, 2**16))
def test_fuzzed_expressions_never_surprise(text: str, seed: int) -> None:
    check_anything_goes(text, fill(Random(seed)))
