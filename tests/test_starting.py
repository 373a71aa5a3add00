"""`init`: what it writes passes `check`, secrets are shown nowhere, and without a terminal it never waits."""

import os
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budgetd.cli import main
from budgetd.cli.app import app
from budgetd.cli.first_account import find_providers
from budgetd.collect.provider import load_shelf
from budgetd.credentials import Secret, SecretSource
from budgetd.demo.books import Vendor
from budgetd.demo.receivers import Inbox, Webhook
from budgetd.demo.vendors import KEYS, VendorServer
from budgetd.drafts.config_text import AccountDraft, ChannelDraft, config_text, draft_rules
from budgetd.drafts.files import rewrite_file, write_file
from budgetd.drafts.kept import Kept, keep, read_reference
from budgetd.errors import BudgetdError, UsageError
from budgetd_rules.values import UNLIMITED
from build import reading, viewed
from terminal import Terminal

KEY = KEYS[Vendor.CEKURA]
CANARY = "canary-3f9b27c1"


@pytest.fixture(scope="module")
def vendors() -> Iterator[VendorServer]:
    with VendorServer() as server:
        yield server


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: str
    error: str


Init = Callable[..., Ran]


def test_without_a_standard_input_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "argv", ["budgetd", "init"])
    with pytest.raises(SystemExit) as caught:
        main()
    sys.stdin.close()
    assert caught.value.code == 2
    assert "nothing is asked here: there is no terminal" in capsys.readouterr().err


@pytest.fixture
def init(vendors: VendorServer, tmp_path: Path) -> Init:
    """Without a terminal, and with Cekura's base URL."""

    def run(*words: str, stdin: str | None = None, of: Vendor = Vendor.CEKURA) -> Ran:
        line = ["init", "--config", str(tmp_path / "config.toml"), "--base-url", vendors.base_url(of), *words]
        ran = CliRunner().invoke(app, line, input=stdin)
        failed = ran.exception if isinstance(ran.exception, BudgetdError) else None
        assert failed or ran.exit_code in (0, 2), ran.exception
        for key in (KEY, CANARY):
            assert key not in ran.output + str(failed)
        return Ran(code=failed.exit_code if failed else ran.exit_code, out=ran.output, error=str(failed or ""))

    return run


def written(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in sorted(folder.iterdir())}


def check(folder: Path) -> str:
    ran = CliRunner().invoke(app, ["check", "-c", str(folder / "config.toml")])
    assert ran.exit_code == 0, ran.exception
    return ran.output


# --- by options alone


def test_by_options_alone(init: Init, tmp_path: Path) -> None:
    ran = init("--provider", "cekura", "--key-stdin", "--channel-stdin", stdin=f"{KEY}\njson://localhost/{CANARY}\n")
    assert ran.code == 0
    assert "7,436.08" in ran.out
    assert written(tmp_path) == {"cekura.key": 0o600, "config.toml": 0o600, "ops.url": 0o600}
    assert (tmp_path / "cekura.key").read_text() == f"{KEY}\n"
    config = tomllib.loads((tmp_path / "config.toml").read_text())
    assert config["daemon"]["include"] == ["pack:essentials"]
    assert config["accounts"]["cekura"]["api_key"] == {"file": "cekura.key"}
    assert "good: 1 account, 1 channel, 0 rules and " in check(tmp_path)


