"""Slack, as its incoming webhooks are: the very payload that arrives there, and what its refusals become. And others
that live at one address of their own.

Apprise's Slack talks to https://hooks.slack.com and nowhere else, so that is where it is met: behind a proxy.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Sent
from budgetd.demo.loopback import Answer
from budgetd.store.notices import Outcome
from budgetd_rules.formats import Block, Row
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from budgetd_rules.samples import Sample, sample
from build import NOON
from faraway import Faraway
from nasty import TEXTS, assert_html, assert_mrkdwn, assert_plain, assert_tells_nobody, message_of

TEAM, HOOK, TOKEN = "T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"
NATIVE = f"https://hooks.slack.com/services/{TEAM}/{HOOK}/{TOKEN}"
SHORT = f"slack://{TEAM}/{HOOK}/{TOKEN}"
TELEGRAM = "tgram://123456789:AAEhBP0avTNbNVQXr1F8zR6-abcdefghijk/12345/"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
OPENED = sample(Sample.OPENED, UTC, NOON)


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Faraway]:
    with Faraway("hooks.slack.com", "slack.com", "discord.com", "api.telegram.org") as faraway:
        yield faraway


@pytest.fixture
def slack(everywhere: Faraway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Faraway:
    everywhere.point(monkeypatch, tmp_path)
    everywhere.requests.clear()
    everywhere.answer = lambda _: Answer(status=HTTPStatus.OK, body=b"ok")
    return everywhere


def send(url: str, message: Message = OPENED, timeout: timedelta = timedelta(seconds=10)) -> Sent:
    async def send() -> Sent:
        channel = Channel("ops", Secret(url), timeout)
        return await channel.send(await channel.write(message))

    return asyncio.run(send())


def attachment(payload: dict[str, Any]) -> dict[str, Any]:
    """The one attachment of a payload that Slack would take: checked as strictly as its documents let one."""
    assert payload.keys() <= {"attachments", "mrkdwn", "icon_url", "username", "channel"}
    (one,) = payload["attachments"]
    assert one.keys() <= {"title", "text", "color", "footer", "footer_icon", "ts", "blocks"}
    assert all(isinstance(one[key], str) and one[key] for key in one.keys() - {"ts", "blocks"})
    assert isinstance(one, dict)
    return one


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(NATIVE, id="as Slack shows it"),
        pytest.param(f"{NATIVE}?overflow=split", id="with a setting of Apprise's"),
        pytest.param(SHORT, id="short"),
        pytest.param(f"slack://budgetd@{TEAM}/{HOOK}/{TOKEN}/#ops", id="with a name and a room"),
    ],
)
def test_a_message_in_slack(slack: Faraway, url: str) -> None:
    assert send(url).outcome is Outcome.OK
    ((where, request),) = slack.requests
    assert where == f"hooks.slack.com:443/services/{TEAM}/{HOOK}/{TOKEN}"
    assert request.headers["content-type"].startswith("application/json")
    assert request.headers["user-agent"] == "budgetd"
    (payload,) = slack.payloads
    assert payload["mrkdwn"] is True
    one = attachment(payload)
    assert one["title"] == "CRITICAL sample: 212.50 credits left (0.4 %)"
    assert one["footer"] == "budgetd"
    assert one["text"].replace("  \n", "\n") == (
        "*212.50 credits left (0.4 %)*, as of 12:00 UTC\n"
        "*Since* 10:00 UTC\n"
        "*Rule sample-balance:* critical when `remaining_percent &lt; 5`, warning when `remaining_percent &lt; 20`\n"
        "*Now:* remaining_percent 0.425\n"
        "*At zero:* calls stop\n"
        "*Owner:* owner@sample.example\n"
        "*Refill:* <https://sample.example/billing>\n"
        "*Ack:* `budgetd ack sample1`\n"
        "*Account* sample at Sample vendor · episode sample1"
    )


def test_plain_text_in_slack(slack: Faraway) -> None:
    assert send(f"{SHORT}?format=text").outcome is Outcome.OK
    (payload,) = slack.payloads
    assert payload["mrkdwn"] is False
    assert attachment(payload)["text"] == OPENED.body.replace("<", "&lt;")


def test_blocks_in_slack(slack: Faraway) -> None:
    assert send(f"{SHORT}?blocks=yes").outcome is Outcome.OK
    blocks = attachment(slack.payloads[0])["blocks"]
    assert [block["type"] for block in blocks] == ["header", "section", "context"]
    assert [blocks[0]["text"]["type"], blocks[1]["text"]["type"]] == ["plain_text", "mrkdwn"]
    # The most that Slack takes.
    assert len(blocks[0]["text"]["text"]) <= 150
    assert len(blocks[1]["text"]["text"]) <= 3000


@pytest.mark.parametrize("to", ["markdown", "text"])
@pytest.mark.parametrize("text", ["x", "&", "<", "*_`", "\u20ac"])
def test_long_blocks_in_slack_arrive_in_pieces(slack: Faraway, text: str, to: str) -> None:
    rows = tuple(Row(f"WARNING voice-{each}:", (f" {text * (60 // len(text))} [e{each}]",)) for each in range(300))
    message = Message(title="100 WARNING: voice & growth" * 10, level=Level.WARNING, blocks=(Block(rows),))
    assert send(f"{SHORT}?blocks=yes&format={to}", message).outcome is Outcome.OK
    told = ""
    for payload in slack.payloads:
        texts = {block["type"]: block["text"]["text"] for block in attachment(payload)["blocks"] if "text" in block}
        assert len(texts.get("header", "")) <= 150
        assert len(texts["section"]) <= 3000
        told += texts["section"] + "\n"
    assert [told.count(f"e{each}]") for each in range(300)] == [1] * 300


COLORS = {Sample.OPENED: "#A32037", Sample.REMINDER: "#CACF29", Sample.NOTED: "#3AA3E3", Sample.RESOLVED: "#3AA337"}


@pytest.mark.parametrize("which", COLORS)
def test_a_level_has_its_color(slack: Faraway, which: Sample) -> None:
    assert send(NATIVE, sample(which, UTC, NOON)).outcome is Outcome.OK
    assert attachment(slack.payloads[0])["color"] == COLORS[which]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_is_markup_in_slack(slack: Faraway, text: str) -> None:
    for url in (NATIVE, f"{SHORT}?blocks=yes"):
        for told in (text, "x"):
            assert send(url, message_of(told, several=url == NATIVE)).outcome is Outcome.OK
    nasty, plain, nasty_blocks, plain_blocks = (attachment(payload) for payload in slack.payloads)
    assert_plain(nasty["title"])
    assert_mrkdwn(nasty["text"], plain["text"])
    header, section, _ = nasty_blocks["blocks"]
    assert_plain(header["text"]["text"])
    assert_mrkdwn(section["text"]["text"], plain_blocks["blocks"][1]["text"]["text"])


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_is_markup_in_discord(slack: Faraway, text: str) -> None:
    """Which reads Markdown and mentions into all that it is sent, plain or not."""
    slack.answer = lambda _: Answer(status=HTTPStatus.NO_CONTENT)
    assert send(DISCORD, message_of(text, several=True)).outcome is Outcome.OK
    for payload in slack.payloads:
        assert_plain(payload["content"])
        assert len(payload["content"]) <= 2000
    slack.requests.clear()
    assert send(f"{DISCORD}?format=markdown", message_of(text)).outcome is Outcome.OK
    (payload,) = slack.payloads
    assert_tells_nobody(payload["embeds"][0]["title"] + payload["embeds"][0]["description"])
    # A mail address is all that Apprise takes for a mention here, and of nobody: Discord knows no @acme.
    assert not payload.get("allow_mentions", {}).get("users")
    assert not {"everyone", "here"} & set(payload.get("allow_mentions", {}).get("parse", []))


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_is_markup_in_telegram(slack: Faraway, text: str) -> None:
    """Which takes HTML, and has no room for a title."""
    slack.answer = lambda _: Answer(status=HTTPStatus.OK, body=b'{"ok":true,"result":{}}')
    for told in (text, "x"):
        assert send(TELEGRAM, message_of(told)).outcome is Outcome.OK
    nasty, plain = slack.payloads
    assert nasty["parse_mode"] == "HTML"
    assert_html(nasty["text"], plain["text"])


def test_a_title_in_the_body_is_escaped_as_the_body_is(slack: Faraway) -> None:
    slack.answer = lambda _: Answer(status=HTTPStatus.OK, body=b'{"ok":true,"result":{}}')
    assert send(TELEGRAM, Message(title="a < b & c", level=None, blocks=OPENED.blocks)).outcome is Outcome.OK
    assert slack.payloads[0]["text"].startswith("<b>a &lt; b &amp; c</b>\r\n<b>212.50 credits left")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, "invalid_payload", "error=400: invalid_payload"),
        (400, "no_text", "error=400: no_text"),
        (403, "action_prohibited", "error=403: action_prohibited"),
        (403, "invalid_token", "error=403: invalid_token"),
        (404, "channel_not_found", "error=404: channel_not_found"),
        (404, "no_service", "error=404: no_service"),
        (410, "channel_is_archived", "error=410: channel_is_archived"),
        (429, '{"ok":false,"error":"rate_limited"}', 'error=429: {"ok":false,"error":"rate_limited"}'),
        (500, "rollup_error", "error=500: rollup_error"),
        (503, "<html><body>Service Unavailable</body></html>", "error=503: Service Unavailable"),
        (404, f"no_team {TEAM} {TOKEN}", "error=404: no_team *** ***"),
    ],
)
def test_a_refusal_of_slack_s(slack: Faraway, status: int, body: str, error: str) -> None:
    slack.answer = lambda _: Answer(status=HTTPStatus(status), body=body.encode())
    sent = send(NATIVE)
    assert sent.outcome is Outcome.FAILED
    assert sent.error
    assert sent.error.startswith("Failed to send to Slack: ")
    assert sent.error.endswith(error)


def test_a_bot_s_refusal_comes_with_200(slack: Faraway) -> None:
    token = "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
    slack.answer = lambda _: Answer(status=HTTPStatus.OK, body=b'{"ok":false,"error":"not_in_channel"}')
    sent = send(f"slack://{token}/#ops")
    assert (sent.outcome, token in str(sent.error)) == (Outcome.FAILED, False)
    assert str(sent.error).endswith('{"ok":false,"error":"not_in_channel"}')


def test_a_proxy_that_is_not_there(slack: Faraway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    sent = send(NATIVE)
    assert sent.outcome is Outcome.FAILED
    assert sent.error
    assert not any(part in sent.error for part in (TEAM, HOOK, TOKEN))


def test_a_certificate_that_nobody_knows(slack: Faraway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    sent = send(NATIVE)
    assert (sent.outcome, slack.requests) == (Outcome.FAILED, [])
    assert "certificate verify failed" in str(sent.error)
