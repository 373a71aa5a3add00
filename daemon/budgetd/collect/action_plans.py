"""From the tables of a provider file to the plans of its actions. Checks that what their templates name is given."""

from collections.abc import Iterator

from budgetd.collect.paths import compile_path
from budgetd.collect.plans import Action, Arg, RequestPlan
from budgetd.collect.request_tables import ActionTable
from budgetd.collect.tables import ProviderTable
from budgetd.collect.templates import is_braced, names_in, texts_in
from budgetd.validation import did_you_mean


def plan_actions(table: ProviderTable, problems: list[str]) -> dict[str, Action]:
    """By name; what is wrong with them is added to `problems`."""
    for name, action in table.actions.items():
        problems += [f"actions.{name}.{fault}" for fault in _find_faults(table, action)]
    return {name: _plan(name, action, table) for name, action in table.actions.items()}


def _find_faults(table: ProviderTable, action: ActionTable) -> Iterator[str]:
    texts = [("path", action.path), *(("json", text) for text in texts_in(action.body_json))]
    named = set[str]()
    for key, text in texts:
        for name in names_in(text):
            named.add(name)
            if name not in action.args and name not in table.params:
                hint = did_you_mean(name, [*action.args, *table.params])
                yield f"{key}: {{{name}}} is neither one of args nor one of [params]{hint}"
    if is_braced(action.path):
        yield "path: has a brace without a name in it"
    for name in action.args:
        if name in table.params:
            yield f"args.{name}: is one of [params] too; rename one of them"
        elif name not in named:
            yield f"args.{name}: is named nowhere, so it would be asked for and not sent"


def _plan(name: str, action: ActionTable, table: ProviderTable) -> Action:
    return Action(
        name=name,
        title=action.title,
        request=RequestPlan(
            name=name,
            method=action.method,
            path=action.path,
            query={},
            headers={},
            json=action.body_json,
            times=frozenset(),
            needs={},
            optional=False,
            body="any",
            unwrap=(),
            undocumented=False,
            ignored=(),
            success=compile_path(table.success) if table.success is not None else None,
            values=(),
            pages=None,
        ),
        args={key: Arg(**arg.model_dump()) for key, arg in action.args.items()},
        shows={label: compile_path(path) for label, path in action.shows.items()},
    )