def test_references_stay_references(init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEKURA_KEY", KEY)
    (tmp_path / "url").write_text("json://localhost")
    words = ["--provider", "cekura", "--account", "voice", "--key-env", "CEKURA_KEY", "--channel-name", "chat"]
    assert init(*words, "--channel-file", str(tmp_path / "url")).code == 0
    config = tomllib.loads((tmp_path / "config.toml").read_text())
    assert config["accounts"]["voice"]["api_key"] == {"env": "CEKURA_KEY"}
    assert config["channels"]["chat"]["url"] == {"file": str(tmp_path / "url")}
    assert list(written(tmp_path)) == ["config.toml", "url"]


def test_a_credential_is_only_for_the_service(init: Init, tmp_path: Path) -> None:
    ran = init("--provider", "cekura", "--key-credential", "cekura", "--channel-credential", "slack")
    assert ran.code == 0
    assert "not polled: a credential is there only in the service" in ran.out
    assert 'api_key  = { credential = "cekura" }' in (tmp_path / "config.toml").read_text()


def test_where_no_percentage_can_be_known_a_rule_goes_by_what_is_left(init: Init, tmp_path: Path) -> None:
    assert init("--provider", "sonzai", "--key-stdin", stdin=KEYS[Vendor.SONZAI], of=Vendor.SONZAI).code == 0
    text = (tmp_path / "config.toml").read_text()
    assert "twentieth of the 184.2 USD that were left" in text
    rule = tomllib.loads(text)["rules"]["sonzai-credits-low"]
    assert (rule["warning"], rule["critical"]) == ("remaining < 37", "remaining < 9.2")
    assert "1 rule and" in check(tmp_path)


def test_params_of_the_vendor(init: Init, tmp_path: Path) -> None:
    words = ["--provider", "cargo", "--key-stdin", "--param", "workspace_uuid=w-1"]
    assert init(*words, stdin=KEYS[Vendor.CARGO], of=Vendor.CARGO).code == 0
    assert tomllib.loads((tmp_path / "config.toml").read_text())["accounts"]["cargo"]["params"] == {
        "workspace_uuid": "w-1"
    }


def test_a_test_message(init: Init, tmp_path: Path) -> None:
    inbox = Inbox()
    with Webhook("ops", inbox) as webhook:
        stdin = f"{KEY}\n{webhook.url}\n"
        ran = init("--provider", "cekura", "--key-stdin", "--channel-stdin", "--send-test", stdin=stdin)
    assert "channel ops: sent as" in ran.out
    assert [one.title for one in inbox.received] == ["TEST of the channel ops"]


def test_a_key_that_does_not_work_is_not_written(init: Init, tmp_path: Path) -> None:
    ran = init("--provider", "cekura", "--key-stdin", stdin=CANARY)
    assert ran.code == 1
    assert ran.error.startswith("rejected at info: HTTP 401: ")
    assert ran.error.endswith("refused\nnothing is written; --no-poll writes it untried")
    assert written(tmp_path) == {}
    assert init("--provider", "cekura", "--key-stdin", "--no-poll", stdin=CANARY).code == 0
    check(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "--provider NAME: is missing; `budgetd providers` lists them", id="no vendor"),
        pytest.param(["--provider", "cekura"], "--key-env NAME, --key-file PATH or --key-stdin: is", id="no key"),
        pytest.param(["--provider", "github", "--key-env", "X"], "--param org=VALUE: is missing: ", id="no param"),
        pytest.param(["--provider", "cekuro", "--key-env", "X"], "did you mean cekura?", id="no such vendor"),
        pytest.param(["--provider", "cekura", "--key-env", "X"], "the environment variable X is not set", id="not set"),
        pytest.param(
            ["--provider", "cekura", "--key-env", "X", "--key-file", "y"], "--key: give one of", id="two kinds of key"
        ),
        pytest.param(["--provider", "cekura", "--key-stdin"], "standard input: is empty", id="an empty key"),
        pytest.param(
            ["--provider", "cekura", "--key-env", "X", "--param", "region=eu"],
            "--param region: Cekura takes no",
            id="a param",
        ),
        pytest.param(["--provider", "cekura", "--key-env", "X", "--param", "x"], "--param: expected NAME=", id="no ="),
        pytest.param(
            ["--provider", "cekura", "--key-env", "X", "--param", "x=1", "--param", "x=2"],
            "--param: x is given twice",
            id="a param twice",
        ),
        pytest.param(
            ["--provider", "cekura", "--key-env", "X", "--account", "a b"], "--account: a name has letters", id="a name"
        ),
        pytest.param(["--provider", "cekura", "--key-env", "X", "--account", "budgetd"], "budgetd is taken", id="ours"),
        pytest.param(
            ["--provider", "datadog-like", "--key-env", "X"],
            "no provider is named 'datadog-like'",
            id="an unknown vendor",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(words: list[str], said: str, init: Init, tmp_path: Path) -> None:
    ran = init(*words)
    assert ran.code in (1, 2)
    assert said in ran.error
    assert written(tmp_path) == {}


def test_a_channel_that_is_none(init: Init, tmp_path: Path) -> None:
    stdin = f"{KEY}\nnonsense://{CANARY}\n"
    ran = init("--provider", "cekura", "--key-stdin", "--channel-stdin", stdin=stdin)
    assert ran.error == "--channel: Apprise does not accept this URL; its wiki lists the form of each service's"
    assert written(tmp_path) == {}


def test_a_secret_param_is_not_for_the_command_line(init: Init, tmp_path: Path, vendors: VendorServer) -> None:
    (tmp_path / "providers.d").mkdir()
    shipped = (Path(load_shelf.__code__.co_filename).parent / "catalog" / "cekura.toml").read_text()
    own = shipped.replace('"cekura"', '"acme"').replace('value = "{api_key}"', 'value = "{api_key}{app_key}"')
    (tmp_path / "providers.d" / "acme.toml").write_text(
        own.replace(
            "[requests.info]", '[params.app_key]\nhelp = "h"\nsecret = true\nrequired = true\n[requests.info]', 1
        )
    )
    ran = init("--provider", "acme", "--key-stdin", "--param", f"app_key={CANARY}", stdin=KEY)
    assert "--param app_key: is a secret, so not for the command line: give ENV:NAME" in ran.error
    (tmp_path / "half").write_text(KEY[5:])
    ran = init("--provider", "acme", "--key-stdin", "--param", f"app_key=FILE:{tmp_path / 'half'}", stdin=KEY[:5])
    assert ran.code == 0
    check(tmp_path)


def test_a_config_that_is_there_is_not_replaced(init: Init, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# mine\n")
    words = ["--provider", "cekura", "--key-stdin"]
    ran = init(*words, stdin=KEY)
    assert ran.error.endswith("is there already; --add adds an account to it, --force replaces it")
    assert (tmp_path / "config.toml").read_text() == "# mine\n"
    assert init(*words, "--force", stdin=KEY).code == 0
    assert written(tmp_path)["config.toml"] == 0o600


def test_a_secret_file_that_is_there_is_not_replaced(init: Init, tmp_path: Path) -> None:
    (tmp_path / "cekura.key").write_text("mine")
    ran = init("--provider", "cekura", "--key-stdin", stdin=KEY)
    assert ran.error.endswith("cekura.key is there already; --force replaces it")
    assert (tmp_path / "cekura.key").read_text() == "mine"


# --- one more account


MINE = """\
# My config.
[daemon]   # of mine
state = "x.db"

[accounts.cekura]   # the first
provider = "cekura"
api_key = { file = "cekura.key" }
[channels.ops]
url = "json://localhost"
[[routes]]
channels = ["ops"]"""


def test_an_account_is_added_at_the_end_and_all_else_stays(init: Init, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(MINE)
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "cekura.key").write_text(KEY)
    ran = init("--add", "--provider", "cekura", "--key-stdin", "--channel-stdin", stdin=f"{KEY}\njson://localhost\n")
    assert ran.code == 0
    text = (tmp_path / "config.toml").read_text()
    assert text.startswith(MINE + "\n\n[accounts.cekura-2]\n")
    assert "[channels.ops-2]" in text
    assert "warning: " + str(tmp_path / "config.toml") + ": channels.ops-2: no route leads to it" in ran.out
    assert list(written(tmp_path)) == ["cekura-2.key", "cekura.key", "config.toml", "ops-2.url"]
    assert "good: 2 accounts, 2 channels" in check(tmp_path)


@pytest.mark.parametrize(
    ("before", "code", "said"),
    [
        pytest.param("[accounts.x]\nprovidr = 1\n", 78, "accounts.x.providr: unknown key", id="wrong already"),
        pytest.param("accounts = {}\n", 78, "with the new tables at its end: ", id="a table in braces"),
        pytest.param(None, 78, "can't be read: No such file", id="not there"),
    ],
)
def test_what_nothing_can_be_added_to(before: str | None, code: int, said: str, init: Init, tmp_path: Path) -> None:
    if before is not None:
        (tmp_path / "config.toml").write_text(before)
    ran = init("--add", "--provider", "cekura", "--key-stdin", stdin=KEY)
    assert ran.code == code
    assert said in ran.error
    assert before is None or written(tmp_path).keys() == {"config.toml"}


def test_another_account_s_secrets_need_not_be_at_hand(init: Init, tmp_path: Path) -> None:
    text = MINE.replace('file = "cekura.key"', 'credential = "cekura"').replace('"json://localhost"', '{ env = "U" }')
    (tmp_path / "config.toml").write_text(text)
    ran = init("--add", "--provider", "cekura", "--key-stdin", stdin=KEY)
    assert ran.code == 0
    assert "the same account" not in ran.out


SAME = "at Cekura cekura-2 is the same account as cekura"


@pytest.mark.parametrize("polls", [True, False], ids=["polled", "not polled"])
def test_a_key_that_is_there_already_is_said(polls: bool, init: Init, vendors: VendorServer, tmp_path: Path) -> None:
    at = f'provider = "cekura"\nbase_url = "{vendors.base_url(Vendor.CEKURA)}"'
    (tmp_path / "config.toml").write_text(MINE.replace('provider = "cekura"', at))
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "cekura.key").write_text(KEY)
    ran = init("--add", "--provider", "cekura", "--key-stdin", *([] if polls else ["--no-poll"]), stdin=KEY)
    hint = 'so all will be told twice; same_as = "cekura" would have it told only once'
    assert ran.out.count(f"warning: {SAME}, {hint}\n") == 1
    assert "same_as" not in (tmp_path / "config.toml").read_text()
    assert 'same_as = "cekura" would have it told only once' in check(tmp_path)


@pytest.mark.parametrize("agrees", [True, False])
def test_same_as_is_proposed(agrees: bool, vendors: VendorServer, environment: dict[str, str], tmp_path: Path) -> None:
    at = f'provider = "sonzai"\nbase_url = "{vendors.base_url(Vendor.SONZAI)}"'
    (tmp_path / "config.toml").write_text(MINE.replace('provider = "cekura"', at))
    (tmp_path / "config.toml").chmod(0o600)
    (tmp_path / "cekura.key").write_text(KEYS[Vendor.SONZAI])
    words = ["init", "--add", "--provider", "sonzai", "--base-url", vendors.base_url(Vendor.SONZAI)]
    with Terminal(*words, "-c", "config.toml", environment=environment, folder=tmp_path) as person:
        person.answer("A name for the account [sonzai]", "")
        person.answer("Key (not shown", KEYS[Vendor.SONZAI])
        person.expect("at Sonzai sonzai is the same account as cekura. Tell what happens only once, ")
        person.answer('with same_as = "cekura"? [Y/n]: ', "" if agrees else "n")
        person.answer("Where to tell you", "")
        person.answer("config.toml? [Y/n]: ", "")
        assert person.end() == 0
    config = tomllib.loads((tmp_path / "config.toml").read_text())
    assert config["accounts"]["sonzai"].get("same_as") == ("cekura" if agrees else None)
    # Whose meters are judged elsewhere needs no rule of its own.
    assert ("rules" in config) is not agrees
    check(tmp_path)


def test_a_file_that_is_rewritten_stays_as_private_as_it_was_and_a_link_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("a")
    real.chmod(0o640)
    link.symlink_to(real)
    rewrite_file(link, "b")
    assert (real.read_text(), stat.S_IMODE(real.stat().st_mode), link.is_symlink()) == ("b", 0o640, True)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        pytest.param("file/config.toml", "can't be written: {}/file: is no folder", id="below a file"),
        pytest.param("file/a/b.toml", "can't be written: {}/file: is no folder", id="further below a file"),
        pytest.param("", "is a folder; name a file in it, such as {}/config.toml", id="a folder"),
    ],
)
def test_a_place_that_can_not_be_written_is_said_before_all_else(place: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = CliRunner().invoke(app, ["init", "-c", str(tmp_path / place)])
    assert isinstance(ran.exception, BudgetdError)
    assert str(ran.exception) == f"{tmp_path / place}: {said.format(tmp_path)}"


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BudgetdError, match="can't be written"):
        write_file(tmp_path / "file" / "config.toml", "", 0o600, force=False)
    write_file(tmp_path / "there", "", 0o600, force=False)
    with pytest.raises(UsageError, match="is there already"):
        write_file(tmp_path / "there", "", 0o600, force=False)


