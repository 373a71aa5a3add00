"""Mail, through a server that wants TLS and a password: what arrives, and what its refusals become."""

import asyncio
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from urllib.parse import quote

import pytest

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Sent
from budgetd.store.notices import Outcome
from budgetd_rules.formats import Format, write
from budgetd_rules.messages import Message
from budgetd_rules.samples import Sample, sample
from build import NOON
from mailserver import PASSWORD, USER, MailServer
from nasty import TEXTS, assert_html, assert_plain, message_of

OPENED = sample(Sample.OPENED, UTC, NOON)
TO = "finance@acme.example"


@pytest.fixture(scope="module")
def one_server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def server(one_server: MailServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MailServer:
    """With STARTTLS, trusted, accepting, and empty."""
    one_server.trust(monkeypatch, tmp_path)
    one_server.mails.clear()
    one_server.accept()
    return one_server


def send(server: MailServer, message: Message = OPENED, extra: str = "", password: str = PASSWORD) -> Sent:
    """As docs/delivery.md says that a URL is written."""
    login = f"{quote(USER, safe='')}:{quote(password, safe='')}"
    url = Secret(f"mailtos://{login}@localhost:{server.port}/?from={USER}&to={TO}&cto=3{extra}")

    async def send() -> Sent:
        channel = Channel("finance", url)
        return await channel.send(await channel.write(message))

    return asyncio.run(send())


def part(server: MailServer, kind: str) -> str:
    (mail,) = server.mails
    found = mail.get_body((kind,))
    assert found
    text: str = found.get_content()
    return text.replace("\r\n", "\n").rstrip("\n")


def test_a_mail_in_html_with_a_plain_part(server: MailServer) -> None:
    assert send(server).outcome is Outcome.OK
    (mail,) = server.mails
    assert mail["Subject"] == "CRITICAL sample: 212.50 credits left (0.4 %)"
    assert (mail["From"], mail["To"], mail["X-Application"]) == (USER, TO, "budgetd")
    assert part(server, "html") == write(OPENED.blocks, Format.HTML)
    assert part(server, "plain") == OPENED.body


def test_the_plain_part_of_several_keeps_its_paragraphs(server: MailServer) -> None:
    several = message_of("x", several=True)
    assert send(server, several).outcome is Outcome.OK
    assert part(server, "plain") == several.body


def test_a_mail_in_plain_text(server: MailServer) -> None:
    assert send(server, extra="&format=text").outcome is Outcome.OK
    assert part(server, "plain") == OPENED.body
    assert server.mails[0].get_content_type() == "text/plain"


def test_tls_from_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with MailServer(at_once=True) as server:
        server.trust(monkeypatch, tmp_path)
        assert send(server, extra="&mode=ssl").outcome is Outcome.OK
        assert len(server.mails) == 1


HEADERS = {"Content-Type", "MIME-Version", "X-Application", "Subject", "From", "To", "Message-ID", "Date"}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_is_markup_or_a_header_in_a_mail(server: MailServer, text: str) -> None:
    assert send(server, message_of(text)).outcome is Outcome.OK
    (mail,) = server.mails
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert (mail["To"], mail["From"]) == (TO, USER)
    assert_plain(str(mail["Subject"]))
    assert_plain(part(server, "plain"))
    assert_html(part(server, "html"), write(message_of("x").blocks, Format.HTML))


def test_a_title_with_line_breaks_is_one_header(server: MailServer) -> None:
    """Ours has none; Apprise would not take one either."""
    title = "a\r\nBcc: victim@evil.example\r\n\r\n<b>body</b>"
    assert send(server, Message(title=title, level=None, blocks=OPENED.blocks)).outcome is Outcome.OK
    (mail,) = server.mails
    assert sorted(mail.keys()) == sorted(HEADERS)
    assert part(server, "plain") == OPENED.body


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        pytest.param("451 4.7.1 Greylisted, try again", Outcome.FAILED, "451 4.7.1 Greylisted, try again", id="later"),
        pytest.param("550 5.7.1 Relaying denied", Outcome.FAILED, "550 5.7.1 Relaying denied", id="never"),
        pytest.param("554 spam", Outcome.FAILED, "554 spam", id="not this text"),
        pytest.param(None, Outcome.UNKNOWN, "Connection unexpectedly closed", id="dropped after the text was sent"),
        pytest.param(f"550 {PASSWORD} is no password", Outcome.FAILED, "550 *** is no password", id="its secrets"),
    ],
)
def test_an_answer_to_the_text(server: MailServer, answer: str | None, outcome: Outcome, error: str) -> None:
    server.after_data = answer
    sent = send(server)
    assert (sent.outcome, sent.error) == (outcome, f'Sending email to "{TO}" failed: {error}')


def test_a_recipient_that_is_refused(server: MailServer) -> None:
    server.after_rcpt = "450 4.2.0 Greylisted"
    sent = send(server)
    assert sent.outcome is Outcome.FAILED
    assert "450 4.2.0 Greylisted" in str(sent.error)
    assert server.mails == []


def test_a_wrong_password(server: MailServer) -> None:
    sent = send(server, password="canary-wrong")
    assert sent.outcome is Outcome.FAILED
    assert sent.error == (
        'Connection error while submitting email to "localhost": 535 5.7.8 Username and Password not accepted'
    )


def test_a_ca_of_one_s_own_has_to_be_named(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    sent = send(server)
    assert (sent.outcome, server.mails) == (Outcome.FAILED, [])
    assert "CERTIFICATE_VERIFY_FAILED" in str(sent.error)


def test_a_password_is_not_sent_without_tls() -> None:
    with MailServer(tls=False) as server:
        sent = send(server)
    assert (sent.outcome, server.mails) == (Outcome.FAILED, [])
    assert "STARTTLS extension not supported" in str(sent.error)


def test_tls_and_port_that_do_not_fit(server: MailServer) -> None:
    sent = send(server, extra="&mode=ssl")
    assert sent.outcome is Outcome.FAILED
    assert "wrong version number" in str(sent.error).lower()
