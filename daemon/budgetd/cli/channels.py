"""`budgetd channels`: real messages through the channels of the config."""

import asyncio
from datetime import timedelta
from typing import Annotated, Final

import typer

from budgetd.cli.invocation import ConfigOption, load_outline, read_clock, require_channel
from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Sent
from budgetd.deliver.send_failures import hint
from budgetd.errors import BudgetdError
from budgetd.network import Proxies
from budgetd.planning import make_channel
from budgetd.store.notices import Outcome
from budgetd_rules.formats import Block, Format, Row
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from budgetd_rules.samples import Sample, sample

channels_app = typer.Typer(help="Send a test message through a channel.", no_args_is_help=True)

_FORMATS: Final = {Format.TEXT: "plain text", Format.MARKDOWN: "Markdown", Format.HTML: "HTML"}


@channels_app.command("test")
def channels_test(
    name: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's name.")],
    config: ConfigOption = None,
    which: Annotated[
        Sample | None,
        typer.Option("--sample", help="Send a sample message of this kind, with the channel's templates."),
    ] = None,
) -> None:
    """Send a real message through a channel. Shows what the service answered; exits with 1 if it failed."""
    outline = load_outline(config)
    require_channel(name, outline)
    url, template = make_channel(outline, name)
    channel = Channel(name, url, template=template if which else None)
    zone = outline.routing.quiet[name].zone
    message = sample(which, zone, read_clock()) if which else _greeting(name)
    print(_send(channel, message))


def send_test(name: str, url: Secret) -> str:
    """Describes how it was sent. Raises BudgetdError if it failed."""
    return _send(Channel(name, url), _greeting(name))


def _send(channel: Channel, message: Message) -> str:
    Proxies()  # raises; what a channel's library says of one that is none would show its password
    sent = asyncio.run(_write_and_send(channel, message))
    how = f"as {_FORMATS[channel.format]}, {sent.took / timedelta(milliseconds=1):.0f} ms"
    if sent.outcome is Outcome.OK:
        return f"channel {channel.name}: sent {how}"
    advice = hint(sent.error or "")
    failed = f"channel {channel.name}: {sent.outcome} {how}: {sent.error}"
    raise BudgetdError(failed + (f"; {advice}" if advice else ""))


async def _write_and_send(channel: Channel, message: Message) -> Sent:
    return await channel.send(await channel.write(message))


def _greeting(name: str) -> Message:
    row = Row("", ("budgetd can reach you here. This is only a test.",))
    return Message(title=f"TEST of the channel {name}", level=Level.INFO, blocks=(Block((row,)),))
