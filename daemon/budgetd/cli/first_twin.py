"""Detects that an added account is already in the config: its messages would all be sent twice."""

from collections.abc import Hashable, Iterator
from dataclasses import replace

from budgetd.cli.asking import confirm
from budgetd.cli.first_account import Tried
from budgetd.cli.init_options import Wish
from budgetd.cli.invocation import load_identities
from budgetd.errors import ConfigError
from budgetd.planning import Outline, make_sources
from budgetd.same_as import find_twins, key_of


def settle_twin(wish: Wish, tried: Tried, outline: Outline) -> Tried:
    """Sets `same_as`, and drops the proposed rules, if it is the same account and the user agrees."""
    name = tried.account.name
    identities = {**load_identities(outline.config.state), name: tried.identity}
    first = find_twins(outline.accounts, identities, dict(_keys(outline, name))).get(name)
    if first is None:
        return tried
    same = f"at {outline.accounts[name].title} {name} is the same account as {first}"
    if wish.asks and confirm(f'{same}. Tell what happens only once, with same_as = "{first}"?'):
        return replace(tried, account=replace(tried.account, same_as=first), views=())
    print(f'warning: {same}, so all will be told twice; same_as = "{first}" would have it told only once')
    return tried


def _keys(outline: Outline, added: str) -> Iterator[tuple[str, Hashable]]:
    """Accounts at the same vendor. Those whose secrets can't be read here can't be compared."""
    for name, account in outline.accounts.items():
        if account.provider == outline.accounts[added].provider:
            try:
                source = make_sources(outline, [name])[name]
            except ConfigError:
                continue
            yield name, key_of(source, outline.config.file.accounts[name])
