"""Provider files: what they may say, and that all that is wrong is said at once, with its place and the fix."""

from datetime import timedelta
from pathlib import Path

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd.collect.paths import compile_path
from budgetd.collect.provider import CATALOG, load_provider, load_shelf
from budgetd.errors import ConfigError
from budgetd_rules.kinds import Kind
from budgetd_rules.polls import Cause
from budgetd_rules.rates import Rate
from collecting import HEAD, make_provider, write_provider

VALUES = """
left = { path = "left", type = "number" }
state = { path = "state", type = "text" }
ends = { path = "ends", type = "time" }
"""
METER = """
[meters.credits]
kind = "balance"
remaining = "left"
"""


def problems_of(folder: Path, text: str, name: str = "acme") -> str:
    with pytest.raises(ConfigError) as caught:
        load_provider(write_provider(folder, text, name))
    assert all(line.startswith(f"{folder / name}.toml: ") for line in caught.value.problems)
    return "\n".join(line.removeprefix(f"{folder / name}.toml: ") for line in caught.value.problems)


def test_a_file_becomes_a_provider(tmp_path: Path) -> None:
    text = HEAD.replace(
        "[requests.info]",
        'interval = "10m"\nmin_interval = "1m"\nrate_limit = { requests = 30, per = "1m" }\nkey_hint = "an org key"\n'
        "[requests.info]",
    )
    provider = load_provider(write_provider(tmp_path, text + VALUES + METER + 'expires_at = "ends"'))
    assert (provider.name, provider.title, provider.docs) == ("acme", "Acme", "docs.acme.example")
    assert (provider.interval, provider.min_interval) == (timedelta(minutes=10), timedelta(minutes=1))
    assert provider.rate_limit == Rate(requests=30, per=timedelta(minutes=1))
    assert provider.key_hint == "an org key"
    assert list(provider.meters) == ["credits"]
    assert provider.meters["credits"].kind is Kind.BALANCE
    assert provider.meters["credits"].gives == {
        *("remaining", "overage", "expires_at", "days_until_expiry", "burn_per_day", "runway_days"),
    }


