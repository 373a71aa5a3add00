"""Hostile texts (markup, links, mentions, headers) in every place that a vendor or a config can fill."""

import functools
import re
import unicodedata
from dataclasses import replace
from datetime import UTC
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt

from budgetd_rules.entries import Fact
from budgetd_rules.kinds import Kind
from budgetd_rules.lines import Line, Told
from budgetd_rules.memory import ChangeKind
from budgetd_rules.messages import Message, compose
from budgetd_rules.meters import Account, Reading, view
from build import STALE_AFTER, account, change, episode, minutes, reading, rule

TEXTS: Final = {
    "everyone in Slack": "<!channel> <!here|here> <!everyone> <!subteam^S123>",
    "somebody in Slack": "<@U123ABC> <#C123|general>",
    "everyone": "@everyone @here @channel @all",
    "everyone, within a word": "x@everyone ops@here.com root@channel.example a@all.example",
    "somebody in Discord": "<@123456789012345678> <@&123456789012345678> <@!1> x@123456789012345678.example",
    "everyone in Zulip": "@**all** @_**x** @*group*",
    "other tokens of Discord": "<t:0:R> </cmd:1> <:emoji:1> <id:browse>",
    "a link of Slack": "<https://evil.example|pay> <mailto:a@evil.example|mail>",
    "a link of Markdown": "[pay](https://evil.example) [pay](<https://evil.example>) ![x](https://evil.example/x.png)",
    "a reference of Markdown": "[pay][1] [1]: https://evil.example",
    "a bare link": "https://evil.example HTTP://evil.example www.evil.example",
    "an automatic link": "<https://evil.example> <a@evil.example>",
    "a script": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "the end of an attribute": "\"><a href='https://evil.example'>x</a>",
    "entities": "&lt;!here&gt; &#60;b&#62; &amp;lt;",
    "emphasis": "*bold* _italic_ ~gone~ `code`",
    "more emphasis": "**b** __u__ ~~s~~ ||spoiler|| ***x*** _a _b",
    "a fence": "```\ncode\n```",
    "a heading": "# heading\n## two\n===",
    "a quote": "> quote\n>>> more",
    "a list": "- item\n* item\n1. item",
    "a rule": "---\n***",
    "a table": "| a | b |\n|---|---|",
    "backslashes": "\\ \\* \\` \\[x\\]\\(y\\) \\",
    "a header": "a\r\nBcc: victim@evil.example\r\nSubject: other",
    "the end of the headers": "a\r\n\r\n<b>body</b>",
    "the end of a mail": "a\r\n.\r\nMAIL FROM:<x@evil.example>",
    "unseen characters": "a\x00b\x1b[31mc\u202eevil\u200b\ufeffd\u2028e\ud800f",
    "schemes": "javascript:alert(1) mailto:a@evil.example data:text/html,x",
    "a template": "{{ 7*7 }} {% for x in y %} %s %(x)s {0} ${x}",
    "a room of Mattermost": "~town-square",
    "far too long": "x" * 5_000,
}


@functools.cache
def message_of(text: str, *, several: bool = False) -> Message:
    """A message with the text in every place that a vendor or a config can fill."""
    mine = replace(account(), title=text, owner=text, at_zero=text, labels={"team": text})
    readings = [
        reading(f"sub/{text}", Kind.SUBSCRIPTION, unit=text, plan=text, status=text, days_until_expiry=1),
        reading(f"usage/{text}", Kind.SPEND, unit=text, amount=5, limit=9, currency=text),
        reading("connection", Kind.CONNECTION, failures=2, cause=text, detail=text),
    ]
    facts = [_opened(one, mine, text) for one in readings] + [_noted(readings[0], mine, text)]
    return compose(facts if several else facts[:1], UTC, minutes(5))


