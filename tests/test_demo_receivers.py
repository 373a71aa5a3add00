"""The demo's webhook and mailbox take what a real Apprise sends, and fail as they are told to."""

import logging
import smtplib
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage

import httpx
import pytest
from apprise import Apprise, AppriseResult, NotifyFormat, NotifyType

from budgetd.demo.receivers import Inbox, Mailbox, Received, Reply, Webhook

# Apprise's mail plugin tries to import it, for Pythons that no longer have it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TITLE = "CRITICAL voice-prod: 212 credits left (0.4 %) · 12 €"
BODY = "212 credits left, as of 10:02\nAccount voice-prod at Cekura · episode k3f9"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def webhook(inbox: Inbox) -> Iterator[Webhook]:
    with Webhook("webhook", inbox) as webhook:
        yield webhook


@pytest.fixture
def mailbox(inbox: Inbox) -> Iterator[Mailbox]:
    with Mailbox("mail", inbox) as mailbox:
        yield mailbox


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level(logging.DEBUG, "apprise")  # below it, results do not say why


def send(receiver: Webhook | Mailbox) -> AppriseResult:
    apprise = Apprise()
    # Whoever hangs is given up on after 0.2 s.
    assert apprise.add(receiver.url.replace("cto=4", "cto=0.2").replace("rto=4", "rto=0.2"))
    assert len(apprise) == 1
    return apprise.notify(
        title=TITLE,
        body=BODY,
        notify_type=NotifyType.FAILURE,
        body_format=NotifyFormat.TEXT,
        log_level=logging.DEBUG,
    )


def said(result: AppriseResult) -> str:
    return "\n".join(entry.message for service in result for attempt in service for entry in attempt)


def test_a_webhook_takes_title_body_and_type(webhook: Webhook, inbox: Inbox) -> None:
    assert send(webhook)
    [received] = inbox.received
    assert (received.channel, received.title, received.body, received.type) == ("webhook", TITLE, BODY, "failure")
    assert received.arrived


def test_a_mailbox_takes_subject_and_text(mailbox: Mailbox, inbox: Inbox) -> None:
    assert send(mailbox)
    [received] = inbox.received
    assert (received.channel, received.title, received.body, received.type) == ("mail", TITLE, BODY, None)
    assert received.arrived


@pytest.mark.parametrize(
    ("reply", "why", "arrived"),
    [
        pytest.param(Reply.REFUSE, "error=500", False, id="refused"),
        pytest.param(Reply.HANG, "Read timed out", True, id="no answer"),
        pytest.param(Reply.RESET, "Connection reset by peer", True, id="reset"),
    ],
)
def test_a_webhook_fails_as_told(webhook: Webhook, inbox: Inbox, reply: Reply, why: str, arrived: bool) -> None:
    webhook.reply = reply
    result = send(webhook)
    assert not result
    assert why in said(result)
    assert [received.arrived for received in inbox.received] == [arrived]
    webhook.reply = Reply.ACCEPT
    assert send(webhook)


@pytest.mark.parametrize(
    ("reply", "why", "arrived"),
    [
        pytest.param(Reply.REFUSE, "(451, b'", False, id="refused"),
        pytest.param(Reply.HANG, "timed out", True, id="no answer"),
        pytest.param(Reply.RESET, "Connection reset by peer", True, id="reset"),
    ],
)
def test_a_mailbox_fails_as_told(mailbox: Mailbox, inbox: Inbox, reply: Reply, why: str, arrived: bool) -> None:
    mailbox.reply = reply
    result = send(mailbox)
    assert not result
    assert why in said(result)
    assert [received.arrived for received in inbox.received] == [arrived]
    mailbox.reply = Reply.ACCEPT
    assert send(mailbox)


def test_a_mailbox_decodes_what_any_client_sends(mailbox: Mailbox, inbox: Inbox) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "Grüße", "a@budgetd.example", "b@budgetd.example"
    mail.set_content("zwölf\n")
    mail.add_alternative("<p>zwölf</p>", subtype="html")
    host, port = httpx.URL(mailbox.url).host, httpx.URL(mailbox.url).port
    assert port is not None
    with smtplib.SMTP(host, port, timeout=5) as client:
        client.send_message(mail)
    assert [(received.title, received.body) for received in inbox.received] == [("Grüße", "zwölf")]


def test_an_inbox_waits_for_what_is_wanted(webhook: Webhook, inbox: Inbox) -> None:
    sender = threading.Timer(0.05, send, [webhook])
    sender.start()
    received = inbox.wait_for(lambda received: "CRITICAL" in received.title, timeout=5)
    sender.join()
    assert received is not None
    assert received.title == TITLE


def test_an_inbox_gives_up_and_does_not_count_what_was_skipped(webhook: Webhook, inbox: Inbox) -> None:
    send(webhook)
    started = time.monotonic()
    assert inbox.wait_for(lambda _: True, timeout=0.05, skip=1) is None
    assert 0.05 <= time.monotonic() - started < 1


def test_each_message_is_reported_before_it_is_answered() -> None:
    reported: list[Received] = []
    with Webhook("webhook", Inbox(reported.append)) as webhook:
        assert send(webhook)
        assert [received.title for received in reported] == [TITLE]


def test_stopping_ends_a_hanging_send_at_once() -> None:
    inbox = Inbox()
    with Webhook("webhook", inbox) as webhook, Mailbox("mail", inbox) as mailbox:
        webhook.reply = mailbox.reply = Reply.HANG
        senders = [threading.Thread(target=Apprise(item.url).notify, args=("body",)) for item in (webhook, mailbox)]
        for sender in senders:
            sender.start()
        while len(inbox.received) < 2:
            assert inbox.wait_for(lambda _: True, timeout=5, skip=len(inbox.received)) is not None
        started = time.monotonic()
    for sender in senders:
        sender.join()
    assert time.monotonic() - started < 2
