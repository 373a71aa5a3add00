"""`providers`: lists the known vendors, including the user's own, and drafts a file for another one."""

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from budgetd.cli.invocation import ConfigOption, JsonOption, make_console, print_json, read_clock, require_known
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.collect.plans import Meter, Param
from budgetd.collect.provider import Provider, Shelf, load_shelf
from budgetd.config_paths import default_config, find_config, own_providers
from budgetd.drafts.addresses import read_address
from budgetd.drafts.files import READABLE, require_free, write_file
from budgetd.drafts.proposal import Proposal
from budgetd.drafts.provider_draft import draft_provider, read_sample
from budgetd.drafts.provider_text import Wanted
from budgetd.durations import format_duration
from budgetd.errors import ConfigError, UsageError
from budgetd.http import MAX_BYTES
from budgetd.provider_shapes import provider_json
from budgetd_rules.kinds import KINDS

_MOST_NAMED: Final = 6
_EVIDENCE: Final[Mapping[str, str]] = {
    "confirmed": "confirmed by the vendor's own documents",
    "secondary": "secondary: from others' documents and code",
}


class _ListByDefault(TyperGroup):
    """`budgetd providers` and `budgetd providers cekura` are short for `budgetd providers list ...`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # what typer passes
        is_whole = args and args[0] in (*self.commands, *self.get_help_option_names(ctx))
        return super().parse_args(ctx, args if is_whole else ["list", *args])


providers_app = typer.Typer(
    help="List the providers, show the meters of one, or draft one.\n\n"
    "`budgetd providers cekura` is short for `budgetd providers list cekura`.",
    cls=_ListByDefault,
)


@providers_app.command("list")
def list_providers(
    name: Annotated[
        str | None, typer.Argument(metavar="PROVIDER", help="The provider to show in full. Default: list all.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the providers and their meters. Needs no config; your own providers are in providers.d beside it."""
    shelf = load_shelf(_own_folder(config))
    if name is not None and name not in shelf.problems:
        require_known([name], list(shelf.providers), "provider", "`budgetd providers` lists them")
    shown = [one for _, one in sorted(shelf.providers.items()) if name in (None, one.name)]
    page = Page(make_console(), UTC, read_clock())
    if as_json:
        files = {name: str(file) for name, file in shelf.own.items()}
        print_json([provider_json(one) | {"file": files.get(one.name)} for one in shown])
    elif name is None:
        _tell_providers(page, shown)
    else:
        for one in shown:
            _tell_provider(page, one)
    if not as_json:
        _tell_own(page, shelf, shown)
    shelf.raise_problems()


def _own_folder(config: Path | None) -> Path | None:
    try:
        return own_providers(find_config(config))
    except ConfigError:  # without a config there is no folder beside it
        return None


def _tell_providers(page: Page, providers: Iterable[Provider]) -> None:
    table = make_table("provider", "vendor", "what is read", "evidence")
    for one in providers:
        names = list(map(_name, one.meters.values()))
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        table.add_row(one.name, one.title, ", ".join(names[:_MOST_NAMED]) + more, one.evidence)
    print_table(page.console, table)


def _tell_provider(page: Page, one: Provider) -> None:
    page.say(f"{one.name}: {one.title}", "bold")
    page.say(f"  key:      {one.key_hint}")
    for name, param in one.params.items():
        page.say(f"  param:    {name}{_demand(param)}: {param.help}")
    page.say(f"  base_url: {one.base_url}")
    if one.rate_limit:
        span = format_duration(one.rate_limit.per)
        page.say(f"  takes:    {one.rate_limit.requests} requests in {span}, of all accounts together")
    page.say(f"  docs:     {one.docs}")
    page.say(f"  evidence: {_EVIDENCE[one.evidence]}")
    page.say("")
    table = make_table("meter", "kind", "unit", "fields")
    for meter in one.meters.values():
        fields = [name for name in KINDS[meter.kind].all if name in meter.gives]
        table.add_row(_name(meter), meter.kind, meter.unit, ", ".join(fields))
    print_table(page.console, table)


def _name(meter: Meter) -> str:
    """A meter made for each item of a list is shown as `schedule/…`."""
    return f"{meter.name}/…" if meter.each else meter.name


def _demand(param: Param) -> str:
    demands = ["required"] * param.required + ["secret"] * param.secret
    demands += [f"default {param.default}"] if param.default is not None else []
    return f" ({', '.join(demands)})" if demands else ""


def _tell_own(page: Page, shelf: Shelf, shown: list[Provider]) -> None:
    for one in shown:
        if one.name in shelf.own:
            replaces = ", instead of the one that ships" if one.name in shelf.replaced else ""
            page.say(f"\nyours: {one.name}, from {shelf.own[one.name]}{replaces}")


@providers_app.command("new")
def new_provider(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name to use in the config.")],
    sample: Annotated[
        str, typer.Option("--from-json", metavar="FILE", help="A file with a sample answer; - for standard input.")
    ],
    url: Annotated[str | None, typer.Option(metavar="URL", help="The URL that returned the sample.")] = None,
    header: Annotated[
        str | None, typer.Option(metavar="NAME", help="The header for the key. Default: Authorization: Bearer.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Default: providers.d/NAME.toml beside the config; - prints it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    config: ConfigOption = None,
) -> None:
    """Draft a provider file from a sample answer. Guesses from field names, and prints its guesses."""
    file = _new_file(name, out, config)
    if file:
        require_free(file, force=force)
    wanted = _wanted(name, url, header)
    where = "standard input" if sample == "-" else sample
    text, proposal = draft_provider(wanted, read_sample(_read_file(sample), where), where)
    if file is None:
        print(text, end="")
        return
    write_file(file, text, READABLE, force=force)
    _tell_draft(name, file, proposal)


def _new_file(name: str, out: str | None, config: Path | None) -> Path | None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name) or name in ("list", "new"):
        raise UsageError(f"{name!r} is no name for a provider: it has small letters, digits, dots, dashes, underscores")
    if out == "-":
        return None
    file = Path(out) if out else own_providers(default_config(config)) / f"{name}.toml"
    if file.name != f"{name}.toml":
        raise UsageError(f"--out: a provider's file is called as it is: {file.with_name(f'{name}.toml')}")
    return file


def _wanted(name: str, url: str | None, header: str | None) -> Wanted:
    if header is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", header):
        raise UsageError(
            "--header: expected the name of a header alone, such as X-Api-Key; the key is no part of the file"
        )
    try:
        address = read_address(url, has_header=header is not None) if url is not None else None
    except ValueError as error:
        raise UsageError(f"--url: {error}") from error
    return Wanted(name=name, address=address, header=header)


def _read_file(name: str) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_BYTES)
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{name}: can't be read: {error.strerror}") from error


def _tell_draft(name: str, file: Path, proposal: Proposal) -> None:
    print(f"{file}: written; a guess by names, so read it through")
    for meter in proposal.meters:
        each = "" if meter.each is None else f" for each of {'its items' if meter.each == '@' else meter.each}"
        fields = ", ".join(f"{field} = {draft.text}" for field, draft in meter.fields.items())
        print(f"  {meter.name} ({meter.kind}{each}): {fields}")
    if proposal.left_over:
        print(f"  not mapped, and listed at its end: {len(proposal.left_over)}")
    if name in load_shelf().providers:
        print(f"  it replaces the provider {name} that ships; another name keeps both")
    print(f'Next: an account with provider = "{name}" in the config, then `budgetd probe ACCOUNT`')
