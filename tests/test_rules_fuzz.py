"""A million texts at the condition language: an expression or its own error, each in no time."""

import os
import random
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from budgetd_rules.expressions import ExpressionError, compile_expression
from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.values import UNKNOWN, UNLIMITED, Value

EXAMPLES = int(os.environ.get("BUDGETD_FUZZ_EXAMPLES", "1000000"))
# To notice what hangs, on a machine that may be busy with other things.
LONGEST_SECONDS = 20.0
NAMES = ["remaining", "remaining_percent", "plan", "auto_renew", "expires_at", "turns.used_percent", "a.b.c", "nothing"]
WORDS = [
    *NAMES,
    *["and", "or", "not", "in", "not in", "true", "false", "None", "if", "else", "lambda", "is", "min", "max", "sum"],
    *["count", "abs", "coalesce", "+", "-", "*", "/", "**", "//", "%", "<", "<=", "==", "!=", ">", ">=", "=", "(", ")"],
    *["[", "]", "{", "}", ",", ".", ":", ";", "1", "0", "-1", "1.5", "1e30", "1e31", "0x1", "1_000", "1__0", "9" * 40],
    *[
        '"Pro"',
        "'x'",
        "'",
        '"',
        "f''",
        "b'x'",
        "\\",
        "\n",
        "\t",
        "#",
        "@",
        "\x00",
        "é",
        "\u202e",
        "\U0001d7d9",
        "\ud800",
        " ",
    ],
]
GOOD = [
    "remaining_percent < 5 or runway_days < 2",
    "1 <= used_percent <= 99 and not auto_renew",
    'plan in ["Free", "Pro"] and coalesce(remaining, 0) < 1.5e3',
    "max(used, limit - remaining) / 2 > abs(-overage)",
]
VALUES: list[Value] = [UNKNOWN, UNLIMITED, Decimal(0), Decimal("-1e30"), Decimal("NaN"), True, "Pro", (Decimal(1),)]


def texts(source: random.Random) -> Iterator[str]:
    """Soup of words, good conditions with a few letters wrong, and deep or long ones."""
    while True:
        kind = source.random()
        if kind < 0.55:
            yield source.choice(["", " "]).join(source.choices(WORDS, k=source.randint(1, 14)))
        elif kind < 0.95:
            letters = list(source.choice(GOOD))
            for _ in range(source.randint(1, 3)):
                letters[source.randrange(len(letters))] = source.choice(source.choice(WORDS))
            yield "".join(letters)
        else:
            opening = source.choice(["(", "-", "not ", "1+", "[", "a.", "min(1,", "1<"])
            yield opening * source.randint(1, 400) + source.choice(WORDS)


def tried(text: str, source: random.Random) -> bool:
    """Whether it compiles; what compiles is also evaluated, over values of all sorts."""
    try:
        expression = compile_expression(text, lambda name: FIELD_TYPES.get(name.rpartition(".")[2]))
    except ExpressionError as error:
        line = str(error)
    else:
        expression.evaluate(lambda _name: source.choice(VALUES))
        return True
    assert line
    assert "\n" not in line
    return False


@pytest.mark.slow
def test_nothing_but_its_own_error() -> None:
    seed = int(os.environ.get("BUDGETD_FUZZ_SEED", str(time.time_ns())))
    print(f"BUDGETD_FUZZ_SEED={seed} BUDGETD_FUZZ_EXAMPLES={EXAMPLES}")
    source = random.Random(seed)
    compiled = 0
    for _, text in zip(range(EXAMPLES), texts(source), strict=False):
        began = time.perf_counter()
        compiled += tried(text, source)
        assert time.perf_counter() - began < LONGEST_SECONDS, text
    assert compiled > EXAMPLES / 100, "most of the texts are to be wrong, but not all"
