"""What may become of a condition while some of what it reads is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.expressions import compile_condition
from budgetd_rules.kinds import FIELD_TYPES
from budgetd_rules.prospects import never_ends
from budgetd_rules.values import UNKNOWN


@pytest.mark.parametrize(
    ("text", "is_endless"),
    [
        pytest.param("remaining < 5 or runway_days < 2", True, id="the one opens, the other keeps open"),
        pytest.param("runway_days < 2 or remaining < 5", True, id="in either order"),
        pytest.param("not (remaining >= 5 and runway_days >= 2)", True, id="in other words"),
        pytest.param("auto_topup or runway_days < 2", True, id="true or false"),
        pytest.param("runway_days < 2", False, id="it opens nothing either"),
        pytest.param("remaining < 5 and runway_days < 2", False, id="the other ends it"),
        pytest.param("remaining < 5 or coalesce(runway_days, 9) < 2", False, id="with something in its place"),
        pytest.param("remaining < 5 or runway_days < 2 and auto_topup", False, id="which may be ruled out"),
        pytest.param("remaining < 5", False, id="it is not read"),
        pytest.param("remaining < 5 or used > 7", False, id="nothing is unknown"),
        pytest.param('status == "past_due" or runway_days < 2', False, id="a text is not guessed"),
        pytest.param(
            "remaining + used + granted + limit + amount + value + failures + overage < 5 or runway_days < 2",
            True,
            id="many",
        ),
    ],
)
def test_never_ends(text: str, is_endless: bool) -> None:
    assert never_ends(compile_condition(text, FIELD_TYPES.get), {"runway_days"}) is is_endless


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-1000, max_value=1000), st.booleans())
def test_what_never_ends_is_never_false(remaining: object, topup: bool) -> None:
    known = {"remaining": remaining, "auto_topup": topup}
    for text in ("remaining < 5 or runway_days < 2", "not (auto_topup and runway_days > 2 and remaining > 0)"):
        condition = compile_condition(text, FIELD_TYPES.get)
        assert never_ends(condition, {"runway_days"})
        assert condition.truth(lambda name: known.get(name, UNKNOWN)) is not False  # type: ignore[arg-type,return-value]  # all are values
