"""Drafts of provider files: what documented answers propose, that it loads, and that nothing secret is in it."""

import json
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.drafts.addresses import read_address
from budgetd.drafts.drafting import propose
from budgetd.drafts.leaves import is_name, words_of
from budgetd.drafts.proposal import Proposal
from budgetd.drafts.provider_draft import check_loads, draft_provider, read_sample
from budgetd.drafts.provider_text import Wanted
from budgetd.errors import BudgetdError, UsageError
from collecting import DATA, answer, document, read

SAMPLES: Final = tomllib.loads((DATA / "proposals.toml").read_text())["sample"]
CANARY: Final = "canary-3f9b27c1"
WANTED: Final = Wanted(name="acme", address=None, header=None)


def found(proposal: Proposal) -> dict[str, list[str]]:
    """field -> the paths in the sample that it reads."""
    fields: dict[str, list[str]] = {}
    for meter in proposal.meters:
        for name, field in meter.fields.items():
            fields.setdefault(name, []).append(place(proposal, meter.each, field.text))
    return fields


def place(proposal: Proposal, each: str | None, text: str) -> str:
    if text.startswith("item."):
        return f"{'' if each == '@' else each}[].{text.removeprefix('item.')}"
    name = text.removeprefix("sum(").removesuffix(")")
    return proposal.values[name].path if name in proposal.values else text


def sample(text: str) -> object:
    return read_sample(text.encode(), "sample.json")


def exact(answer: object) -> object:
    """With the numbers as they are read."""
    return sample(json.dumps(answer))


@pytest.mark.parametrize("case", [pytest.param(one, id=one["vendor"]) for one in SAMPLES])
def test_what_a_documented_answer_proposes(case: dict[str, Any]) -> None:
    text, proposal = "", propose(sample(case["json"]))
    wrong = {name: path for name, path in case["fields"].items() if path not in found(proposal).get(name, [])}
    assert bool(wrong) == ("missed" in case), wrong
    if proposal.meters:
        text, _ = draft_provider(WANTED, sample(case["json"]), "sample.json")
        assert check_loads("acme", text).meters.keys() == {meter.name for meter in proposal.meters}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        pytest.param(
            "cekura/billing_info",
            {
                "remaining": "credits_remaining",
                "granted": "initial_balance",
                "used": "credits_used",
                "status": "subscription_status.status",
                "plan": "subscription_status.pack_name",
                "days_until_expiry": "subscription_status.days_until_expiry",
                "last_payment_at": "subscription_status.last_payment_at",
                "trial": "subscription_status.is_trial",
            },
            id="cekura",
        ),
        pytest.param(
            "cargo/subscription",
            {
                "used": "subscription.subscriptionCreditsUsedCount",
                "resets_at": "subscription.resetAt",
                "expires_at": "subscription.endAt",
                "status": "subscription.subscriptionStatus",
                "pending_change": "subscription.hasPendingChange",
            },
            id="cargo",
        ),
        pytest.param(
            "sonzai/billing",
            {"remaining": "creditBalance", "limit": "postpaidLimitUsd", "currency": "currency"},
            id="sonzai",
        ),
        pytest.param(
            "sonzai/contract",
            {
                "expires_at": "endDate",
                "auto_renew": "autoRenew",
                "due_at": "paymentSchedule[].dueDate",
                "paid": "paymentSchedule[].paid",
                "amount": "paymentSchedule[].amountUsd",
            },
            id="sonzai's contract",
        ),
    ],
)
def test_what_the_answers_of_our_own_vendors_propose(name: str, fields: dict[str, str]) -> None:
    proposed = found(propose(exact(document(name))))
    assert {field: path for field, path in fields.items() if path not in proposed.get(field, [])} == {}


def expiry_of(proposal: Proposal, meter: str) -> str:
    (one,) = (one for one in proposal.meters if one.name == meter)
    return proposal.values[one.fields["expires_at"].text].path


def test_two_expiries_go_to_where_they_stand() -> None:
    proposal = propose(exact(document("cekura/billing_info")))
    assert expiry_of(proposal, "credits") == "balance_expiry"
    assert expiry_of(proposal, "subscription") == "subscription_status.expire_at"