# --- the parts


@pytest.mark.parametrize(
    ("said", "text", "is_literal"),
    [
        pytest.param("ENV:KEY", '{ env = "KEY" }', False, id="a variable"),
        pytest.param("FILE:/a/b", '{ file = "/a/b" }', False, id="a file"),
        pytest.param("CREDENTIAL:slack", '{ credential = "slack" }', False, id="a credential"),
        pytest.param(" sk-1 ", '{ file = "voice.key" }', True, id="the key itself"),
        pytest.param("https://hooks.example/x", '{ file = "voice.key" }', True, id="a URL has a colon, too"),
    ],
)
def test_what_is_said_for_a_secret(said: str, text: str, is_literal: bool) -> None:
    kept = keep(said, "voice.key")
    assert (kept.text, kept.literal is not None) == (text, is_literal)


def test_a_file_is_meant_from_where_the_person_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = read_reference("FILE:key")
    assert source
    assert source.file == tmp_path / "key"


@pytest.mark.parametrize("said", ["ENV:", "  ", "FILE: "])
def test_half_a_secret(said: str) -> None:
    with pytest.raises(ValueError, match=r"empty|nothing follows"):
        keep(said, "voice.key")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        pytest.param("cekura", ["cekura"], id="a name"),
        pytest.param("2", ["cekura"], id="a number"),
        pytest.param("ek", ["cekura"], id="a part"),
        pytest.param("UNIQ", ["uniqos"], id="a part of its title"),
        pytest.param("0", [], id="no number"),
        pytest.param("zzz", [], id="none"),
    ],
)
def test_finding_a_vendor(said: str, found: list[str]) -> None:
    known = {
        name: one for name, one in load_shelf().providers.items() if name in ("cargo", "cekura", "sonzai", "uniqos")
    }
    assert find_providers(said, sorted(known), known) == found
    assert len(find_providers("?", [], known)) == 4


