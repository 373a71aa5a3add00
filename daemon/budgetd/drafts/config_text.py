"""The text of a first config, or of what is added to one: an account, a channel, and the rules for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from budgetd.drafts.kept import Kept
from budgetd.drafts.toml import inline_table, key_text, quoted
from budgetd_rules.kinds import Kind
from budgetd_rules.meters import View
from budgetd_rules.values import UNKNOWN
from budgetd_rules.wording import show

PACK: Final = "pack:essentials"
_HEAD: Final = f"""\
# Written by `budgetd init`. Every other setting is in config.example.toml.

[daemon]
# The zone of the times in messages, such as "Europe/Berlin".
timezone = "UTC"
# The rules that most people want. A table [rules.NAME] of the same name changes one of them, key by key.
include  = ["{PACK}"]
"""
# Of what is there now, as the pack has it of what was granted.
_WARNING, _CRITICAL = Decimal("0.2"), Decimal("0.05")
MOST_RULES: Final = 10


@dataclass(frozen=True, kw_only=True)
class AccountDraft:
    name: str
    provider: str
    key: Kept
    base_url: str | None = None
    params: Mapping[str, str | Kept] = field(default_factory=dict)
    same_as: str | None = None

    @property
    def kept(self) -> list[Kept]:
        return [self.key, *(param for param in self.params.values() if isinstance(param, Kept))]


@dataclass(frozen=True, kw_only=True)
class ChannelDraft:
    name: str
    url: Kept


@dataclass(frozen=True, kw_only=True)
class RuleDraft:
    """A balance of which nobody knows how much it was: a share of what was left when the rule was drafted."""

    name: str
    account: str
    meter: str
    remaining: Decimal
    unit: str


def draft_rules(views: Iterable[View]) -> list[RuleDraft]:
    """For the balances that the pack's percentages are blind to."""
    drafts = []
    for view in views:
        remaining = view.fields.get("remaining")
        has_share = view.fields.get("remaining_percent", UNKNOWN) is not UNKNOWN
        is_odd = any(letter in view.key.meter for letter in "*?[")
        if view.reading.kind is Kind.BALANCE and isinstance(remaining, Decimal) and not has_share and not is_odd:
            drafts.append(_draft_rule(view, remaining))
    return [draft for draft in drafts if draft.remaining > 0][:MOST_RULES]


def _draft_rule(view: View, remaining: Decimal) -> RuleDraft:
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in "-".join(view.key))
    currency = view.fields.get("currency")
    return RuleDraft(
        name=f"{name[:60]}-low".lower().replace("--", "-"),
        account=view.key.account,
        meter=view.key.meter,
        remaining=remaining,
        unit=currency if isinstance(currency, str) else view.reading.unit,
    )


def config_text(account: AccountDraft, channel: ChannelDraft | None, rules: Iterable[RuleDraft]) -> str:
    return _HEAD + added_text(account, channel, rules)


def added_text(account: AccountDraft, channel: ChannelDraft | None, rules: Iterable[RuleDraft]) -> str:
    """To be put at the end of a config that is there: all that it says are tables of their own."""
    lines = [*_account(account), *(_channel(channel) if channel else ())]
    for rule in rules:
        lines += _rule(rule)
    return "\n".join(lines) + "\n"


def _account(account: AccountDraft) -> Iterator[str]:
    yield f"\n[accounts.{key_text(account.name)}]"
    yield f"provider = {quoted(account.provider)}"
    yield f"api_key  = {account.key.text}"
    if account.base_url:
        yield f"base_url = {quoted(account.base_url)}"
    if account.params:
        params = {
            name: param.text if isinstance(param, Kept) else quoted(param) for name, param in account.params.items()
        }
        yield f"params   = {inline_table(params)}"
    if account.same_as:
        yield f"same_as  = {quoted(account.same_as)}"


def _channel(channel: ChannelDraft) -> Iterator[str]:
    yield f"\n[channels.{key_text(channel.name)}]"
    yield f"url = {channel.url.text}"


def _rule(rule: RuleDraft) -> Iterator[str]:
    warning, critical = _round(rule.remaining * _WARNING), _round(rule.remaining * _CRITICAL)
    now = f"{show(rule.remaining)} {_comment(rule.unit)}".strip()
    yield "\n# The vendor says what is left, and not of how much, so that no rule can know a percentage. These are a"
    yield f"# fifth and a twentieth of the {now} that were left when this was written. Choose your own."
    yield f"[rules.{key_text(rule.name)}]"
    yield f"on       = {{ account = {quoted(rule.account)}, meter = {quoted(rule.meter)} }}"
    yield f'warning  = "remaining < {warning:f}"'
    yield f'critical = "remaining < {critical:f}"'


def _comment(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:40]


def _round(number: Decimal) -> Decimal:
    """To two digits, which is as exact as such a guess is."""
    rounded = number.quantize(Decimal(1).scaleb(number.adjusted() - 1))
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded
