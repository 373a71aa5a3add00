"""`same_as`: two accounts that are one at the vendor are told once, and each has a connection of its own."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.config import load_config
from budgetd.errors import ConfigError
from budgetd.planning import make_outline
from budgetd.same_as import find_twins
from budgetd.store import database, polls
from budgetd.store.polls import Finished
from budgetd_rules.explanation import Known, explain
from budgetd_rules.judgement import Ruleset, judge
from budgetd_rules.kinds import Kind
from budgetd_rules.polls import CONNECTION, Cause, Outage, Poll
from budgetd_rules.routing import Routing
from build import NOON, account, minutes, reading, rule, viewed
from conftest import WriteConfig
from house import House

ACCOUNT = '[accounts.{}]\nprovider = "{}"\napi_key = "k"\n{}\n'
TWIN = replace(account("batch"), same_as="voice")
FAILS = rule("fails", kind=Kind.CONNECTION, warning="failures > 0", critical=None)


@pytest.mark.parametrize(
    ("accounts", "problem"),
    [
        pytest.param([("a", "cekura", "voic")], "no other account is named 'voic'; did you mean voice?", id="misspelt"),
        pytest.param([("a", "cekura", "a")], "no other account is named 'a'; known: voice", id="itself"),
        pytest.param(
            [("a", "cargo", "voice")], "voice is of the provider cekura, and this account of cargo", id="another's"
        ),
        pytest.param(
            [("b", "cekura", "voice"), ("a", "cekura", "b")],
            "b has a same_as itself: name the account that is judged",
            id="a chain",
        ),
        pytest.param(
            [("a", "cekura", "off")], "off is not enabled, so that nobody would hear of their meters", id="off"
        ),
    ],
)
def test_what_an_account_can_not_be_the_same_as(
    accounts: list[tuple[str, str, str]], problem: str, write_config: WriteConfig
) -> None:
    text = ACCOUNT.format("voice", "cekura", "") + ACCOUNT.format("off", "cekura", "enabled = false")
    text = text if any(other == "off" for _, _, other in accounts) else ACCOUNT.format("voice", "cekura", "")
    path = write_config(
        text + "".join(ACCOUNT.format(name, of, f'same_as = "{other}"') for name, of, other in accounts)
    )
    with pytest.raises(ConfigError) as failed:
        make_outline(load_config(path))
    assert failed.value.problems == (f"{path}: accounts.a.same_as: {problem}",)


def test_a_circle_is_refused_at_both(write_config: WriteConfig) -> None:
    path = write_config(ACCOUNT.format("a", "cekura", 'same_as = "b"') + ACCOUNT.format("b", "cekura", 'same_as = "a"'))
    with pytest.raises(ConfigError) as failed:
        make_outline(load_config(path))
    assert len(failed.value.problems) == 2


def test_what_happens_to_both_is_told_once(tmp_path: Path) -> None:
    house = House(tmp_path / "x.db", rules=[rule()], accounts=[account(), TWIN])
    house.read(reading(remaining=400), reading(account="batch", remaining=400))
    house.judge(NOON)
    house.deliver(NOON)
    assert house.titles == ["ops: WARNING voice: 400 credits left"]


def test_the_connection_of_each_is_its_own(tmp_path: Path) -> None:
    house = House(tmp_path / "x.db", rules=[FAILS], accounts=[account(), TWIN])
    house.poll("batch", (), NOON, [Outage(request="info", cause=Cause.REJECTED, detail="401")])
    house.judge(NOON)
    assert house.rows("SELECT account, meter FROM episodes") == [("batch", CONNECTION)]


def test_an_episode_that_was_open_is_parked_unsaid_when_the_account_becomes_a_twin() -> None:
    routing = Routing(routes=(), group_wait={"ops": timedelta(0)})
    views = {"batch": {"credits": viewed(reading(account="batch", remaining=400))}}
    opened = judge(Ruleset([rule()], [account("batch")]), routing, views, {}, NOON)
    watches = {watch.key: watch for watch in opened.watches}
    parked = judge(Ruleset([rule()], [account(), TWIN]), routing, views, watches, minutes(1))
    assert (parked.changes, [watch.parked_at for watch in parked.watches]) == ((), [minutes(1)])


@pytest.mark.parametrize(
    ("one", "meter", "answer"),
    [
        pytest.param(rule(), "credits", "no: it is judged at voice", id="a meter"),
        pytest.param(FAILS, CONNECTION, "yes: a connection is each account's own", id="the connection"),
    ],
)
def test_explain_says_where_a_meter_is_judged(one: object, meter: str, answer: str) -> None:
    asked = FAILS if one is FAILS else rule()
    kind = Kind.CONNECTION if meter == CONNECTION else Kind.BALANCE
    ruleset, routing = Ruleset([asked], [account(), TWIN]), Routing(routes=(), group_wait={})
    (explained,) = explain(ruleset, routing, asked.name, "batch", {meter: kind}, Known(), NOON)
    assert [f"{gate.answer}: {gate.reason}" for gate in explained.gates if gate.name == "same_as"] == [answer]
    assert explained.is_watched is (kind is Kind.CONNECTION)


# --- the hint


def put(path: Path, name: str, identity: str | None) -> None:
    db = database.open_for_daemon(path)
    readings = (reading(account=name, remaining=400),)
    seen = Poll(account=name, provider="cekura", at=NOON, readings=readings, outages=(), identity=identity)
    polls.record(db, [Finished(poll=seen, next_poll_at=minutes(5))])
    db.close()


HINT = 'accounts.batch: at Cekura this is the same as voice; same_as = "voice" would have it told only once'


@pytest.mark.parametrize("verb", ["check", "status"])
@pytest.mark.parametrize(
    ("identities", "same_as", "is_hinted"),
    [
        pytest.param(("org-3f", "org-3f"), "", True, id="one at the vendor"),
        pytest.param(("org-3f", "org-40"), "", False, id="two"),
        pytest.param((None, None), "", False, id="nobody knows"),
        pytest.param(("org-3f", "org-3f"), 'same_as = "voice"', False, id="said already"),
    ],
)
def test_accounts_that_are_one_at_the_vendor(
    verb: str,
    identities: tuple[str | None, str | None],
    same_as: str,
    is_hinted: bool,
    write_config: WriteConfig,
    tmp_path: Path,
) -> None:
    accounts = ACCOUNT.format("voice", "cekura", "") + ACCOUNT.format("batch", "cekura", same_as).replace('"k"', '"l"')
    path = write_config(f'[daemon]\nstate = "x.db"\n{accounts}')
    for name, identity in zip(("voice", "batch"), identities, strict=True):
        put(tmp_path / "x.db", name, identity)
    out = CliRunner().invoke(app, [verb, "-c", str(path)]).output
    assert (f"{path}: {HINT}" in out) is is_hinted
    assert "org-" not in out


@pytest.mark.parametrize(
    ("others", "identities", "is_hinted"),
    [
        pytest.param("", {}, True, id="the same key"),
        pytest.param("", {"voice": "37"}, True, id="and only one is known to the vendor"),
        pytest.param("", {"voice": "37", "batch": "38"}, False, id="and the vendor says they are two"),
        pytest.param('base_url = "https://eu.example"', {}, False, id="at another place"),
        pytest.param('same_as = "voice"', {}, False, id="said already"),
        pytest.param("enabled = false", {}, False, id="not enabled"),
        pytest.param('api_key = { command = ["true"] }', {}, False, id="another key"),
    ],
)
def test_accounts_of_the_same_key(
    others: str, identities: dict[str, str], is_hinted: bool, write_config: WriteConfig, tmp_path: Path
) -> None:
    batch = ACCOUNT.format("batch", "cekura", others)
    if "api_key" in others:
        batch = batch.replace('api_key = "k"\n', "")
    path = write_config(f'[daemon]\nstate = "x.db"\n{ACCOUNT.format("voice", "cekura", "")}{batch}')
    for name, identity in identities.items():
        put(tmp_path / "x.db", name, identity)
    out = CliRunner().invoke(app, ["check", "-c", str(path)]).output
    assert (f"{path}: {HINT}" in out) is is_hinted


def test_of_several_twins_each_is_the_same_as_the_first() -> None:
    accounts = {name: account(name) for name in "abcd"}
    assert find_twins(accounts, {"b": "1", "c": "1", "d": "1"}, {"a": "k", "b": "k"}) == {"b": "a", "c": "b", "d": "b"}


@pytest.mark.parametrize(("other", "is_hinted"), [("y", False), ("x", True)])
def test_keys_of_commands_are_told_apart_by_the_command(other: str, is_hinted: bool, write_config: WriteConfig) -> None:
    accounts = "".join(
        f'[accounts.{name}]\nprovider = "cekura"\napi_key = {{ command = ["true", "{of}"] }}\n'
        for name, of in (("voice", "x"), ("batch", other))
    )
    out = CliRunner().invoke(app, ["check", "-c", str(write_config(accounts))]).output
    assert (HINT in out) is is_hinted


def test_status_shows_whose_meters_are_judged_elsewhere(write_config: WriteConfig, tmp_path: Path) -> None:
    accounts = ACCOUNT.format("voice", "cekura", "") + ACCOUNT.format("batch", "cekura", 'same_as = "voice"')
    path = write_config(f'[daemon]\nstate = "x.db"\n{accounts}')
    put(tmp_path / "x.db", "batch", "37")
    out = CliRunner().invoke(app, ["status", "-c", str(path)]).output
    assert "the same as voice, where its meters are judged" in out
    assert "watched by no rule" not in out


def test_check_needs_no_store(write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database")
    path = write_config('[daemon]\nstate = "x.db"\n' + ACCOUNT.format("voice", "cekura", ""))
    assert CliRunner().invoke(app, ["check", "-c", str(path)]).exit_code == 0
