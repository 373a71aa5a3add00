"""How requests carry the key and the other secrets of an account, and that none of them is ever shown."""

import asyncio
import logging
import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from budgetd.collect.poll import poll
from budgetd.collect.provider import Provider, load_provider
from budgetd.collect.sources import Setting, Source, make_source
from budgetd.config import load_config
from budgetd.credentials import Secret
from budgetd.errors import ConfigError
from budgetd.http import Client
from budgetd.planning import _Planner
from collecting import HEAD, KEY, NOW, write_provider
from conftest import WriteConfig

# With everything that URLs and headers write in another way.
ODD_KEY = "canary/4f1d+2c3b=5a&x"
APP_KEY = "canary-app-77e1"
REST = """
left = { path = "left", type = "number" }
note = { path = "note", type = "text" }
[meters.credits]
kind = "balance"
remaining = "left"
currency = "note"
[params.app_key]
help = "the application's key"
secret = true
[params.site]
help = "which site"
"""
BEARER = '{ header = "Authorization", value = "Bearer {api_key}" }'


def make(folder: Path, auth: str, rest: str = REST) -> Provider:
    text = HEAD.replace(BEARER, auth)
    assert auth in text
    return load_provider(write_provider(folder, text + rest))


def account(provider: Provider, key: str = KEY, **params: Setting) -> Source:
    return make_source("acme", provider, Secret(key), params=params)


BASIC = b64encode(f"AC1:{KEY}".encode()).decode()
FORMS: dict[str, tuple[str, Mapping[str, str], str]] = {
    "a header": ('{ header = "X-Key", value = "{api_key}" }', {"x-key": KEY}, ""),
    "several headers": (
        '{ headers = { DD-API-KEY = "{api_key}", DD-APPLICATION-KEY = "{app_key}" } }',
        {"dd-api-key": KEY, "dd-application-key": APP_KEY},
        "",
    ),
    "what names a param that was not given is left out": (
        '{ headers = { X-Key = "{api_key}", X-Site = "{site}" } }',
        {"x-key": KEY},
        "",
    ),
    "user and password": ('{ basic = "AC1:{api_key}" }', {"authorization": f"Basic {BASIC}"}, ""),
    "the query": ('{ query = { api_key = "{api_key}", app = "{app_key}" } }', {}, f"?api_key={KEY}&app={APP_KEY}"),
    "all at once": (
        '{ header = "X-Key", value = "{api_key}", basic = "AC1:{api_key}", query = { key = "{api_key}" } }',
        {"x-key": KEY, "authorization": f"Basic {BASIC}"},
        f"?key={KEY}",
    ),
}


@pytest.mark.parametrize(("auth", "headers", "query"), FORMS.values(), ids=FORMS.keys())
def test_a_request_carries_the_key(tmp_path: Path, auth: str, headers: Mapping[str, str], query: str) -> None:
    source = account(make(tmp_path, auth), app_key=Secret(APP_KEY))
    request = source.requests["info"].ready
    ours = ("accept", "accept-encoding", "host", "user-agent")
    sent = {name: text for name, text in request.headers.items() if name not in ours}
    assert sent == headers
    assert str(request.url) == f"https://api.acme.example/info{query}"


def test_each_request_may_have_headers_of_its_own(tmp_path: Path) -> None:
    more = '[requests.more]\npath = "/more"\nheaders = { x-version = "2", authorization = "no" }\n'
    text = HEAD.replace("auth =", 'headers = { X-Version = "1", X-Site = "{site}" }\nauth =') + REST + more
    source = account(load_provider(write_provider(tmp_path, text)), site="eu")
    assert dict(source.requests["info"].headers) == {
        "X-Version": "1",
        "X-Site": "eu",
        "Authorization": f"Bearer {KEY}",
    }
    assert dict(source.requests["more"].headers) == {
        "x-version": "2",
        "X-Site": "eu",
        "Authorization": f"Bearer {KEY}",
    }


WRONG = {
    "nothing": ("{}", "auth: nothing of it holds {api_key}"),
    "a header without a value": ('{ header = "X-Key" }', "auth: header and value go together"),
    "a value without a header": ('{ value = "{api_key}" }', "auth: header and value go together"),
    "a param alone": ('{ basic = "{site}:{app_key}" }', "auth: nothing of it holds {api_key}"),
    "a misspelt param": (
        '{ headers = { X-Key = "{api_key}", X-App = "{ap_key}" } }',
        "auth.headers.X-App: {ap_key} is not one of [params]; did you mean app_key?",
    ),
    "a time": (
        '{ basic = "{now_unix}:{api_key}" }',
        "auth.basic: {now_unix} is a time, and has its place in requests alone",
    ),
    "a user that may not be given": (
        '{ basic = "{site}:{api_key}" }',
        "auth.basic: {site} may be missing: params.site has to be required, or to have a default",
    ),
    "one header twice": (
        '{ header = "x-key", value = "{api_key}", headers = { X-Key = "a" } }',
        "auth: gives one header twice",
    ),
    "Basic beside Bearer": (
        '{ header = "authorization", value = "Bearer {api_key}", basic = "a:{api_key}" }',
        "auth: gives one header twice",
    ),
    "a brace too many": ('{ header = "X-Key", value = "{{api_key}" }', "auth.value: has a brace without a name"),
}