@pytest.mark.parametrize(
    ("fields", "conditions"),
    [
        pytest.param({"remaining": Decimal("184.2")}, ["remaining < 37", "remaining < 9.2"], id="of how much"),
        pytest.param({"remaining": Decimal(1234567)}, ["remaining < 250000", "remaining < 62000"], id="a large one"),
        pytest.param({"remaining": Decimal("0.63")}, ["remaining < 0.13", "remaining < 0.032"], id="a small one"),
        pytest.param({"remaining": Decimal(5), "granted": Decimal(9)}, [], id="a percentage is known"),
        pytest.param({"remaining": Decimal(0)}, [], id="nothing is left"),
        pytest.param({"remaining": UNLIMITED}, [], id="no end to it"),
        pytest.param({}, [], id="nothing is known"),
    ],
)
def test_the_rule_of_a_balance(fields: dict[str, Decimal], conditions: list[str]) -> None:
    view = viewed(reading("credits/EUR", fields=fields, unit="EUR\n"))
    account = AccountDraft(name="a.b", provider="x", key=Kept(source=SecretSource(env="K")))
    channel = ChannelDraft(name="c.d", url=Kept(source=SecretSource(env="U")))
    config = tomllib.loads(config_text(account, channel, draft_rules([view])))
    assert list(config["accounts"]) == ["a.b"]
    assert [
        text for rule in config.get("rules", {}).values() for text in (rule["warning"], rule["critical"])
    ] == conditions
    assert list(config.get("rules", {})) == (["voice-credits-eur-low"] if conditions else [])