def _opened(one: Reading, mine: Account, text: str) -> Fact:
    """Its rule compares with the text, where it may; texts in conditions have neither quotes nor backslashes."""
    of = episode(meter=one.key.meter)
    line = Line(told=Told.OPENED, episode=of, change=change(ChangeKind.OPENED, of), notices=("e1.1@ops",))
    wanted = "".join(each for each in text if each.isprintable() and each not in "\\\"'")[:300]
    conditions = {
        Kind.SUBSCRIPTION: f"days_until_expiry<9 and 2*3<days_until_expiry*2 or status == '{wanted}'",
        Kind.SPEND: f'currency in ["{wanted}", "x"]',
        Kind.CONNECTION: f"cause == '{wanted}'",
    }
    watching = rule(kind=one.kind, warning=conditions[one.kind], critical=None)
    return Fact(line=line, account=mine, rule=watching, view=view(one, minutes(5), STALE_AFTER))


def _noted(one: Reading, mine: Account, text: str) -> Fact:
    noted = replace(change(ChangeKind.NOTED), episode=None, values={"plan": text}, before={"plan": text})
    line = Line(told=Told.NOTED, episode=None, change=noted, notices=("e1.1@ops",))
    return Fact(line=line, account=mine, rule=None, view=view(one, minutes(5), STALE_AFTER))


# --- what a service would make of it

LINK: Final = "https://dashboard.example/billing"


def assert_plain(text: str) -> None:
    """For services that read markup into plain text: nothing that any of them would read."""
    unseen = {each for each in text if unicodedata.category(each) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}}
    assert unseen <= set("\r\n")
    assert_tells_nobody(text)
    assert not re.search(r"`|\||~|\*\S|<\S|\S>|(?<![^\W_])_|_(?![^\W_])", text.replace("]", "").replace("[", ""))
    assert not re.search(r"\]\s?[(\[:]", text)
    assert not re.search(r"^\s*(Bcc|Subject|MAIL)", text, re.MULTILINE)


def assert_tells_nobody(text: str) -> None:
    """No mention, in the ways of Slack, Discord, Mattermost or Zulip, and no link but that of the config."""
    assert not re.search(r"<[@#!:/]|(?<![\w+-])@\S|@(everyone|here|channel|all)\b|@\*|@\d{5}", text, re.IGNORECASE)
    assert not re.search(r"://\S|\bwww\.\S", text.replace(LINK, ""), re.IGNORECASE)


def assert_mrkdwn(text: str, plain: str) -> None:
    """Slack's: the same marks as in a message of which nothing is nasty, and `& < >` only as it escapes them."""
    assert_tells_nobody(text)
    assert not re.search(r"&(?!(amp|lt|gt);)|[<>]", text.replace(f"<{LINK}>", ""))
    assert re.findall(r"[*`]|<|(?<![^\W_])_|_(?![^\W_])|~|^[#>-]", text, re.MULTILINE) == re.findall(
        r"[*`<]", plain, re.MULTILINE
    )


def assert_markdown(text: str, plain: str) -> None:
    """A parser of CommonMark sees the same as in a message of which nothing is nasty."""
    assert_tells_nobody(text)
    assert _tokens(text) == _tokens(plain)


@functools.cache
def _tokens(text: str) -> list[tuple[str, str]]:
    inline = [token.children or [token] for token in MarkdownIt("commonmark").enable("strikethrough").parse(text)]
    tokens = [token for tokens in inline for token in tokens if token.type != "text"]
    return [(token.type, str(token.attrs)) for token in tokens]


def assert_html(text: str, plain: str) -> None:
    """A browser sees the same tags and attributes as in a message of which nothing is nasty."""
    (tags, shown), (wanted, _) = _tags(text), _tags(plain)
    assert_tells_nobody(shown)
    assert tags == wanted


def _tags(text: str) -> tuple[list[tuple[str, str]], str]:
    """The tags with their attributes, and the visible text."""
    found: list[tuple[str, str]] = []
    shown: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, str(attrs)))

        def handle_endtag(self, tag: str) -> None:
            found.append((f"/{tag}", ""))

        def handle_comment(self, data: str) -> None:
            found.append(("comment", data))

        def handle_data(self, data: str) -> None:
            shown.append(data)

    parser = Parser()
    parser.feed(text)
    parser.close()
    return found, "\n".join(shown)
