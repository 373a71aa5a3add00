"""Channels: which URLs are taken, in which format each is written, what a failed send proves, and that no secret of a
URL is told to anybody."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus

import pytest

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Sent, format_of, url_problem
from budgetd.deliver.send_failures import hint, outcome_of, said, secret_parts
from budgetd.demo.loopback import HOST, Answer, HttpServer, Request
from budgetd.demo.receivers import Inbox, Mailbox, Reply, Webhook
from budgetd.store.notices import Outcome
from budgetd_rules.formats import Block, Format, Row, write
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level
from nasty import TEXTS, assert_html, assert_markdown, assert_plain, message_of
from serving import trickle, vendor

TOKENS = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
MESSAGE = Message(
    title="WARNING voice: 400 credits left",
    level=Level.WARNING,
    blocks=(Block((Row("", ("error=500 NewConnectionError",)),)),),
)


def sent_through(channel: Channel, message: Message = MESSAGE) -> Sent:
    async def send() -> Sent:
        return await channel.send(await channel.write(message))

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        pytest.param(f"https://hooks.slack.com/services/{TOKENS}", None, id="a Slack webhook as Slack shows it"),
        pytest.param(f"slack://{TOKENS}/#ops", None, id="one Slack channel"),
        pytest.param(f"slack://{TOKENS}/#ops/#dev", "names 2 targets", id="two Slack channels"),
        pytest.param(
            "mailto://u:p@h.example?to=a@b.example,c@d.example&from=x@y.example", "names 2 targets", id="two mailboxes"
        ),
        pytest.param(
            "mailtos://u:p@smtp.acme.example:587/?from=b@acme.example&to=f@acme.example", None, id="a mailbox"
        ),
        pytest.param("json://localhost/", None, id="a webhook"),
        pytest.param("jsn://localhost/", "Apprise does not accept", id="no scheme of Apprise's"),
        pytest.param("not a url", "Apprise does not accept", id="no URL"),
    ],
)
def test_urls(url: str, problem: str | None) -> None:
    found = url_problem(Secret(url))
    assert (found or "").startswith(problem or "")
    assert (found is None) == (problem is None)


POOL = "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: / (Caused by "


@pytest.mark.parametrize(
    ("entries", "outcome"),
    [
        pytest.param(
            [("WARNING", "Failed to send JSON: Internal server error., error=500.")], Outcome.FAILED, id="500"
        ),
        *(
            pytest.param(
                [("WARNING", f"Failed to send JSON: error={code}.")], Outcome.UNKNOWN, id=f"a gateway's {code}"
            )
            for code in (502, 504, 522, 524)
        ),
        pytest.param([("WARNING", "Failed to send JSON: error=503.")], Outcome.FAILED, id="503"),
        pytest.param(
            [("DEBUG", f'Socket Exception: {POOL}NewConnectionError("[Errno 111] Connection refused"))')],
            Outcome.FAILED,
            id="connection refused",
        ),
        pytest.param(
            [("DEBUG", f'Socket Exception: {POOL}NameResolutionError("x"))')], Outcome.FAILED, id="no such host"
        ),
        pytest.param(
            [("DEBUG", "Socket Exception: HTTPConnectionPool(host='h', port=1): Read timed out. (read timeout=1.0)")],
            Outcome.UNKNOWN,
            id="no answer in time",
        ),
        pytest.param(
            [("DEBUG", "Socket Exception: ('Connection aborted.', RemoteDisconnected('Remote end closed'))")],
            Outcome.UNKNOWN,
            id="closed without an answer",
        ),
        pytest.param([("DEBUG", "Socket Exception: (451, b'4.3.0 later')")], Outcome.FAILED, id="mail refused"),
        pytest.param(
            [("DEBUG", "Socket Exception: {'a@b.example': (550, b'no such user')}")],
            Outcome.FAILED,
            id="recipient refused",
        ),
        pytest.param(
            [("DEBUG", "Socket Exception: Connection unexpectedly closed")], Outcome.UNKNOWN, id="mail server went away"
        ),
        pytest.param(
            [("DEBUG", "JSON Payload: error=500"), ("WARNING", "A Connection error occurred")],
            Outcome.UNKNOWN,
            id="our own words prove nothing",
        ),
        pytest.param([], Outcome.UNKNOWN, id="no reason at all"),
    ],
)
def test_what_a_failed_send_proves(entries: list[tuple[str, str]], outcome: Outcome) -> None:
    assert outcome_of(entries) is outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        pytest.param(Reply.ACCEPT, Outcome.OK, id="accepted"),
        pytest.param(Reply.REFUSE, Outcome.FAILED, id="refused"),
        pytest.param(Reply.RESET, Outcome.UNKNOWN, id="reset before the answer"),
        pytest.param(Reply.HANG, Outcome.UNKNOWN, id="no answer"),
    ],
)
@pytest.mark.parametrize("receiver", [Webhook, Mailbox])
def test_real_services(receiver: type[Webhook] | type[Mailbox], reply: Reply, outcome: Outcome) -> None:
    with receiver("ops", Inbox()) as service:
        service.reply = reply
        channel = Channel("ops", Secret(service.url), timeout=timedelta(seconds=1))
        sent = sent_through(channel)
    assert sent.outcome is outcome
    assert (sent.error is None) == (outcome is Outcome.OK)


def test_one_message_at_a_time() -> None:
    """After a time-out the channel stays busy until the service lets go."""
    with Webhook("ops", Inbox()) as service:
        service.reply = Reply.HANG
        channel = Channel("ops", Secret(service.url), timeout=timedelta(milliseconds=200))
        sent_through(channel)
        assert channel.is_busy


def test_a_channel_is_busy_until_its_service_lets_go() -> None:
    """A trickling answer never times out a read, so the abandoned send is still under way until it ends."""

    async def story() -> Channel:
        async with vendor(ops=trickle) as service:
            url = Secret(f"{service.url.replace('http', 'json')}/ops")
            channel = Channel("ops", url, timeout=timedelta(milliseconds=20))
            sent = await channel.send(await channel.write(MESSAGE))
            assert (sent.outcome, channel.is_busy) == (Outcome.UNKNOWN, True)
            return channel

    channel = asyncio.run(story())
    for thread in threading.enumerate():
        if thread.name == "channel ops":
            thread.join(20)
    assert not channel.is_busy


# --- formats


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("json://localhost/", Format.TEXT),
        ("json://localhost/?format=markdown", Format.MARKDOWN),
        ("json://localhost/?format=html", Format.HTML),
        (f"https://hooks.slack.com/services/{TOKENS}", Format.MARKDOWN),
        (f"slack://{TOKENS}?format=text", Format.TEXT),
        ("mailtos://u:p@smtp.acme.example", Format.HTML),
        ("mailtos://u:p@smtp.acme.example?format=text", Format.TEXT),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", Format.TEXT),
        ("tgram://123456789:AAEhBP0avTNbNVQXr1F8zR6-abcdefghijk/12345/", Format.HTML),
        ("ntfy://topic", Format.TEXT),
    ],
)
def test_a_service_is_written_to_as_it_would_rather_have_it(url: str, to: Format) -> None:
    assert format_of(Secret(url)) is to


class Hook:
    """A webhook that keeps what it was posted, whole."""

    def __init__(self) -> None:
        self.posted: list[dict[str, str]] = []
        self.answer = Answer(status=HTTPStatus.OK)
        self.server = HttpServer(self._take)

    def _take(self, request: Request) -> Answer:
        self.posted.append(json.loads(request.body))
        return self.answer

    def send(self, message: Message, extra: str = "") -> Sent:
        return sent_through(Channel("ops", Secret(f"json://{HOST}:{self.server.port}/canary-path{extra}")), message)


@pytest.fixture(scope="module")
def one_hook() -> Iterator[Hook]:
    hook = Hook()
    with hook.server:
        yield hook


@pytest.fixture
def hook(one_hook: Hook) -> Hook:
    """A working webhook, with no posts yet."""
    one_hook.posted.clear()
    one_hook.answer = Answer(status=HTTPStatus.OK)
    return one_hook


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("to", Format)
def test_no_text_is_markup_when_it_arrives(hook: Hook, text: str, to: Format) -> None:
    assert hook.send(message_of(text, several=True), f"?format={to}").outcome is Outcome.OK
    body, expected = hook.posted[0]["message"], write(message_of("x", several=True).blocks, to)
    assert_plain(hook.posted[0]["title"])
    if to is Format.HTML:
        assert_html(body, expected)
    elif to is Format.MARKDOWN:
        assert_markdown(body, expected)
    else:
        assert_plain(body)


@pytest.mark.parametrize(
    ("level", "type_"),
    [(Level.CRITICAL, "failure"), (Level.WARNING, "warning"), (Level.INFO, "info"), (None, "success")],
)
def test_a_level_is_a_type_of_apprise(hook: Hook, level: Level | None, type_: str) -> None:
    hook.send(Message(title="t", level=level, blocks=MESSAGE.blocks))
    assert [one["type"] for one in hook.posted] == [type_]


def test_what_is_kept_of_a_message_is_for_people() -> None:
    letter = asyncio.run(Channel("ops", Secret("json://localhost/?format=html")).write(message_of("x")))
    assert letter.body.startswith("<p>")
    assert letter.words == message_of("x").body


# --- what the service said

CANARY = "canary-3f9b27c1"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(400, b"invalid\n payload", "error=400: invalid payload", id="words"),
        pytest.param(404, b'{"error": "no"}', 'error=404: {"error": "no"}', id="JSON"),
        pytest.param(503, b"<html><h1>Bad\x1b[31m gateway</h1></html>", "error=503: Bad [31m gateway", id="HTML"),
        pytest.param(500, b"", "error=500", id="nothing"),
        pytest.param(500, b"x" * 5000, "error=500: xxx", id="far too much"),
        pytest.param(500, "größe".encode(), "error=500: größe", id="other alphabets"),
        pytest.param(500, b"\xff'\"\\", "error=500: \ufffd'\"\\", id="no text"),
        pytest.param(500, b"<p>" + b"x" * 1_000_000, "error=500: xxx", id="very far too much"),
        pytest.param(500, b"b'\\x' b'\xc3\xa4'", "error=500: b'\\x' b'\u00e4'", id="what looks like Python"),
        pytest.param(403, f"{CANARY} is /canary-path".encode(), "error=403: *** is /***", id="its own secrets"),
    ],
)
def test_the_service_s_own_words_are_the_error(hook: Hook, status: int, body: bytes, error: str) -> None:
    hook.answer = Answer(status=HTTPStatus(status), body=body)
    sent = hook.send(MESSAGE, f"?+X-Key={CANARY}")
    assert sent.outcome is Outcome.FAILED
    assert sent.error
    assert error in sent.error
    assert len(sent.error) <= 500
    assert sent.error.isprintable()


@pytest.mark.parametrize(
    ("url", "canaries"),
    [
        pytest.param(f"https://hooks.slack.com/services/{TOKENS}", TOKENS.split("/"), id="Slack's own"),
        pytest.param(f"slack://{TOKENS}/#ops", TOKENS.split("/"), id="Slack"),
        pytest.param("slack://xoxb-1234-1234-4ddbc191d40ee098/#ops", ["xoxb-1234-1234-4ddbc191d40ee098"], id="a bot"),
        pytest.param("mailtos://me:s3cret@h.example", ["s3cret"], id="a short password"),
        pytest.param("mailtos://me:p%40ss%2Fw%20rd@h.example", ["p@ss/w rd", "p%40ss%2Fw%20rd"], id="a spelled one"),
        pytest.param("json://me:p%40ss@h.example", ["bWU6cEBzcw=="], id="both as HTTP sends them"),
        pytest.param("json://h.example/hook/abcdefgh12", ["abcdefgh12"], id="a path"),
        pytest.param("json://h.example?+Authorization=Bearer%20tok1", ["Bearer tok1", "Bearer%20tok1"], id="a header"),
        pytest.param("json://h.example?-key=tok123", ["tok123"], id="a parameter that Apprise adds"),
        pytest.param("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", ["JHMHI8qBe7bk2ZwO5U711o3dV_js"], id="chat"),
    ],
)
def test_no_secret_of_a_url_is_said(url: str, canaries: list[str]) -> None:
    entries = [("WARNING", f"Failed: {url}, error=500."), *(("DEBUG", f"Socket Exception: {one}!") for one in canaries)]
    line = said(entries, secret_parts(Secret(url)))
    assert "***" in line
    assert not any(canary in line for canary in canaries)


def test_what_is_no_secret_is_said() -> None:
    url = "mailtos://me:canary-password@smtp.acme.example:587/?from=budgetd@acme.example&to=finance@acme.example"
    text = 'Connection error while submitting email to "smtp.acme.example"'
    assert said([("WARNING", text), ("DEBUG", "Socket Exception: (550, b'finance@acme.example unknown')")],
                secret_parts(Secret(url))) == f"{text}: 550 finance@acme.example unknown"  # fmt: skip


def test_a_service_that_says_nothing() -> None:
    assert said([("DEBUG", "JSON Payload: x"), ("INFO", "y")], []) == "Apprise gave no reason"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("Failed to send to Slack: error=404: channel_not_found", "make a new one"),
        ("Failed to send to Slack: error=403: invalid_token", "wrong or revoked"),
        ("error=429", "in a minute"),
        ("535 5.7.8 Username and Password not accepted", "app password"),
        ("451 4.7.1 Greylisted", "some minutes"),
        ("550 5.1.1 no such user", "recipient"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "SSL_CERT_FILE"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "mode=starttls"),
        ("[Errno 111] Connection refused", "host and port"),
        ("no answer within 30 s", "may have arrived"),
    ],
)
def test_a_hint_where_there_is_one(error: str, advice: str) -> None:
    assert advice in (hint(error) or "")


def test_no_hint_where_there_is_none() -> None:
    assert hint("it is a Tuesday") is None


# --- too long for the service


def long_message(count: int) -> Message:
    rows = tuple(Row("", (f"{each:04d} " + "x" * 60,)) for each in range(count))
    return Message(title="t", level=None, blocks=(Block(rows),))


def test_what_is_too_long_for_the_service_arrives_in_pieces(hook: Hook) -> None:
    assert hook.send(long_message(1_000)).outcome is Outcome.OK
    assert [one["title"] for one in hook.posted] == ["t [1/3]", "t [2/3]", "t [3/3]"]
    lines = [line for one in hook.posted for line in one["message"].split("\n")]
    assert [line[:4] for line in lines] == [f"{each:04d}" for each in range(1_000)]


def test_very_much_markdown_arrives_in_pieces(hook: Hook) -> None:
    """Apprise alone would take minutes to parse it."""
    assert hook.send(long_message(5_000), "?format=markdown").outcome is Outcome.OK
    assert [one["title"] for one in hook.posted] == [f"t [{each}/23]" for each in range(1, 24)]
    lines = [line for one in hook.posted for line in one["message"].split("\n") if line.strip()]
    assert [line[:4] for line in lines] == [f"{each:04d}" for each in range(5_000)]
    hook.answer = Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    assert hook.send(long_message(1_000), "?format=markdown").outcome is Outcome.UNKNOWN


def test_of_a_message_in_pieces_some_may_have_arrived(hook: Hook) -> None:
    hook.answer = Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR)
    assert hook.send(long_message(1_000)).outcome is Outcome.UNKNOWN
    assert hook.send(long_message(10)).outcome is Outcome.FAILED