def test_a_secret_on_its_way_shows_itself_nowhere() -> None:
    assert CANARY not in repr(Kept(source=SecretSource(file=Path("x")), literal=Secret(CANARY)))


# --- at a terminal


@pytest.fixture
def environment(vendors: VendorServer) -> dict[str, str]:
    return {"HOME": os.environ["HOME"], "XDG_CONFIG_HOME": os.environ["HOME"] + "/conf", "no_proxy": "127.0.0.1"}


def test_questions_from_the_vendor_to_the_written_file(
    vendors: VendorServer, environment: dict[str, str], tmp_path: Path
) -> None:
    words = ["init", "--base-url", vendors.base_url(Vendor.CEKURA)]
    inbox = Inbox()
    with Webhook("ops", inbox) as webhook, Terminal(*words, environment=environment, folder=tmp_path) as person:
        person.answer("Vendor: ", "nosuch")
        person.expect("none is called 'nosuch'")
        person.answer("Vendor: ", "ceku")
        person.answer("A name for the account [cekura]: ", "a b")
        person.answer("A name for the account [cekura]: ", "voice")
        person.answer("Key (not shown", CANARY)
        person.expect("rejected at info")
        person.answer("That did not work (another key, write it anyway, quit): ", "a")
        person.answer("Key (not shown", KEY)
        person.expect("7,436.08")
        person.answer("Where to tell you", f"nonsense://{CANARY}")
        person.expect("Apprise does not accept this URL")
        person.answer("Where to tell you", webhook.url)
        person.answer("Send a test message now? [Y/n]: ", "")
        person.expect("channel ops: sent as")
        person.answer("config.toml? [Y/n]: ", "")
        assert person.end() == 0
    folder = Path(environment["XDG_CONFIG_HOME"]) / "budgetd"
    assert written(folder) == {"config.toml": 0o600, "ops.url": 0o600, "voice.key": 0o600}
    for secret in (KEY, CANARY, webhook.url):
        assert secret not in person.shown
    assert [one.title for one in inbox.received] == ["TEST of the channel ops"]
    check(folder)


