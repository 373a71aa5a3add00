"""`test`: runs rule tests. The exit code is 1 if one failed, 78 if a file is invalid."""

from pathlib import Path
from typing import Annotated

import typer

from budgetd.cli.invocation import JsonOption, print_json
from budgetd.errors import ConfigError
from budgetd.ruletests.loading import Case, load_cases
from budgetd.ruletests.running import Result, run_case
from budgetd_rules.encoding import at


def run_tests(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="TOML files of rule tests.")],
    as_json: JsonOption = False,
) -> None:
    """Run rule tests. They check which messages a series of readings causes: see docs/testing-rules.md."""
    results = [run_case(case) for case in _load(files)]
    failed = [result for result in results if result.differences]
    if as_json:
        print_json([_json(result) for result in results])
    else:
        for result in failed:
            print(f"FAILED {result.file}: {result.name}")
            print("".join(f"    {line}\n" for line in "\n".join(result.differences).splitlines()))
        print(f"{len(failed)} of {_count(len(results))} failed" if failed else f"{_count(len(results))} passed")
    if failed:
        raise typer.Exit(1)


def _load(files: list[Path]) -> list[Case]:
    """Reads all files before any test runs, so that all problems are reported at once."""
    cases: list[Case] = []
    problems: list[str] = []
    for path in files:
        try:
            cases += load_cases(path)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return cases


def _count(tests: int) -> str:
    return f"{tests} test{'' if tests == 1 else 's'}"


def _json(result: Result) -> dict[str, object]:
    return {
        "file": str(result.file),
        "test": result.name,
        "passed": not result.differences,
        "differences": list(result.differences),
        "changes": [
            {
                "at": at(change.at),
                "change": change.kind,
                **change.key._asdict(),
                "from": change.old.label if change.old is not None else None,
                "to": change.new.label if change.new is not None else None,
                "reason": change.reason,
                "told": not change.unsaid,
            }
            for change in result.replayed.changes
        ],
        "messages": [
            {"at": at(sent.at), "channel": sent.channel, "title": sent.message.title, "body": sent.message.body}
            for sent in result.replayed.sent
        ],
    }
