"""`act` against a loopback Sonzai: asked before it is sent, sent once, recorded, and silent about secrets."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
from typer.testing import CliRunner

from budgetd.cli.app import app
from budgetd.demo.loopback import Answer, Fault, HttpServer, Request
from budgetd.errors import BudgetdError
from budgetd.store import database
from collecting import document

KEY = "canary-key-5511"
CODE = "canary-voucher-7788"
LINK = "https://checkout.example/pay/cs_" + "x" * 300


@dataclass
class Vendor:
    """The requests received, and the response to give."""

    answer: Answer | Fault = field(default_factory=lambda: Answer(status=HTTPStatus.OK, body=b"{}"))
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer | Fault:
        self.requests.append(request)
        return self.answer

    def says(self, body: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.answer = Answer(status=status, body=json.dumps(body).encode())


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    said: str
    """What the error says."""


Command = Callable[..., Ran]


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def act(vendor: Vendor, tmp_path: Path) -> Iterator[Command]:
    database.open_for_daemon(tmp_path / "budgetd.db").close()
    config = tmp_path / "config.toml"
    with HttpServer(vendor) as server:
        config.write_text(
            f'[daemon]\nstate = "budgetd.db"\n[accounts.companion]\nprovider = "sonzai"\napi_key = "{KEY}"\n'
            f'base_url = "{server.url}"\ntimeout = "2s"\n[accounts.voice]\nprovider = "cekura"\napi_key = "{KEY}"\n'
        )
        config.chmod(0o600)

        def run(*words: str, stdin: str | bytes = "") -> Ran:
            ran = CliRunner().invoke(app, ["act", *words, "--config", str(config)], input=stdin)
            if ran.exception and not isinstance(ran.exception, SystemExit | BudgetdError):
                raise ran.exception
            is_ours = isinstance(ran.exception, BudgetdError)
            code = ran.exception.exit_code if isinstance(ran.exception, BudgetdError) else ran.exit_code
            return Ran(code, ran.output, str(ran.exception) if is_ours else "")

        yield run


def recorded(act: Command) -> list[dict[str, object]]:
    shapes: list[dict[str, object]] = json.loads(act("--json").out)
    return shapes


def test_a_payment_link(act: Command, vendor: Vendor, tmp_path: Path) -> None:
    vendor.says({"$schema": "/api/v1/schemas/OrgBillingURLBody.json", "url": LINK})
    ran = act("companion", "checkout", "amount=5000", "--yes")
    assert (ran.code, ran.out) == (0, f"checkout: done\npayment link: {LINK}\n")
    (request,) = vendor.requests
    assert (request.method, request.path) == ("POST", "/api/v1/org/billing/checkout")
    assert json.loads(request.body) == {"amount": 5000}
    assert request.headers["authorization"] == f"Bearer {KEY}"
    (started,) = recorded(act)
    assert started.pop("at")
    assert started.pop("by")
    assert started == {
        "account": "companion",
        "action": "checkout",
        "args": {"amount": 5000},
        "ending": "done",
        "detail": "",
    }
    # A link is as good as the money: whoever asked has it, and nobody else.
    assert "checkout.example" not in "\n".join(sqlite3.connect(tmp_path / "budgetd.db").iterdump())


@pytest.mark.parametrize(
    ("words", "path", "body", "answer", "shown"),
    [
        (("portal",), "/api/v1/org/billing/portal", b"", {"url": LINK}, f"portal link: {LINK}"),
        (
            ("subscribe", "contract=3e2f6a54"),
            "/api/v1/org/contract/subscribe",
            b'{"contractId": "3e2f6a54"}',
            {"url": LINK},
            f"payment link: {LINK}",
        ),
    ],
)
def test_the_other_links(
    words: tuple[str, ...], path: str, body: bytes, answer: object, shown: str, act: Command, vendor: Vendor
) -> None:
    vendor.says(answer)
    assert act("companion", *words, "--yes").out == f"{words[0]}: done\n{shown}\n"
    assert [(one.path, one.body) for one in vendor.requests] == [(path, body)]


def test_a_voucher_is_a_secret(act: Command, vendor: Vendor, tmp_path: Path) -> None:
    vendor.says({"creditAmountUsd": 50.5, "message": "Redeemed", "newBalance": 174.85, "voucherCode": CODE})
    ran = act("companion", "redeem", "--yes", stdin=f"{CODE}\n")
    assert ran.out.splitlines() == [
        "redeem: done",
        "credited, in USD: 50.5",
        "new balance: 174.85",
        "Sonzai says: Redeemed",
    ]
    assert json.loads(vendor.requests[0].body) == {"code": CODE}
    (tmp_path / "code").write_text(f"{CODE}\n")
    assert act("companion", "redeem", f"code=@{tmp_path}/code", "--yes").code == 0
    assert act("companion", "redeem", "--yes", stdin=b"\xff\n").said == "code: standard input: is not UTF-8 text"
    on_the_line = act("companion", "redeem", f"code={CODE}", "--yes")
    assert on_the_line.code == 2
    assert "others can see command lines: leave it out, or code=@FILE" in on_the_line.said
    vendor.says({"detail": f"{CODE} is used up, {KEY}"}, HTTPStatus.BAD_REQUEST)
    refused = act("companion", "redeem", "--yes", stdin=CODE)
    assert refused.said == "redeem: not done: HTTP 400 (the vendor refused the request): *** is used up, ***"
    assert [one["args"] for one in recorded(act)] == [{}, {}, {}]
    kept = "\n".join(sqlite3.connect(tmp_path / "budgetd.db").iterdump())
    assert "canary" not in kept + refused.said + on_the_line.said + ran.out


def test_what_a_vendor_refuses_is_not_done(act: Command, vendor: Vendor) -> None:
    vendor.says(document("sonzai/error"), HTTPStatus.BAD_REQUEST)
    ran = act("companion", "checkout", "amount=1", "--yes")
    said = "HTTP 400 (the vendor refused the request): Property foo is required but is missing."
    assert (ran.code, ran.said) == (1, f"checkout: not done: {said}")
    assert [(one["ending"], one["detail"]) for one in recorded(act)] == [("refused", said)]


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HANG])
def test_where_no_answer_came_nobody_knows_and_nothing_is_repeated(fault: Fault, act: Command, vendor: Vendor) -> None:
    vendor.answer = fault
    ran = act("companion", "checkout", "amount=1", "--yes")
    assert ran.code == 1
    assert ran.said.startswith("checkout: it is not known whether it was done, look at the vendor's: ")
    assert len(vendor.requests) == 1
    assert [one["ending"] for one in recorded(act)] == ["unknown"]


@pytest.mark.parametrize("status", [HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT])
def test_where_a_gateway_gave_up_nobody_knows_either(status: HTTPStatus, act: Command, vendor: Vendor) -> None:
    vendor.says({"title": "upstream"}, status)
    ran = act("companion", "checkout", "amount=1", "--yes")
    assert (ran.code, len(vendor.requests)) == (1, 1)
    assert ran.said.startswith("checkout: it is not known whether it was done, look at the vendor's: HTTP ")
    assert [one["ending"] for one in recorded(act)] == ["unknown"]


def test_an_answer_without_what_it_was_to_show_says_so(act: Command, vendor: Vendor) -> None:
    vendor.says({"link": "elsewhere"})
    assert act("companion", "portal", "--yes").out == "portal: done, but it answered without what it was to show\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("companien",), "no account is named 'companien'; did you mean companion?"),
        (("voice", "checkout"), "no action is named 'checkout'; Cekura offers nothing to start"),
        (("companion", "chekout"), "no action is named 'chekout'; did you mean checkout?"),
        (("companion", "buy"), "no action is named 'buy'; known: checkout, portal, redeem, subscribe"),
        (("companion", "checkout"), "checkout needs amount: how much, in the smallest unit of the currency (cents)"),
        (("companion", "checkout", "amont=5"), "checkout takes no amont; did you mean amount?"),
        (("companion", "checkout", "amount"), "expected NAME=VALUE, not 'amount'"),
        (("companion", "checkout", "amount=5", "amount=500"), "amount is given twice"),
        (("companion", "checkout", "amount=-5"), "amount is a whole number above zero"),
        (("companion", "checkout", "amount=4.50"), "amount is a whole number above zero"),
        (("companion", "checkout", "amount=@/nosuch"), "amount: /nosuch: No such file or directory"),
        (("companion", "checkout", "amount=5"), "there is no terminal to ask on: add --yes"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_sends_nothing(
    words: tuple[str, ...], said: str, act: Command, vendor: Vendor
) -> None:
    ran = act(*words)
    assert ran.code == 2
    assert said in ran.said
    assert "\n" not in ran.said
    assert vendor.requests == []


def test_an_account_says_what_it_offers(act: Command) -> None:
    out = act("companion").out
    assert "budgetd act companion checkout amount=...\n    make a payment link that buys credits\n" in out
    assert "code: the voucher's code, a secret: leave it out to be asked" in out
    assert act("voice").out == "Cekura offers nothing to start\n"
    shapes = json.loads(act("companion", "--json").out)
    assert [shape["action"] for shape in shapes] == ["checkout", "portal", "subscribe", "redeem"]
    assert act().out == "nothing was started yet\n"


def test_before_the_daemon_has_run_it_is_recorded_all_the_same(act: Command, vendor: Vendor, tmp_path: Path) -> None:
    for file in tmp_path.glob("budgetd.db*"):
        file.unlink()
    assert act("companion").code == 0
    assert not (tmp_path / "budgetd.db").exists()
    assert act("companion", "portal", "--yes").code == 0
    assert [one["action"] for one in recorded(act)] == ["portal"]
    assert len(vendor.requests) == 1


def test_without_a_store_to_record_it_nothing_is_sent(act: Command, vendor: Vendor, tmp_path: Path) -> None:
    for file in tmp_path.glob("budgetd.db*"):
        file.unlink()
    (tmp_path / "budgetd.db").write_text("no database")
    ran = act("companion", "portal", "--yes")
    assert (ran.code, ran.said) == (1, f"{tmp_path}/budgetd.db: file is not a database")
    assert vendor.requests == []


def test_what_was_started_is_listed_for_people(act: Command, vendor: Vendor) -> None:
    vendor.says({"url": LINK})
    act("companion", "checkout", "amount=5000", "--yes")
    out = act().out
    assert "companion   checkout   amount 5000" in out
    assert "done" in out
