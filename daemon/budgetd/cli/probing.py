"""`probe`: polls one account once, and shows where each value came from."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from budgetd import json_shapes
from budgetd.cli.invocation import (
    ConfigOption,
    JsonOption,
    load_outline,
    make_page,
    print_json,
    read_clock,
    require_accounts,
)
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.cli.meter_tables import tell_poll
from budgetd.collect.sources import Source
from budgetd.http import Client
from budgetd.planning import make_sources
from budgetd.probing import Exchange, Found, ListSeen, Probe, RequestSeen, ValueSeen
from budgetd.probing import probe as probe_once
from budgetd_rules.encoding import write_value
from budgetd_rules.meters import view

_STYLES = {
    Found.READ: "",
    Found.NULL: "yellow",
    Found.ABSENT: "yellow",
    Found.MALFORMED: "red",
    Found.NOT_ANSWERED: "red",
}


def probe(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's name.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Poll an account once and show where each value came from. Stores nothing, sends no messages.

    Of headers, and of fields in the body that nothing reads, only the names are shown. Exits with 1 if the poll failed.
    """
    outline, now = load_outline(config), read_clock()
    sources = make_sources(outline, require_accounts([account], outline))
    found = asyncio.run(_probe(sources[account], now))
    stale_after = outline.accounts[account].stale_after
    viewed = [view(reading, now, stale_after) for reading in found.poll.readings]
    if as_json:
        print_json(
            json_shapes.poll_json(found.poll, viewed) | {"requests": [_request_json(one) for one in found.requests]}
        )
    else:
        page = make_page(outline, now)
        for one in found.requests:
            _tell(page, one)
        tell_poll(page, found.poll, viewed)
    if found.poll.outages:
        raise typer.Exit(1)


async def _probe(source: Source, now: datetime) -> Probe:
    async with aclosing(Client()) as client:
        return await probe_once(source, client, now)


# --- for people


def _tell(page: Page, one: RequestSeen) -> None:
    for line in _head(one):
        page.say(line, "bold")
    if one.values or one.lists:
        table = make_table("value", "what came", "from")
        for value in one.values:
            table.add_row(value.name, Text(_what(page, value), style=_STYLES[value.found]), _where(value))
        for listed in one.lists:
            for name, what, place in _list_rows(listed):
                table.add_row(name, what, place)
        print_table(page.console, table)
    for line in _rest(one):
        page.say(f"  {''.join(letter if letter.isprintable() else ' ' for letter in line)}")
    page.say("")


def _head(one: RequestSeen) -> Iterator[str]:
    if not one.exchanges:
        yield f"{one.name}: not sent: it is made of what another request brings"
    for exchange in one.exchanges:
        yield f"{one.name}: {exchange.method} {exchange.url}"
        yield f"  {_outcome(exchange)}"


def _outcome(exchange: Exchange) -> str:
    took = f"in {exchange.took / timedelta(milliseconds=1):.0f} ms"
    return (
        exchange.failure + f" {took}"
        if exchange.status is None
        else f"HTTP {exchange.status} {took}, {exchange.size:,} bytes"
    )


def _what(page: Page, value: ValueSeen) -> str:
    if value.found is Found.READ:
        return page.show(value.value)
    perhaps = f"; is it {value.near}?" if value.near else ""
    return f"{value.found}: {value.fault}" if value.fault else f"{value.found}{perhaps}"


def _where(value: ValueSeen) -> str:
    if not value.tried:
        return " ".join(value.place.split())
    others = [name for name in value.tried if name != value.place]
    if value.place:
        return f"header {value.place}" + (f" (not {', '.join(others)})" if others else "")
    return f"header {' or '.join(others)}"


def _list_rows(one: ListSeen) -> Iterator[tuple[str, str, str]]:
    """The list, and which fields were read from its items."""
    items = "not there" if one.items is None else "1 item" if one.items == 1 else f"{one.items} items"
    yield f"{one.meter}/…", items, " ".join(one.place.split())
    for text, count in one.parts.items() if one.items else ():
        yield "", "in each" if count == one.items else f"in {count} of {one.items}", f"item.{text}"


def _rest(one: RequestSeen) -> Iterator[str]:
    names = [header.name for header in one.headers]
    perhaps = [header.name for header in one.headers if header.perhaps]
    if names:
        yield f"headers that came: {', '.join(names)}"
    if perhaps:
        yield f"perhaps a quota: map it? {', '.join(perhaps)}"
    if one.unread:
        unread = (f"{field.name} ({field.type})" if field.type else field.name for field in one.unread)
        yield f"fields that nothing reads: {', '.join(unread)}"


# --- for scripts


def _request_json(one: RequestSeen) -> json_shapes.Json:
    return {
        "request": one.name,
        "sent": [
            {
                "method": each.method,
                "url": each.url,
                "status": each.status,
                "took_ms": round(each.took / timedelta(milliseconds=1)),
                "bytes": each.size,
                "failure": each.failure or None,
            }
            for each in one.exchanges
        ],
        "values": [
            {
                "value": value.name,
                "found": value.found,
                "from": "header" if value.tried else "body",
                "place": value.place or None,
                "tried": list(value.tried),
                "read": write_value(value.value),
                "fault": value.fault or None,
                "near": value.near,
            }
            for value in one.values
        ],
        "lists": [
            {"meter": listed.meter, "place": listed.place, "items": listed.items, "read": dict(listed.parts)}
            for listed in one.lists
        ],
        "headers": [
            {"header": header.name, "values": list(header.values), "perhaps_a_quota": header.perhaps}
            for header in one.headers
        ],
        "unread": [{"field": field.name, "type": field.type or None} for field in one.unread],
    }
