"""`same_as`: two accounts of the config that are one at the vendor, such as two keys of one workspace."""

from collections.abc import Mapping

from budgetd.config import AccountTable
from budgetd.validation import did_you_mean


def same_as_problem(name: str, accounts: Mapping[str, AccountTable]) -> str | None:
    """It names another of the same provider that is polled and judged itself, so there are no chains or circles."""
    table = accounts[name]
    if table.same_as is None:
        return None
    other = accounts.get(table.same_as)
    if other is None or other is table:
        return (
            f"no other account is named {table.same_as!r}{did_you_mean(table.same_as, [*(accounts.keys() - {name})])}"
        )
    if other.provider != table.provider:
        return f"{table.same_as} is of the provider {other.provider}, and this account of {table.provider}"
    if other.same_as is not None:
        return f"{table.same_as} has a same_as itself: name the account that is judged"
    if table.enabled and not other.enabled:
        return f"{table.same_as} is not enabled, so that nobody would hear of their meters"
    return None
