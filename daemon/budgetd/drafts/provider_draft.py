"""The steps of `budgetd providers new`: from a sample answer to a provider file that loads."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path

from budgetd.collect.provider import Provider, load_provider
from budgetd.drafts.drafting import propose
from budgetd.drafts.proposal import Proposal
from budgetd.drafts.provider_text import Wanted, provider_text
from budgetd.errors import BudgetdError, UsageError


def read_sample(text: bytes, where: str) -> object:
    """Every number exact. Raises UsageError, which does not quote the sample."""
    try:
        document: object = json.loads(text.decode("utf-8-sig"), parse_float=Decimal, parse_int=Decimal)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: is no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (UnicodeDecodeError, ValueError, ArithmeticError, RecursionError) as error:
        raise UsageError(f"{where}: is no JSON in UTF-8") from error
    if not isinstance(document, dict | list):
        raise UsageError(f"{where}: is neither an object nor a list: a vendor's whole answer is wanted")
    return document


def draft_provider(wanted: Wanted, document: object, where: str) -> tuple[str, Proposal]:
    """The file's text, and what it proposes. Raises UsageError where there is nothing in the sample to begin with."""
    proposal = propose(document)
    if not proposal.meters:
        rest = "".join(f"\n  {path} ({noun})" for path, noun in proposal.left_over)
        raise UsageError(
            f"{where}: no name in it tells what is left, used, granted, owed or when it ends; write the file by hand, "
            f"as docs/providers.md shows{'. It has' + rest if rest else ''}"
        )
    text = provider_text(wanted, proposal)
    check_loads(wanted.name, text)
    return text, proposal


def check_loads(name: str, text: str) -> Provider:
    """Checked by the loader of the service."""
    with tempfile.TemporaryDirectory(prefix="budgetd-") as folder:
        file = Path(folder) / f"{name}.toml"
        file.write_text(text, encoding="utf-8")
        try:
            return load_provider(file)
        except BudgetdError as error:
            problems = str(error).replace(f"{file}: ", "")
            raise BudgetdError(f"the draft would not load, which is a mistake of ours: {problems}") from error
