"""Channels: which URLs are taken, what a failed send proves, and that no URL is told to anybody."""

import asyncio
from datetime import timedelta

import pytest

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, outcome_of, url_problem
from budgetd.demo.receivers import Inbox, Mailbox, Reply, Webhook
from budgetd.store.notices import Outcome
from budgetd_rules.messages import Message
from budgetd_rules.rule import Level

TOKENS = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
MESSAGE = Message(title="WARNING voice: 400 credits left", body="error=500 NewConnectionError", level=Level.WARNING)


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
        sent = asyncio.run(channel.send(MESSAGE))
    assert sent.outcome is outcome
    assert (sent.error is None) == (outcome is Outcome.OK)


def test_an_error_does_not_show_the_url() -> None:
    with Webhook("ops", Inbox()) as service:
        service.reply = Reply.REFUSE
        canary = "canary-token-1234567890"
        channel = Channel("ops", Secret(f"{service.url.split('?')[0]}{canary}"))
        sent = asyncio.run(channel.send(MESSAGE))
    assert sent.error
    assert canary not in repr((sent, channel))


def test_one_message_at_a_time() -> None:
    """After a time-out the channel stays busy until the service lets go."""
    with Webhook("ops", Inbox()) as service:
        service.reply = Reply.HANG
        channel = Channel("ops", Secret(service.url), timeout=timedelta(milliseconds=200))
        asyncio.run(channel.send(MESSAGE))
        assert channel.is_busy