@pytest.mark.parametrize(
    ("answer", "meters"),
    [
        pytest.param({"credits": 5}, {"credits": "balance"}, id="nothing but credits"),
        pytest.param({"value": 5}, {"balance": "balance"}, id="the only number there is"),
        pytest.param({"used": 1, "limit": 2}, {"quota": "quota"}, id="a quota"),
        pytest.param({"credits_used": 1, "credits_total": 9}, {"credits": "balance"}, id="credits without a rest"),
        pytest.param(
            {"daily": {"used": 1, "limit": 2}, "monthly": {"used": 1, "limit": 9}},
            {"daily": "quota", "monthly": "quota"},
            id="two of the same names",
        ),
        pytest.param({"plan": "pro", "status": "active"}, {"subscription": "subscription"}, id="only texts"),
        pytest.param(
            {"connection": {"used": 1, "limit": 2}}, {"connection_connection": "quota"}, id="a name that is ours"
        ),
        pytest.param(
            [{"name": "a", "balance": 1}, {"name": "b", "balance": 2}], {"balance": "balance"}, id="a bare list"
        ),
        pytest.param(
            {"amounts": [{"dueDate": "2026-05-01", "amount": 3, "paid": False}]}, {"amounts": "charge"}, id="charges"
        ),
        pytest.param({"days": [{"date": "2026-05-01", "cost": 3}]}, {"costs": "spend"}, id="costs by day"),
    ],
)
def test_which_meters_are_proposed(answer: object, meters: dict[str, str]) -> None:
    text, proposal = draft_provider(WANTED, exact(answer), "sample.json")
    assert {meter.name: meter.kind for meter in proposal.meters} == meters
    check_loads("acme", text)


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        pytest.param({"remaining": 400, "limit": 100}, "data.limit", id="a limit below what is left is another's"),
        pytest.param({"remaining": 4, "balance_threshold": 100}, "data.balance_threshold", id="a threshold"),
        pytest.param({"remaining": 4, "days_remaining": 14}, "data.days_remaining", id="days are no credits"),
        pytest.param({"remaining": 4, "price_per_credit": 2}, "data.price_per_credit", id="a price"),
        pytest.param({"remaining": 4, "is_beta": True}, "data.is_beta", id="a flag"),
        pytest.param({"remaining": 4, "created_at": "2026-05-01T00:00:00Z"}, "data.created_at", id="a date"),
    ],
)
def test_what_is_not_mapped_is_listed(answer: dict[str, object], what: str) -> None:
    text, proposal = draft_provider(WANTED, exact({"data": answer}), "sample.json")
    assert [path for path, _ in proposal.left_over] == [what]
    assert f"#   not mapped: {what} (" in text


@pytest.mark.parametrize(
    ("answer", "comment"),
    [
        pytest.param({"credits": 5}, "GUESS: its name may mean something else", id="a bare noun"),
        pytest.param(
            {"calls": 30, "left": 70, "pack": 100}, "in the sample used and left are together", id="by arithmetic"
        ),
        pytest.param(
            {"granted": 9, "used": 1, "credits": None}, "GUESS: nothing in the sample says what is left", id="derived"
        ),
        pytest.param({"remaining": 5, "limit": -1}, "unlimited = [-1] } # GUESS", id="no limit"),
        pytest.param({"remaining": 5, "expires_at": None}, "null in the sample", id="null"),
        pytest.param(
            {"credits_available": 5, "credits_used": 1}, "GUESS: if it means what was granted", id="available"
        ),
        pytest.param(
            {"credits_left": 5, "credits_used": 1, "initial_credits": 9},
            "may not count the same",
            id="a sum that is none",
        ),
    ],
)
def test_a_guess_is_called_one(answer: dict[str, object], comment: str) -> None:
    assert comment in draft_provider(WANTED, exact({"credits": answer}), "sample.json")[0]


SECRETS: Final = {
    "api_key": CANARY,
    "user": {"email": f"{CANARY}@acme.example", "password": CANARY, "pin_token": 3927150000},
    "keys": {f"sk-live-{CANARY}": {"used": 5, "limit": 9}, f"{CANARY}@acme.example": 5},
    "status": CANARY,
    "currency": CANARY,
    "plan": CANARY,
    "balances": [{"key": CANARY, "token_name": CANARY, "name": CANARY, "balance": 5, "currency": "EUR"}],
    "credits_remaining": 392715,
    "expires_at": "2039-02-07T15:00:00Z",
}