@pytest.mark.parametrize(("auth", "problem"), WRONG.values(), ids=WRONG.keys())
def test_auth_that_can_not_work_is_named(tmp_path: Path, auth: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(tmp_path, auth)
    assert problem in str(caught.value)


ALL_FORMS = (
    '{ headers = { X-Key = "{api_key}", X-App = "{app_key}" }, basic = "AC1:{api_key}", query = { k = "{api_key}" } }'
)
SECRETS = {
    "the key": ODD_KEY,
    "the key in a URL": quote(ODD_KEY, safe=""),
    "the key in a URL, in small letters": re.sub("%..", lambda code: code[0].lower(), quote(ODD_KEY, safe="")),
    "the key in a path": quote(ODD_KEY),
    "the second key": APP_KEY,
    "the user and the password": b64encode(f"AC1:{ODD_KEY}".encode()).decode(),
    "the key, encoded": b64encode(ODD_KEY.encode()).decode(),
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_no_secret_is_in_what_anybody_reads(tmp_path: Path, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = account(make(tmp_path, ALL_FORMS), ODD_KEY, app_key=Secret(APP_KEY))
    answers = [
        httpx.Response(401, json={"detail": f"{secret} is no key"}, headers={"X-Request-Id": secret}),
        httpx.Response(200, json={"left": secret, "note": f"x{secret}"}),
        httpx.Response(302, headers={"Location": f"https://other.example/?k={quote(secret)}"}),
    ]
    for answer in answers:
        client = Client(httpx.MockTransport(lambda _request, answer=answer: answer))
        seen = asyncio.run(poll(source, client, NOW))
        assert seen.outages
        for text in (repr(seen), repr(source), str(source), repr(list(source.requests.values())), caplog.text):
            assert secret not in text


def test_a_url_that_can_not_be_made_is_shown_without_its_secrets(tmp_path: Path) -> None:
    provider = make(
        tmp_path, '{ header = "X-Key", value = "{api_key}" }', REST.replace("secret", "required = true\nsecret")
    )
    text = (tmp_path / "acme.toml").read_text().replace('"/info"', '"{app_key}"')
    provider = load_provider(write_provider(tmp_path, text))
    with pytest.raises(ConfigError, match=r"a path begins with a slash, and '\*\*\*' does not"):
        account(provider, app_key=Secret(APP_KEY))


PARAMS: dict[str, tuple[Mapping[str, Setting], str]] = {
    "empty": ({"site": " "}, "accounts.acme.params.site: is empty"),
    "unknown": ({"sites": "eu"}, "accounts.acme.params.sites: Acme takes no such thing; did you mean site?"),
}


@pytest.mark.parametrize(("params", "problem"), PARAMS.values(), ids=PARAMS.keys())
def test_a_param_that_can_not_be_used_is_named(tmp_path: Path, params: Mapping[str, Setting], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_source("acme", make(tmp_path, ALL_FORMS), Secret(KEY), params=params)
    assert caught.value.problems == (problem,)


# --- secret params in a config

GIVEN: dict[str, tuple[str, int, Mapping[str, Setting] | None, str]] = {
    "from the environment": ('{ app_key = { env = "APP" } }', 0o644, {"app_key": Secret(APP_KEY)}, ""),
    "in a file of one's own": (f'{{ app_key = "{APP_KEY}" }}', 0o600, {"app_key": Secret(APP_KEY)}, ""),
    "a number in a file of one's own": ("{ app_key = 7 }", 0o600, {"app_key": Secret("7")}, ""),
    "in a file that others can read": (
        f'{{ app_key = "{APP_KEY}" }}',
        0o644,
        {"app_key": Secret(APP_KEY)},
        "accounts.a.params.app_key: a secret stands in a file that others can read",
    ),
    "not there": (
        '{ app_key = { env = "NONE" } }',
        0o600,
        None,
        "accounts.a.params.app_key.env: the environment variable NONE is not set",
    ),
    "no secret": ('{ site = { env = "APP" } }', 0o600, None, "accounts.a.params.site: is no secret: give it as text"),
    "no secret, in the file": ('{ site = "eu" }', 0o644, {"site": "eu"}, ""),
    "for the provider to refuse": ('{ sites = { env = "APP" } }', 0o644, {"sites": "?"}, ""),
}


@pytest.mark.parametrize(("given", "mode", "params", "problem"), GIVEN.values(), ids=GIVEN.keys())
def test_a_secret_param_comes_from_where_keys_come_from(
    tmp_path: Path,
    write_config: WriteConfig,
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    mode: int,
    params: Mapping[str, Setting] | None,
    problem: str,
) -> None:
    monkeypatch.setenv("APP", APP_KEY)
    config = load_config(write_config(f'[accounts.a]\nprovider = "acme"\napi_key = "x"\nparams = {given}\n', mode))
    planner = _Planner(config)
    found = planner._params("accounts.a.params", config.file.accounts["a"], make(tmp_path, ALL_FORMS))
    assert found == params
    assert problem in "".join(planner.problems)
    assert bool(problem) == bool(planner.problems)
    assert APP_KEY not in "".join(planner.problems)
