"""Header names that an account sets in place of those in its provider file."""

from collections.abc import Mapping
from dataclasses import replace

from budgetd.collect.plans import RequestPlan
from budgetd.collect.provider import Provider
from budgetd.errors import ConfigError
from budgetd.validation import did_you_mean

Names = Mapping[str, tuple[str, ...]]
"""value -> the names of the header to look for, in order, instead of those of the file."""


def override_headers(account: str, provider: Provider, names: Names) -> Provider:
    """The provider with these names. Raises ConfigError, a line for each value that does not come from a header."""
    if not names:
        return provider
    values = {value.name: value for plan in provider.requests for value in plan.values}
    problems = []
    for name in names.keys() - {name for name, value in values.items() if value.header}:
        hint = did_you_mean(name, [each for each, value in values.items() if value.header])
        what = "stands in the body, not in a header" if name in values else f"{provider.title} has no such value{hint}"
        problems.append(f"accounts.{account}.headers.{name}: {what}")
    if problems:
        raise ConfigError(sorted(problems))
    return replace(provider, requests=tuple(_override(plan, names) for plan in provider.requests))


def _override(plan: RequestPlan, names: Names) -> RequestPlan:
    values = tuple(
        replace(value, header=replace(value.header, names=tuple(name.lower() for name in names[value.name])))
        if value.header and value.name in names
        else value
        for value in plan.values
    )
    return replace(plan, values=values)
