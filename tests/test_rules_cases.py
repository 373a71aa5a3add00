"""Every rule test under tests/data/rules, each as a test of its own: what users run as `budgetd test FILE`."""

from pathlib import Path

import pytest

from budgetd.rulefiles import BUILT_IN, PACKS, read_tables
from budgetd.ruletests.loading import Case, load_cases
from budgetd.ruletests.running import run_case

FILES = sorted(Path(__file__).parent.glob("data/rules/*.toml"))
CASES = [pytest.param(case, id=f"{path.stem}: {case.table.name}") for path in FILES for case in load_cases(path)]


@pytest.mark.parametrize("case", CASES)
def test_case(case: Case) -> None:
    result = run_case(case)
    assert not result.differences, "\n".join(result.differences)


@pytest.mark.parametrize(
    ("pack", "tests"),
    [(BUILT_IN, "builtin.toml"), (PACKS / "essentials.toml", "essentials.toml")],
    ids=["builtin", "essentials"],
)
def test_every_rule_that_ships_is_seen_to_tell_something(pack: Path, tests: str) -> None:
    path = Path(__file__).parent / "data/rules" / tests
    told = {change.key.rule for case in load_cases(path) for change in run_case(case).replayed.changes}
    assert told >= read_tables(pack)[0]["rules"].keys()
