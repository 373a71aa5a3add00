"""`init`: writes a first config, from a few questions or from options alone, and tries it before writing."""

from collections.abc import Sequence
from typing import Annotated

import typer

from budgetd.advice import warnings
from budgetd.cli.asking import confirm, is_terminal
from budgetd.cli.first_account import begin_account, try_account
from budgetd.cli.first_channel import settle_channel
from budgetd.cli.first_twin import settle_twin
from budgetd.cli.init_options import SecretWish, Wish, read_params
from budgetd.cli.invocation import ConfigOption
from budgetd.collect.provider import load_shelf
from budgetd.config import Config, ConfigFile, load_config
from budgetd.config_paths import default_config, own_providers
from budgetd.drafts.config_text import AccountDraft, ChannelDraft, RuleDraft, added_text, config_text, draft_rules
from budgetd.drafts.config_trial import trial_config
from budgetd.drafts.files import PRIVATE, require_writable, rewrite_file, write_file
from budgetd.drafts.kept import write_kept
from budgetd.errors import BudgetdError, UsageError
from budgetd.planning import make_channel, make_outline, make_sources
from budgetd_rules.wording import show

_Name = Annotated[str | None, typer.Option(metavar="NAME", help="The vendor, as listed by `budgetd providers`.")]


def init(
    provider: _Name = None,
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="The account's name. Default: the vendor's.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds the key.")
    ] = None,
    key_file: Annotated[str | None, typer.Option(metavar="PATH", help="File that holds the key.")] = None,
    key_credential: Annotated[
        str | None, typer.Option(metavar="NAME", help="systemd credential that holds the key.")
    ] = None,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the key from the first line of standard input.")
    ] = False,
    param: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="What else the vendor needs.")] = None,
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Another base URL for the vendor's API.")] = None,
    channel_name: Annotated[str | None, typer.Option(metavar="NAME", help="The channel's name. Default: ops.")] = None,
    channel_env: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Environment variable that holds its Apprise URL.")
    ] = None,
    channel_file: Annotated[str | None, typer.Option(metavar="PATH", help="File that holds its Apprise URL.")] = None,
    channel_credential: Annotated[
        str | None, typer.Option(metavar="NAME", help="systemd credential that holds its Apprise URL.")
    ] = None,
    channel_stdin: Annotated[
        bool, typer.Option("--channel-stdin", help="Read its URL from the next line of standard input.")
    ] = False,
    send: Annotated[bool, typer.Option("--send-test", help="Send a test message through the channel.")] = False,
    no_poll: Annotated[bool, typer.Option("--no-poll", help="Do not poll to try the key.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask no questions.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing config.")] = False,
    add: Annotated[bool, typer.Option("--add", help="Add an account to an existing config.")] = False,
    config: ConfigOption = None,
) -> None:
    """Write a first config. It asks for a vendor, a key and a channel, polls once, and proposes rules.

    Keys and URLs that you type are written to separate files that nobody else can read. Options answer questions in
    advance; with --yes, or without a terminal, no questions are asked.
    """
    wish = Wish(
        asks=is_terminal() and not yes,
        provider=provider,
        account=account,
        key=SecretWish(option="--key", env=key_env, file=key_file, credential=key_credential, stdin=key_stdin),
        params=read_params(param or []),
        base_url=base_url,
        channel=SecretWish(
            option="--channel",
            env=channel_env,
            file=channel_file,
            credential=channel_credential,
            stdin=channel_stdin,
        ),
        channel_name=channel_name,
        sends_test=send,
        polls=not no_poll,
        force=force,
        adds=add,
        config=config,
    )
    _Start(wish).run()


class _Start:
    """1. where  2. the account  3. a poll, and is it new?  4. a channel  5. the text, checked  6. files."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._target = default_config(wish.config)
        require_writable(self._target)
        self._before, self._taken = "", ConfigFile()
        if wish.adds:
            config = load_config(self._target)
            make_outline(config)
            self._before, self._taken = self._target.read_text(encoding="utf-8-sig"), config.file
        elif self._target.exists() and not wish.force:
            raise UsageError(f"{self._target} is there already; --add adds an account to it, --force replaces it")

    def run(self) -> None:
        shelf = load_shelf(own_providers(self._target))
        shelf.raise_problems()
        begun = begin_account(self._wish, shelf.providers, self._taken.accounts, self._target.parent)
        make_outline(self._trial(begun))
        tried = try_account(self._wish, begun, lambda one: make_outline(self._trial(one)))
        tried = settle_twin(self._wish, tried, make_outline(self._trial(tried.account)))
        channel = settle_channel(self._wish, self._taken.channels, self._target.parent)
        rules = draft_rules(tried.views)
        outline = make_outline(self._trial(tried.account, channel, rules))
        for rule in rules:
            print(f"rule {rule.name}: no percentage is known, so it goes by the {show(rule.remaining)} now left")
        for warning in warnings(outline):
            print(f"warning: {warning}")
        if self._wish.asks and not confirm(f"Write {self._target}?"):
            raise BudgetdError("nothing is written")
        self._write(self._text(tried.account, channel, rules), tried.account, channel)

    def _trial(
        self, account: AccountDraft, channel: ChannelDraft | None = None, rules: Sequence[RuleDraft] = ()
    ) -> Config:
        return trial_config(self._text(account, channel, rules), self._target, account, channel)

    def _text(self, account: AccountDraft, channel: ChannelDraft | None, rules: Sequence[RuleDraft]) -> str:
        if not self._wish.adds:
            return config_text(account, channel, rules)
        return self._before.rstrip("\n") + "\n" + added_text(account, channel, rules)

    def _write(self, text: str, account: AccountDraft, channel: ChannelDraft | None) -> None:
        kept = [*account.kept, *([channel.url] if channel else [])]
        written = write_kept(kept, self._target.parent, force=self._wish.force)
        try:
            if self._wish.adds:
                rewrite_file(self._target, text)
            else:
                write_file(self._target, text, PRIVATE, force=self._wish.force)
        except BudgetdError:
            for path in written:
                path.unlink()
            raise
        for path in [self._target, *written]:
            print(f"{path}: written")
        # Only the service can read systemd credentials.
        if self._wish.polls and not any(one.source.credential for one in kept):
            self._read_again(account, channel)
        self._tell_next()

    def _read_again(self, account: AccountDraft, channel: ChannelDraft | None) -> None:
        """Reports what is wrong with a config that was written anyway. Raises ConfigError."""
        outline = make_outline(load_config(self._target))
        make_sources(outline, [account.name])
        if channel:
            make_channel(outline, channel.name)

    def _tell_next(self) -> None:
        where = f" -c {self._target}" if self._wish.config else ""
        print(f"Next: budgetd check{where}, then budgetd run{where}")