def test_no_value_of_the_sample_gets_into_the_file() -> None:
    text, proposal = draft_provider(WANTED, exact(SECRETS), "sample.json")
    assert CANARY not in text
    assert "3927" not in text
    assert "2039" not in text
    assert [meter.key for meter in proposal.meters if meter.each] == ["name"]


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        pytest.param("subscriptionAvailableCreditsCount", True, id="long"),
        pytest.param("inputTokenPricePer1KUsd", True, id="with a digit"),
        pytest.param("$schema", True, id="with a sign"),
        pytest.param("quota_5_hour", True, id="with a number"),
        pytest.param("4f1d2c3b5a", False, id="an id"),
        pytest.param("sk-live-a1b2c3d4", False, id="a key"),
        pytest.param("0b1c2d3e-0000-4000-8000-000000000001", False, id="a UUID"),
        pytest.param("joe@acme.example", False, id="an address"),
        pytest.param("2026-05-01", False, id="a date"),
        pytest.param("a\nb", False, id="two lines"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_which_keys_are_names(key: str, is_one: bool) -> None:
    assert is_name(key) is is_one


@pytest.mark.parametrize("name", ["remainingCredits", "remaining_credits", "remaining-credits", "RemainingCredits"])
def test_however_a_name_is_written_its_words_are_the_same(name: str) -> None:
    assert words_of(name) == ("remaining", "credits")


KEYS = st.sampled_from(
    ["credits", "remaining", "used", "limit", "balance", "total", "reset_at", "expires_at", "status", "plan", "item",
     "currency", "amount", "dueDate", "paid", "date", "data", "usage", "limits", "a b", 'a"b', "x-y", "5", "connection",
     "é", "or", "in", "true", "None"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**14).map(Decimal) | st.sampled_from(["", "x", "12.5", "2026-05-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


@given(JSON)
def test_whatever_is_proposed_loads_and_polls(sample: object) -> None:
    if propose(sample).meters:
        text, _ = draft_provider(WANTED, sample, "sample.json")
        poll = read(check_loads(WANTED.name, text), info=answer(json.dumps(sample, default=int)))
        assert poll.readings or poll.outages


def test_no_sample_is_too_deep() -> None:
    deep: object = {"used": Decimal(1)}
    for _ in range(2000):
        deep = {"data": deep, "items": [deep]}
    assert [meter.name for meter in propose({"credits": {"remaining": Decimal(5)}, "data": deep}).meters] == ["credits"]


# --- where it was asked


@pytest.mark.parametrize(
    ("url", "base", "path", "query", "auth", "params"),
    [
        pytest.param("https://a.example", "https://a.example", "/", {}, {}, [], id="a host alone"),
        pytest.param("https://a.example/v1/usage/", "https://a.example", "/v1/usage/", {}, {}, [], id="a path"),
        pytest.param(
            "https://a.example/v1/projects/4f1d2c3b5a/usage?limit=100",
            "https://a.example",
            "/v1/projects/{project_id}/usage",
            {"limit": "100"},
            {},
            ["project_id"],
            id="an id in the path is a param",
        ),
        pytest.param(
            f"https://a.example/usage?api_key={CANARY}&secret={CANARY}",
            "https://a.example",
            "/usage",
            {},
            {"api_key": "{api_key}", "secret": "{secret}"},
            ["secret"],
            id="secrets in the query",
        ),
        pytest.param(
            "https://a.example/costs?start_time=1730419200&to=2026-05-01&org=4f1d2c3b5a",
            "https://a.example",
            "/costs",
            {"start_time": "{month_start_unix}", "to": "{now_date}", "org": "{org}"},
            {},
            ["org"],
            id="times, and an id in the query",
        ),
    ],
)
def test_an_address_taken_apart(
    url: str, base: str, path: str, query: dict[str, str], auth: dict[str, str], params: list[str]
) -> None:
    address = read_address(url, has_header=False)
    assert (address.base_url, address.path, address.query, address.auth) == (base, path, query, auth)
    assert list(address.params) == params
    check_loads(
        "acme", draft_provider(Wanted(name="acme", address=address, header=None), exact({"credits": 1}), "x")[0]
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param("api.acme.example/usage", "expected the address", id="no scheme"),
        pytest.param(f"https://joe:{CANARY}@acme.example/", "leave out the user", id="a user"),
        pytest.param("https://[oops/", "expected the address", id="none at all"),
    ],
)
def test_an_address_that_is_none(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as failed:
        read_address(url, has_header=False)
    assert CANARY not in str(failed.value)


def test_with_a_header_for_the_key_the_query_has_none() -> None:
    address = read_address("https://a.example/?token=x", has_header=True)
    text, _ = draft_provider(Wanted(name="acme", address=address, header="X-Api-Key"), exact({"credits": 1}), "x")
    assert 'auth = { header = "X-Api-Key", value = "{api_key}", query = { token = "{token}" } }' in text
    assert check_loads("acme", text).params["token"].secret


# --- the command

New = Callable[..., tuple[int, str]]


@pytest.fixture
def new(tmp_path: Path) -> New:
    (tmp_path / "sample.json").write_text('{"credits_remaining": 5}')

    def run(*words: str, stdin: str | None = None) -> tuple[int, str]:
        line = ["providers", "new", "acme", "--config", str(tmp_path / "config.toml"), *words]
        ran = CliRunner().invoke(app, line, input=stdin)
        error = ran.exception if isinstance(ran.exception, BudgetdError) else None
        return (error.exit_code, str(error)) if error else (ran.exit_code, ran.output)

    return run


def test_the_file_is_written_beside_the_config_and_never_over_another(new: New, tmp_path: Path) -> None:
    sample, file = str(tmp_path / "sample.json"), tmp_path / "providers.d" / "acme.toml"
    code, out = new("--from-json", sample, "--url", "https://api.acme.example/v1/usage")
    assert code == 0
    assert out.startswith(f"{file}: written; a guess by names, so read it through\n  credits (balance): remaining = ")
    file.write_text("mine")
    assert new("--from-json", sample) == (2, f"{file} is there already; --force replaces it")
    assert file.read_text() == "mine"
    assert new("--from-json", sample, "--force")[0] == 0
    assert 'name = "acme"' in file.read_text()
    assert [one.name for one in file.parent.iterdir()] == ["acme.toml"]


def test_from_standard_input_to_standard_output(new: New, tmp_path: Path) -> None:
    code, out = new("--from-json", "-", "--out", "-", stdin='{"credits_remaining": 5}')
    assert code == 0
    assert tomllib.loads(out)["meters"]["credits"]["remaining"] == "credits_remaining"
    assert not (tmp_path / "providers.d").exists()


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        pytest.param(["--from-json", "none.json"], None, "none.json: can't be read: No such file", id="no such file"),
        pytest.param(["--from-json", "-"], f'{{"a": "{CANARY}', "is no JSON: line 1, column 7", id="no JSON"),
        pytest.param(["--from-json", "-"], "5", "is neither an object nor a list", id="a number"),
        pytest.param(
            ["--from-json", "-"], '{"a": 1, "b": 2}', "It has\n  a (number)\n  b (number)", id="nothing to guess"
        ),
        pytest.param(["--from-json", "-", "--out", "b.toml"], "{}", "is called as it is: acme.toml", id="another name"),
        pytest.param(
            ["--from-json", "-", "--header", f"Authorization: Bearer {CANARY}"],
            "{}",
            "the header's",
            id="a header's value",
        ),
        pytest.param(["--from-json", "-", "--url", f"x?key={CANARY}"], "{}", "--url: expected", id="no address"),
    ],
)
def test_bad_words(words: list[str], stdin: str | None, said: str, new: New) -> None:
    code, out = new(*words, stdin=stdin)
    assert code == 2
    assert said.replace("the header's", "expected the name of a header alone") in out
    assert CANARY not in out


@pytest.mark.parametrize("name", ["Acme", "../acme", "new", "a b"])
def test_a_name_that_is_none(name: str, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["providers", "new", name, "--from-json", "-"], input="{}")
    assert isinstance(ran.exception, UsageError)
    assert "is no name for a provider" in str(ran.exception)
