"""Asks `init`'s questions about the channel: its URL, and whether to send a test message."""

from collections.abc import Collection
from pathlib import Path

from budgetd.cli.asking import ask_secret, choose, confirm
from budgetd.cli.channels import send_test
from budgetd.cli.init_options import Wish
from budgetd.credentials import Secret, SecretUnavailableError, read_secret
from budgetd.deliver.channels import url_problem
from budgetd.drafts.config_text import ChannelDraft
from budgetd.drafts.files import require_free
from budgetd.drafts.kept import FORMS, Kept, keep
from budgetd.errors import BudgetdError, UsageError

_QUESTION = f"Where to tell you: an Apprise URL, such as a Slack webhook (not shown; or {FORMS}; Enter for nowhere yet)"


def settle_channel(wish: Wish, taken: Collection[str], folder: Path) -> ChannelDraft | None:
    """Returns None if no channel is wanted yet. Raises BudgetdError."""
    if not (wish.asks or wish.channel.is_given):
        return None
    names = [wish.channel_name] if wish.channel_name else ["ops", *(f"ops-{number}" for number in range(2, 999))]
    name = next((name for name in names if name not in taken), None)
    if name is None:
        raise UsageError(f"--channel-name: {wish.channel_name} is taken; choose another")
    given = wish.channel.kept(f"{name}.url")
    while kept := given or _ask_url(f"{name}.url"):
        if _is_usable(wish, name, kept, folder):
            return ChannelDraft(name=name, url=kept)
        given = None
    return None


def _ask_url(file: str) -> Kept | None:
    while said := ask_secret(_QUESTION):
        try:
            return keep(said, file)
        except ValueError as error:
            print(f"  {error}")
    return None


def _is_usable(wish: Wish, name: str, kept: Kept, folder: Path) -> bool:
    """Whether to write the channel: it is valid, and the test message, if wanted, was sent."""
    if kept.source.credential is not None:
        return True
    try:
        url = kept.literal or read_secret(kept.source, folder)
        problem = url_problem(url)
    except SecretUnavailableError as error:
        problem = str(error)
    if kept.literal:
        require_free(folder / f"{name}.url", force=wish.force)
    if problem is None:
        return _test(wish, name, url)
    if not wish.asks:
        raise UsageError(f"--channel: {problem}")
    print(f"  {problem}")
    return False


def _test(wish: Wish, name: str, url: Secret) -> bool:
    if not (wish.sends_test or (wish.asks and confirm("Send a test message now?"))):
        return True
    try:
        print(send_test(name, url))
    except BudgetdError as error:
        if not wish.asks:
            raise
        print(error)
        answer = choose("That did not work", {"a": "another URL", "w": "write it anyway", "q": "quit"})
        if answer == "q":
            raise BudgetdError("nothing is written") from error
        return answer == "w"
    return True