WRONG = {
    "no TOML": ("name = acme\n", "line 1, column "),
    "nothing": ("", "requests: is missing"),
    "unknown key": ('titel = "x"\n' + HEAD + VALUES + METER, "titel: unknown key; did you mean title?"),
    "unknown key of a request": (
        HEAD.replace('path = "/info"', 'path = "/info"\noptionel = true') + VALUES + METER,
        "requests.info.optionel: unknown key; did you mean optional?",
    ),
    "unknown key of a value": (
        HEAD + 'left = { path = "left", type = "number", unlimitd = [-1] }' + METER,
        "requests.info.values.left.unlimitd: unknown key; did you mean unlimited?",
    ),
    "unknown type": (HEAD + 'left = { path = "left", type = "int" }' + METER, "requests.info.values.left.type: "),
    "unknown kind": (HEAD + VALUES + METER.replace("balance", "balence"), "meters.credits.kind: "),
    "unknown cause": (HEAD.replace("auth =", "causes = { broke = 'x' }\nauth =") + VALUES + METER, "causes.broke"),
    "another name than the file's": ("", "name: is 'acme', and the file is not"),
    "only GET and POST": (
        HEAD.replace('path = "/info"', 'path = "/info"\nmethod = "PUT"') + VALUES + METER,
        'requests.info.method: there is no "PUT" here; known: GET, POST',
    ),
    "a body of a GET": (
        HEAD.replace('path = "/info"', 'path = "/info"\njson = { a = 1 }') + VALUES + METER,
        'requests.info: json is the body of a POST: add method = "POST"',
    ),
    "a body of numbers that JSON would round": (
        HEAD.replace('"/info"', '"/info"\nmethod = "POST"\njson = { a = [{ b = 0.1 }] }') + VALUES + METER,
        "requests.info.json: holds texts, whole numbers, true, false, lists and tables",
    ),
    "a name in a body that is none": (
        HEAD.replace('path = "/info"', 'path = "/info"\nmethod = "POST"\njson = { a = ["{org}"] }') + VALUES + METER,
        "requests.info.json: {org} is neither one of [params], nor a value, nor a time",
    ),
    **{
        f"pages: {name}": (HEAD.replace('"/info"', f'"/info"\npages = {{ {pages} }}') + VALUES + METER, problem)
        for name, (pages, problem) in {
            "nothing": ("", "requests.info.pages.items: is missing"),
            "no way on": ("items = 'data'", "requests.info.pages: takes one of link, link_header, cursor and number"),
            "two ways on": (
                "items = 'data', link = 'next', number = 'page'",
                "requests.info.pages: takes one of link, link_header, cursor and number",
            ),
            "a cursor for nothing": (
                "items = 'data', cursor = 'next'",
                "requests.info.pages: cursor and query (or json) go together",
            ),
            "a query of nothing": (
                "items = 'data', link = 'next', query = 'page'",
                "requests.info.pages: cursor and query (or json) go together",
            ),
            "the first of no number": ("items = 'data', link = 'next', first = 0", "first is for page numbers"),
            "a link in two places": (
                "items = 'data', link = 'next', link_header = true",
                "requests.info.pages: takes one of link, link_header, cursor and number",
            ),
            "a place for no cursor": (
                "items = 'data', link = 'next', json = 'after'",
                "requests.info.pages: cursor and query (or json) go together",
            ),
            "a cursor for two places": (
                "items = 'data', cursor = 'next', query = 'page', json = 'after'",
                "requests.info.pages: takes one of query and json",
            ),
            "a place that is none": (
                "items = 'data', cursor = 'next', json = 'after[0]'",
                "requests.info.pages.json: does not have the form",
            ),
            "a place in no body": (
                "items = 'data', cursor = 'next', json = 'a.after'",
                "requests.info: pages.json: a.after is a place in the body of a POST, and there is none: write",
            ),
            "no dotted name": ("items = 'data[0]', link = 'next'", "requests.info.pages.items: does not have the form"),
            "a link that is no JMESPath": ("items = 'data', link = 'next['", "pages.link: 'next[' is no JMESPath"),
            "too many": ("items = 'data', link = 'next', most = 1000", "pages.most: must be at most 100"),
        }.items()
    },
    "a cursor in the middle of a text": (
        HEAD.replace(
            '"/info"',
            '"/info"\nmethod = "POST"\njson = { a = "b" }\npages = { items = "@", cursor = "next", json = "a.after" }',
        )
        + VALUES
        + METER,
        "requests.info: pages.json: a.after leads through what is no table in json",
    ),
    "a query that pages turns": (
        HEAD.replace('"/info"', '"/info"\nquery = { page = "1" }\npages = { items = "@", number = "page" }')
        + VALUES
        + METER,
        "requests.info: query.page is what pages turns; leave it out here",
    ),
    "a value of a later request": (
        HEAD.replace("/info", "/{plan}/info")
        + VALUES
        + METER
        + '[requests.more]\npath = "/more"\nvalues.plan = { path = "plan", type = "text" }',
        "requests.info.path: {plan} is a value of requests.more, whose answer is not there yet",
    ),
    "a value of the request itself": (
        HEAD.replace("/info", "/{left}/info") + VALUES + METER,
        "requests.info.path: {left} is a value of requests.info, whose answer is not there yet",
    ),
    "a value that can't be sent": (
        HEAD + VALUES + METER + '[requests.more]\npath = "/{ends}/more"',
        "requests.more.path: {ends} is a time, and only text and whole numbers can be sent",
    ),
    "a misspelt value": (
        HEAD + VALUES + METER + '[requests.more]\npath = "/{stat}/more"',
        "requests.more.path: {stat} is neither one of [params], nor a value, nor a time; did you mean state?",
    ),
    "a value in all requests": (
        HEAD.replace("auth =", 'headers = { X-State = "{state}" }\nauth =') + VALUES + METER,
        "headers.X-State: {state} is a value, and has its place in requests alone",
    ),
    "a name of two things": (
        HEAD + VALUES + METER + '[requests.more]\npath = "/{state}/more"\n[params.state]\nhelp = "which"',
        "requests.more.path: {state} is both one of [params] and a value; rename one of them",
    ),
    "a base that is no URL": (HEAD.replace("https://api", "api") + VALUES + METER, "base_url: the URL is none"),
    "a base with a user": (
        HEAD.replace("https://api", "https://me@api") + VALUES + METER,
        "neither a query nor a user",
    ),
    "no key in the header": (
        HEAD.replace("{api_key}", "{token}") + VALUES + METER,
        "auth: nothing of it holds",
    ),
    "no header's name": (HEAD.replace('"Authorization"', '"Author ization"') + VALUES + METER, "auth.header: "),
    "no duration": (
        HEAD.replace("auth =", 'interval = "5 minutes"\nauth =') + VALUES + METER,
        "interval: expected a dur",
    ),
    "a rate in words": (
        HEAD.replace("auth =", 'rate_limit = "30/1m"\nauth =') + VALUES + METER,
        "rate_limit: expected a table, not text; its keys are requests, per",
    ),
    "a rate without a span": (
        HEAD.replace("auth =", "rate_limit = { requests = 30 }\nauth =") + VALUES + METER,
        "rate_limit.per: is missing",
    ),
    "a rate of nothing": (
        HEAD.replace("auth =", 'rate_limit = { requests = 0, per = "1m" }\nauth =') + VALUES + METER,
        "rate_limit.requests: must be at least 1",
    ),
    "a rate of no span": (
        HEAD.replace("auth =", 'rate_limit = { requests = 1, per = "0s" }\nauth =') + VALUES + METER,
        "rate_limit.per: must be longer than nothing",
    ),
    "no JMESPath": (
        HEAD + 'left = { path = "left[", type = "number" }' + METER,
        "values.left.path: 'left[' is no JMESP",
    ),
    "a path that is too long": (
        HEAD + f'left = {{ path = "{"a" * 1001}", type = "number" }}' + METER,
        "requests.info.values.left.path: a path has at most 1,000 characters, and this has 1,001",
    ),
    "a path that is too deep": (
        HEAD + f'left = {{ path = "{"[" * 450}a{"]" * 450}", type = "number" }}' + METER,
        "requests.info.values.left.path: a path is not nested as deeply as this one",
    ),
    "no path": (HEAD + 'left = { path = "", type = "number" }' + METER, "is no JMESPath"),
    "no JMESPath function": (
        HEAD + 'left = { path = "total(left)", type = "number" }' + METER,
        "JMESPath has no function total",
    ),
    "rounding in a path": (
        HEAD + 'left = { path = "items[?to_number(a) > `1`].a | [0]", type = "number" }' + METER,
        "to_number would compute with rounded numbers",
    ),
    "path and header": (
        HEAD + 'left = { path = "left", header = "X-Left", type = "number" }' + METER,
        "values.left: takes either a path or a header",
    ),
    "unlimited text": (
        HEAD + 'left = { path = "left", type = "text", unlimited = ["no"] }' + METER,
        "values.left: unlimited is for numbers",
    ),
    "encoding of a number": (
        HEAD + 'left = { path = "left", type = "number", encoding = "epoch" }' + METER,
        "values.left: encoding is for times",
    ),
    "a name that is no value": (
        HEAD + VALUES + METER.replace('"left"', '"lft - 1"'),
        "meters.credits.remaining: there is no lft here; did you mean left?",
    ),
    "a field that the kind lacks": (
        HEAD + VALUES + METER.replace("remaining", "remaning"),
        "meters.credits.remaning: a balance has no such field; did you mean remaining?",
    ),
    "a field that comes from history": (HEAD + VALUES + METER + 'runway_days = "left"', "a balance has no such field"),
    "a misspelt key of a meter": (HEAD + VALUES + METER + 'unti = "USD"', "no such field; did you mean unit?"),
    "a field of another type": (
        HEAD + VALUES + METER + 'expires_at = "left"',
        "meters.credits.expires_at: takes a time, and left is a number",
    ),
    "a field that is no text": (HEAD + VALUES + METER + "auto_topup = true", "meters.credits.auto_topup: "),
    "no field": (HEAD + VALUES + '[meters.credits]\nkind = "cap"', "meters.credits: has no field; a cap has value"),
    "constants alone": (
        HEAD + VALUES + "[meters.credits]\nkind = \"cap\"\nvalue = '7'",
        "meters.credits: no field of it comes from a value",
    ),
    "when is no condition": (HEAD + VALUES + METER + 'when = "left"', "meters.credits.when: left is a number"),
    "a meter of every account": (
        HEAD + VALUES + METER.replace("meters.credits", "meters.connection"),
        "choose another",
    ),
    "a kind of our own": (HEAD + VALUES + METER.replace('"balance"', '"connection"'), "connection is budgetd's own"),
    "each without key": (HEAD + VALUES + METER + 'each = "info.items"', "each and key go together"),
    "each of no request": (
        HEAD + VALUES + METER + 'each = "inf.items"\nkey = "id"',
        "meters.credits.each: begins with the name of a request, and there is no 'inf'; did you mean info?",
    ),
    "each of no path": (
        HEAD + VALUES + METER + 'each = "info.[["\nkey = "id"',
        "meters.credits.each: '[[' is no JMESP",
    ),
    "item without each": (HEAD + VALUES + METER.replace('"left"', '"item.left"'), "there is no item.left here"),
    "a value called item": (
        HEAD + VALUES + 'item = { path = "a", type = "text" }' + METER,
        "values.item: item is what",
    ),
    "an identity that is no value": (
        HEAD.replace("auth =", 'identity = "lft"\nauth =') + VALUES + METER,
        "identity: no value is named lft; did you mean left?",
    ),
    "a placeholder that is no param": (
        HEAD.replace("/info", "/{organisation}/info") + "[params.organization]\nhelp = 'its id'\n" + METER,
        "requests.info.path: {organisation} is neither one of [params], nor a value, nor a time; did you",
    ),
    "a path that may lack a part": (
        HEAD.replace("/info", "/{org}/info") + VALUES + METER + "[params.org]\nhelp = 'its id'",
        "requests.info.path: {org} may be missing: params.org has to be required, or to have a default",
    ),
    "required with a default": (
        HEAD + VALUES + METER + "[params.org]\nhelp = 'its id'\nrequired = true\ndefault = '1'",
        "params.org: is required or has a default, not both",
    ),
    "no evidence": (HEAD.replace("evidence", "evidenc") + VALUES + METER, "evidence: is missing"),
    "evidence of no kind": (
        HEAD.replace('"confirmed"', '"certain"') + VALUES + METER,
        'evidence: there is no "certain" here; known: confirmed, secondary',
    ),
    "a cause that is ours": (
        HEAD.replace("auth =", "causes = { credential = 'x' }\nauth =") + VALUES + METER,
        "causes.credential: credential is for a key that we can't get hold of",
    ),
    "a success that is no JMESPath": (
        HEAD.replace("auth =", 'success = "code =="\nauth =') + VALUES + METER,
        "success: 'code ==' is no JMESPath",
    ),
    "a query in the path": (HEAD.replace("/info", "/info?a=1") + VALUES + METER, "requests.info.path: does not have"),
    "a brace that holds no name": (
        HEAD.replace("/info", "/info/{a b}") + VALUES + METER,
        "requests.info.path: has a brace without a name in it",
    ),
    "the key in a request": (
        HEAD.replace("/info", "/{api_key}/info") + VALUES + METER,
        "requests.info.path: {api_key} has its place in auth alone",
    ),
    "a time in all requests": (
        HEAD.replace("auth =", 'headers = { X-Since = "{month_start_iso}" }\nauth =') + VALUES + METER,
        "headers.X-Since: {month_start_iso} is a time, and has its place in requests alone",
    ),
    "a time that is none": (
        HEAD.replace("/info", "/info/{month_start_is}") + VALUES + METER,
        "{month_start_is} is neither one of [params], nor a value, nor a time; did you mean month_start_iso?",
    ),
    "a param with a time's name": (
        HEAD + VALUES + METER + "[params.year]\nhelp = 'which'",
        "params.year: is what templates call the key or a time: choose another",
    ),
    "a secret with a default": (
        HEAD + VALUES + METER + "[params.app_key]\nhelp = 'its key'\nsecret = true\ndefault = 'x'",
        "params.app_key: is secret, so it has no default",
    ),
    "scale of a text": (
        HEAD + 'left = { path = "left", type = "text", scale = "0.01" }' + METER,
        "values.left: scale and negate are for numbers",
    ),
    "scale by nothing": (
        HEAD + 'left = { path = "left", type = "number", scale = 0 }' + METER,
        "values.left.scale: is a factor between 1e-12 and 1e12",
    ),
    "a scale below nothing": (
        HEAD + 'left = { path = "left", type = "number", scale = -1 }' + METER,
        "values.left.scale: is a factor between",
    ),
    "an item of a path": (
        HEAD + 'left = { path = "left", type = "number", item = 1 }' + METER,
        "values.left: item is for headers",
    ),
    "an item of numbers": (
        HEAD + 'left = { header = "X-Left", type = "numbers", item = 1 }' + METER,
        "values.left: item is one value, while numbers are the whole list",
    ),
    "a pattern and an item": (
        HEAD + "left = { header = 'X-Left', type = 'number', item = 1, pattern = '(a)' }" + METER,
        "values.left: pattern does not go together with item",
    ),
    "a pattern without a group": (
        HEAD + r"left = { header = 'X-Left', type = 'number', pattern = 'a=\d+' }" + METER,
        "has 0 groups in round brackets; it takes one",
    ),
    "a pattern with two groups": (
        HEAD + r"left = { header = 'X-Left', type = 'number', pattern = '(a)(b)' }" + METER,
        "has 2 groups in round brackets; it takes one",
    ),
    "no pattern": (
        HEAD + r"left = { header = 'X-Left', type = 'number', pattern = '(a' }" + METER,
        "'(a' is no regular expression: missing )",
    ),
    "within of no list": (
        HEAD + VALUES + METER + "within = { time = 'at', last = '30d' }",
        "meters.credits: within is for lists",
    ),
    "a group of no list": (HEAD + VALUES + METER + "group = true", "meters.credits: group is for lists"),
    "a part of a group as if it were one": (
        HEAD + VALUES + METER.replace('"left"', '"item.left / 100"') + "each = 'info.a'\nkey = 'id'\ngroup = true",
        "meters.credits.remaining: item.left is a list of numbers; arithmetic takes numbers",
    ),
    "a list where nothing is grouped": (
        HEAD + VALUES + METER.replace('"left"', '"sum(item.left)"') + "each = 'info.a'\nkey = 'id'",
        "meters.credits.remaining: sum takes a list of numbers",
    ),
    "within no time": (
        HEAD + VALUES + METER + "each = 'info.a'\nkey = 'id'\nwithin = { last = '30d' }",
        "meters.credits.within.time: is missing",
    ),
    "one name in two requests": (
        HEAD + VALUES + METER + '[requests.more]\npath = "/more"\nvalues.left = { path = "left", type = "number" }',
        "requests.more.values.left: requests.info has a value of this name already",
    ),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    if problem.startswith("name:"):
        assert problem in problems_of(tmp_path, HEAD + VALUES + METER, "other")
    else:
        assert problem in problems_of(tmp_path, text)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").mkdir()
    with pytest.raises(ConfigError, match=r"acme\.toml: can't be read: "):
        load_provider(tmp_path / "acme.toml")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        pytest.param(
            "\nname = 'Müller'".encode("latin-1"), "line 2: is not UTF-8; save the file as UTF-8", id="latin-1"
        ),
        pytest.param(b"x = " + b"[" * 3000 + b"]" * 3000, "is nested too deeply", id="too deep"),
        pytest.param(b"x = 1e99999999999999999999", "holds a number that is too long", id="no exponent has it"),
        pytest.param(b"x = " + b"9" * 5000, "holds a number that is too long", id="a number without end"),
        pytest.param(b"#" * 10_000_001, "is longer than 10,000,000 bytes", id="no file of this kind"),
    ],
)
def test_what_is_no_toml_is_named(raw: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        load_provider(tmp_path / "acme.toml")
    assert caught.value.problems[0].startswith(f"{tmp_path}/acme.toml: {said}")


def test_an_editor_of_windows_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(HEAD + VALUES + METER, encoding="utf-8-sig")
    assert load_provider(tmp_path / "acme.toml").name == "acme"


def test_every_problem_of_all_files_is_said_at_once(tmp_path: Path) -> None:
    write_provider(tmp_path, HEAD + VALUES + METER + 'granted = "a"\nused = "b"')
    write_provider(tmp_path, "name = 7\ntitel = 'x'", "other")
    with pytest.raises(ConfigError) as caught:
        load_shelf(tmp_path).raise_problems()
    lines = [line.removeprefix(f"{tmp_path}/") for line in caught.value.problems]
    assert [line.split(": ")[:2] for line in lines if line.startswith("acme")] == [
        ["acme.toml", "meters.credits.granted"],
        ["acme.toml", "meters.credits.used"],
    ]
    assert {"other.toml: titel: unknown key; did you mean title?", "other.toml: base_url: is missing"} < set(lines)


def test_a_users_file_replaces_the_one_that_ships(tmp_path: Path) -> None:
    shipped = load_shelf().providers
    write_provider(tmp_path, HEAD.replace('"acme"', '"cargo"') + VALUES + METER, "cargo")
    write_provider(tmp_path, HEAD + VALUES + METER)
    providers = load_shelf(tmp_path).providers
    assert providers["cargo"].title == "Acme"
    assert providers.keys() == shipped.keys() | {"acme"}
    assert providers["cekura"].title == shipped["cekura"].title


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert load_shelf(tmp_path / "none").providers.keys() == {file.stem for file in CATALOG.glob("*.toml")}


def test_a_meter_knows_its_requests(tmp_path: Path) -> None:
    provider = make_provider(
        tmp_path,
        VALUES
        + '[requests.more]\npath = "/more"\nvalues.open = { path = "open", type = "bool" }\n'
        + '[requests.list]\npath = "/list"\nbody = "list"\n'
        + METER
        + 'when = "open"\n'
        + '[meters.caps]\nkind = "cap"\neach = "list"\nkey = "id"\nvalue = "item.max / 2"\ncurrency = "state"\n',
    )
    assert provider.meters["credits"].requests == {"info", "more"}
    assert provider.meters["credits"].values == {"left"}
    assert provider.meters["caps"].requests == {"list", "info"}


def test_causes_are_told_by_the_body(tmp_path: Path) -> None:
    text = HEAD.replace("auth =", "causes = { exhausted = \"code == 'empty'\" }\nauth =")
    ((cause, path),) = load_provider(write_provider(tmp_path, text + VALUES + METER)).causes
    assert cause is Cause.EXHAUSTED
    assert path.search({"code": "empty"}) is True


ACTION = """
[meters.credits]
kind = "balance"
remaining = "left"
[actions.pay]
title = "pay"
path = "/pay/{what}"
json = { amount = "{amount}" }
[actions.pay.args.what]
help = "what for"
[actions.pay.args.amount]
help = "how much"
type = "text"
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param(
            "{what}",
            "{waht}",
            "actions.pay.path: {waht} is neither one of args nor one of [params]; did you",
            id="a name",
        ),
        pytest.param('"{amount}"', '"5"', "actions.pay.args.amount: is named nowhere", id="not sent"),
        pytest.param("/pay/{what}", "/pay/{what}{", "actions.pay.path: has a brace without a name in it", id="a brace"),
        pytest.param(
            "[actions.pay]",
            '[params.what]\nhelp = "x"\n[actions.pay]',
            "actions.pay.args.what: is one of [params] too",
            id="twice",
        ),
        pytest.param('type = "text"', 'type = "money"', "actions.pay.args.amount.type", id="a type"),
        pytest.param('title = "pay"', 'title = "pay"\nmethod = "DELETE"', "actions.pay.method", id="a method"),
    ],
)
def test_an_action_that_does_not_fit_is_told(old: str, new: str, problem: str, tmp_path: Path) -> None:
    text = f'{HEAD}left = {{ path = "left", type = "number" }}\n{ACTION}'
    assert load_provider(write_provider(tmp_path, text)).actions["pay"].request.method == "POST"
    with pytest.raises(ConfigError) as caught:
        load_provider(write_provider(tmp_path, text.replace(old, new, 1)))
    assert problem in str(caught.value)


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc", max_size=1) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "$c"]), inner, max_size=3),
    max_leaves=12,
)


@given(names=st.lists(st.sampled_from(["a", "b", "$c"]), min_size=1, max_size=4), document=SHAPES)
def test_a_path_of_names_alone_finds_what_jmespath_finds(names: list[str], document: object) -> None:
    text = ".".join(f'"{name}"' for name in names)
    assert compile_path(text).search(document) == jmespath.search(text, document)
