"""`channels test`: a greeting, or a sample message with the channel's template; and what a failure shows."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.demo.loopback import HOST, Answer, HttpServer
from budgetd.demo.receivers import Inbox, Reply, Webhook
from budgetd.errors import BudgetdError

TEMPLATE = 'title = "[{{ level }}] {{ title }}"\nbody = "Hello. {{ text }}"\n'
Command = Callable[..., str]


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def webhook(inbox: Inbox) -> Iterator[Webhook]:
    with Webhook("ops", inbox) as webhook:
        yield webhook


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `channels test`; raises what the command ends with."""

    def run(url: str, *words: str, template: str = TEMPLATE) -> str:
        path = tmp_path / "config.toml"
        account = '[accounts.voice]\nprovider = "cekura"\napi_key = "canary"\n'
        path.write_text(f'{account}[channels.ops]\nurl = "{url}"\n{template}')
        path.chmod(0o600)
        result = CliRunner().invoke(app, ["channels", "test", "ops", "-c", str(path), *words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.output

    return run


def test_a_greeting_is_in_the_built_in_words(command: Command, webhook: Webhook, inbox: Inbox) -> None:
    assert re.fullmatch(r"channel ops: sent as plain text, \d+ ms\n", command(webhook.url))
    (received,) = inbox.received
    assert (received.title, received.type) == ("TEST of the channel ops", "info")
    assert received.body == "budgetd can reach you here. This is only a test."


@pytest.mark.parametrize(
    ("sample", "title", "type_"),
    [
        ("opened", "[critical] CRITICAL sample: 212.50 credits left (0.4 %)", "failure"),
        ("reminder", "[warning] REMINDER WARNING sample: subscription ends in 3 days", "warning"),
        ("resolved", "[over] RESOLVED sample: 40,212.50 credits left (80.4 %)", "success"),
        ("noted", "[info] NOTED sample: subscription: plan Pro before, Enterprise now", "info"),
        ("many", "[critical] 4 CRITICAL, 3 WARNING, 2 RESOLVED: sample", "failure"),
    ],
)
def test_a_sample_is_in_the_channel_s_own_words(
    command: Command, webhook: Webhook, inbox: Inbox, sample: str, title: str, type_: str
) -> None:
    command(webhook.url, "--sample", sample)
    (received,) = inbox.received
    assert received.title.startswith(title)
    assert received.type == type_
    assert received.body.startswith("Hello. ")
    if sample == "many":
        assert len(received.body.split("\n")) == 9


def test_a_sample_has_the_channel_s_zone(command: Command, webhook: Webhook, inbox: Inbox) -> None:
    command(webhook.url, "--sample", "opened", template='timezone = "Asia/Tokyo"')
    assert " JST\n" in inbox.received[0].body


def test_the_format_is_shown(command: Command, webhook: Webhook) -> None:
    assert command(f"{webhook.url}&format=markdown").startswith("channel ops: sent as Markdown, ")
    assert command(f"{webhook.url}&format=html").startswith("channel ops: sent as HTML, ")


def test_a_failure_shows_what_the_service_said_and_a_hint(command: Command) -> None:
    refusal = Answer(status=HTTPStatus.FORBIDDEN, body=b"invalid_token")
    with HttpServer(lambda _: refusal) as server, pytest.raises(BudgetdError) as caught:
        command(f"json://{HOST}:{server.port}/canary-of-a-path")
    assert re.fullmatch(
        r"channel ops: failed as plain text, \d+ ms: .*error=403: invalid_token; "
        r"the token is wrong or revoked, or may not write there",
        str(caught.value),
    )


def test_a_proxy_that_is_none_is_told_without_its_password(
    command: Command, webhook: Webhook, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary")
    with pytest.raises(BudgetdError, match=r"^HTTPS_PROXY in the environment: expected http://HOST:PORT") as error:
        command(webhook.url)
    assert "canary" not in str(error.value)
    assert inbox.received == ()


def test_an_unknown_outcome_is_said_to_be_one(command: Command, webhook: Webhook) -> None:
    webhook.reply = Reply.RESET
    with pytest.raises(BudgetdError, match=r"channel ops: unknown as plain text, .*; it may have arrived, so look"):
        command(webhook.url)


def test_a_template_that_is_none_is_told_before_anything_is_sent(
    command: Command, webhook: Webhook, inbox: Inbox
) -> None:
    with pytest.raises(BudgetdError, match=r"channels\.ops\.body: line 1: nothing is named 'txt'; did you mean text\?"):
        command(webhook.url, template='body = "{{ txt }}"')
    assert inbox.received == ()


def test_jinja_is_loaded_only_for_templates(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[accounts.voice]\nprovider = "cekura"\napi_key = "x"\n[channels.ops]\nurl = "json://localhost"\n'
    )
    config.chmod(0o600)
    code = (
        "import sys, pathlib, budgetd.wiring, budgetd.service, budgetd.cli.app\n"
        "from budgetd.config import load_config\nfrom budgetd.planning import make_plan\n"
        "make_plan(load_config(pathlib.Path(sys.argv[1])))\nprint('jinja2' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code, config], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "False\n"
