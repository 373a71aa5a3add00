"""`same_as`: two accounts of the config that are one at the vendor, such as two keys of one workspace."""

from collections.abc import Hashable, Mapping

from budgetd.collect.sources import Source
from budgetd.config import AccountTable
from budgetd.credentials import KeySource
from budgetd.validation import did_you_mean
from budgetd_rules.meters import Account


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


def find_twins(
    accounts: Mapping[str, Account], identities: Mapping[str, str | None], keys: Mapping[str, Hashable]
) -> dict[str, str]:
    """account -> an earlier one that is the same at the vendor, and is judged by itself as well.

    `identities` is the vendor's own id of each, as polls found it. `keys` is what each sends, which counts where the
    vendor gives no id.
    """
    twins: dict[str, str] = {}
    first: dict[Hashable, str] = {}
    for name, account in accounts.items():
        if account.same_as is not None:
            continue
        marks = {"id": identities.get(name), "key": keys.get(name)}
        for kind, mark in marks.items():
            other = first.setdefault((account.provider, kind, mark), name) if mark is not None else name
            is_told_apart = kind == "key" and marks["id"] is not None and identities.get(other) is not None
            if other != name and not is_told_apart:
                twins.setdefault(name, other)
    return twins


def key_of(source: Source, table: AccountTable) -> Hashable:
    """The same for two accounts whose requests are; a key that a command prints is known by its command."""
    command = table.api_key.command if isinstance(table.api_key, KeySource) else None
    return (source.maker.base, *sorted(source.maker.known.items()), source.secrets, command)