def test_without_a_channel_and_written_anyway(
    vendors: VendorServer, environment: dict[str, str], tmp_path: Path
) -> None:
    words = ["init", "--provider", "cekura", "--base-url", vendors.base_url(Vendor.CEKURA), "-c", "config.toml"]
    with Terminal(*words, environment=environment, folder=tmp_path) as person:
        person.answer("A name for the account", "")
        person.answer("Key (not shown", "ENV:NO_SUCH_KEY")
        person.expect("the environment variable NO_SUCH_KEY is not set")
        person.answer("That did not work", "x")
        person.answer("That did not work", "w")
        person.answer("Where to tell you", "")
        person.expect("nobody will be told anything")
        person.answer("config.toml? [Y/n]: ", "")
        assert person.end() == 78  # what `check` says of it
    assert written(tmp_path) == {"config.toml": 0o600}


@pytest.mark.parametrize("how", ["q", "no", "\x04"], ids=["quit", "not written", "the end of the input"])
def test_giving_up_writes_nothing(how: str, vendors: VendorServer, environment: dict[str, str], tmp_path: Path) -> None:
    words = ["init", "--provider", "cekura", "--base-url", vendors.base_url(Vendor.CEKURA), "-c", "config.toml"]
    with Terminal(*words, environment=environment, folder=tmp_path) as person:
        person.answer("A name for the account", "")
        person.answer("Key (not shown", CANARY if how == "q" else KEY)
        if how == "q":
            person.answer("That did not work", "q")
        else:
            person.answer("Where to tell you", how if how == "\x04" else "")
        if how == "no":
            person.answer("config.toml? [Y/n]: ", "n")
        assert person.end() == 1
    assert written(tmp_path) == {}
