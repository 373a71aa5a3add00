"""A proxy between us and the vendors: which one is taken, what it learns, and what is said where it does not help."""

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
import trustme

from budgetd.errors import ConfigError
from budgetd.http import Answer, Client, Request, RequestFailedError
from budgetd.network import Proxies
from budgetd_rules.polls import Cause
from serving import Script, Vendor, hang, listening, mute, say, tls_of, trickle, vendor, write

KEY = "canary-19ab73cd55"
PASSWORD = "canary-p@ss:word"
IN_URL = "canary-p%40ss%3Aword"
SOON = timedelta(seconds=0.5)
LATER = timedelta(seconds=10)
EMPTY_LIST = say(b"[]")

Address = tuple[str, int]


@dataclass
class Proxy:
    """A real one: CONNECT for https, whole URLs for http. It looks the vendors' names up in `names`, as DNS would."""

    names: dict[str, int] = field(default_factory=dict)
    login: str = ""
    status: str = ""
    """What it answers instead of making a connection."""
    hangs: bool = False
    closes: bool = False
    url: str = ""
    heads: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return self.url.partition("://")[2]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if self.hangs:
            await reader.read()
        status = self._refuse(head)
        if self.closes or self.hangs:
            return
        if status:
            writer.write(f"HTTP/1.1 {status} {KEY}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        method, target, _ = head.split("\r\n")[0].split()
        url = httpx.URL(target if method == "GET" else f"https://{target}")
        there, back = await asyncio.open_connection("127.0.0.1", self.names[url.host])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            back.write(head.replace(target, url.raw_path.decode(), 1).encode())
        try:
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        finally:
            back.close()

    def _refuse(self, head: str) -> str:
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode()).decode()}"
        return self.status or ("407 Proxy Authentication Required" if self.login and wanted not in head else "")

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def serving(proxy: Proxy, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    async with listening(proxy.serve, tls) as port:
        proxy.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield proxy


@dataclass
class Trip:
    """A request to api.acme.example, through a proxy."""

    proxy: Proxy
    monkeypatch: pytest.MonkeyPatch
    tls: ssl.SSLContext | None = None
    proxy_tls: ssl.SSLContext | None = None
    login: str = ""
    variable: str = "HTTPS_PROXY"
    vendor: Vendor = field(default_factory=Vendor)

    def go(self, script: Script = EMPTY_LIST, within: timedelta = LATER) -> Answer:
        return asyncio.run(self._go(script, within))

    async def _go(self, script: Script, within: timedelta) -> Answer:
        async with serving(self.proxy, self.proxy_tls), vendor(self.tls, info=script) as self.vendor:
            scheme, _, address = self.vendor.url.partition("://")
            port = int(address.partition(":")[2])
            self.proxy.names |= {"api.acme.example": port}
            self.monkeypatch.setenv(self.variable, self.proxy.url.replace("://", f"://{self.login}"))
            request = Request(url=f"{scheme}://api.acme.example/info?token=query-canary", headers={"X-Key": KEY})
            async with aclosing(Client()) as client:
                return await client.send(request, within)

    def fail(self, script: Script = EMPTY_LIST, within: timedelta = LATER) -> str:
        with pytest.raises(RequestFailedError) as caught:
            self.go(script, within)
        assert caught.value.cause is Cause.UNREACHABLE
        for canary in (KEY, PASSWORD, IN_URL, "query-canary"):
            assert canary not in str(caught.value)
        return caught.value.detail.replace(self.proxy.url, "PROXY")


@pytest.fixture
def https(ca: trustme.CA, trusted: None, monkeypatch: pytest.MonkeyPatch) -> Trip:
    return Trip(Proxy(), monkeypatch, tls=tls_of(ca.issue_cert("api.acme.example")))


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Trip:
    return Trip(Proxy(), monkeypatch, variable="http_proxy")


# --- through it


def test_through_a_proxy_the_key_is_seen_by_the_vendor_alone(https: Trip, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    https.proxy.login, https.login = f"budgetd:{PASSWORD}", f"budgetd:{IN_URL}@"
    assert https.go().body == b"[]"
    (asked,) = https.proxy.heads
    assert asked.startswith("CONNECT api.acme.example:443 HTTP/1.1\r\n")
    (seen,) = https.vendor.heads
    assert f"x-key: {KEY}\r\n" in seen.lower()
    assert KEY not in asked
    assert "proxy-authorization" not in seen.lower()
    for canary in (KEY, PASSWORD, IN_URL):
        assert canary not in caplog.text


def test_a_proxy_that_speaks_tls_itself(https: Trip, ca: trustme.CA) -> None:
    https.proxy_tls = tls_of(ca.issue_cert("127.0.0.1"))
    assert https.go().status == 200


def test_plain_http_is_passed_on_by_the_proxy(http: Trip) -> None:
    http.proxy.login, http.login = "budgetd:x", "budgetd:x@"
    assert http.go().body == b"[]"
    assert http.proxy.heads[0].startswith("GET http://api.acme.example/info?token=query-canary HTTP/1.1\r\n")


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_any_variable_names_it(variable: str, https: Trip) -> None:
    https.variable = variable
    https.go()
    assert len(https.proxy.heads) == 1


def test_a_redirect_through_a_proxy_takes_the_key_to_no_other_host(https: Trip) -> None:
    redirect = say(status="302 Found", Location="https://other.example/info")
    with pytest.raises(RequestFailedError, match=r"and the key goes nowhere but https://api\.acme\.example"):
        https.go(redirect)
    assert [head.split()[1] for head in https.proxy.heads] == ["api.acme.example:443"]
    assert len(https.vendor.heads) == 1


# --- where it does not help


LOGIN = "the user and password in HTTPS_PROXY"
REFUSALS = {
    "wants a login": (
        {"login": "budgetd:x"},
        "",
        f"the proxy PROXY wants {LOGIN}: http://USER:PASSWORD@HOST:PORT (HTTP 407)",
    ),
    "wants another login": (
        {"login": "budgetd:x"},
        f"budgetd:{IN_URL}@",
        f"the proxy PROXY does not take {LOGIN} (HTTP 407)",
    ),
    "forbids": (
        {"status": "403 Forbidden"},
        "",
        "the proxy PROXY makes no connection to https://api.acme.example (HTTP 403)",
    ),
    "finds nobody": (
        {"status": "502 Bad Gateway"},
        f"budgetd:{IN_URL}@",
        "the proxy PROXY can't reach https://api.acme.example (HTTP 502)",
    ),
    "answers nonsense": (
        {"status": "999"},
        "",
        "the proxy PROXY makes no connection to https://api.acme.example (HTTP 999)",
    ),
    "hangs": ({"hangs": True}, "", "the proxy PROXY made no connection to https://api.acme.example within 500ms"),
    "hangs up": (
        {"closes": True},
        "",
        "the proxy PROXY broke off before it made a connection to https://api.acme.example",
    ),
}


@pytest.mark.parametrize(("proxy", "login", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_proxy_that_does_not_help(proxy: dict[str, object], login: str, said: str, https: Trip) -> None:
    for name, value in proxy.items():
        setattr(https.proxy, name, value)
    https.login = login
    assert https.fail(within=SOON if "within" in said else LATER) == said
    assert https.vendor.connections == 0


def test_a_proxy_that_refuses_plain_http(http: Trip) -> None:
    http.proxy.login = "budgetd:x"
    wants = "wants the user and password in HTTP_PROXY: http://USER:PASSWORD@HOST:PORT"
    assert http.fail() == f"the proxy PROXY {wants} (HTTP 407)"


def test_a_proxy_that_is_not_there(https: Trip) -> None:
    async def send() -> str:
        async with serving(Proxy()) as gone:
            url = gone.url
        https.monkeypatch.setenv("ALL_PROXY", url.replace("://", f"://budgetd:{IN_URL}@"))
        client = Client()
        with pytest.raises(RequestFailedError) as caught:
            await client.send(Request(url="https://api.acme.example"), LATER)
        await client.aclose()
        return caught.value.detail.replace(url, "PROXY")

    assert asyncio.run(send()) == "no connection to the proxy PROXY: Connection refused"


def test_a_proxy_whose_own_certificate_is_not_good(https: Trip, ca: trustme.CA) -> None:
    https.proxy_tls = tls_of(ca.issue_cert("other.example"))
    said = "its certificate is for another name: is the address right?"
    assert https.fail() == f"no connection to the proxy PROXY: {said}"


def test_a_vendors_certificate_is_checked_through_the_proxy(https: Trip) -> None:
    https.tls = tls_of(trustme.CA().issue_cert("api.acme.example"))
    said = https.fail()
    assert said.startswith(
        "no connection to https://api.acme.example: its certificate is from an authority that is not"
    )
    assert https.vendor.heads == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param(hang, "no answer within 500ms, through the proxy PROXY", id="no answer"),
        pytest.param(trickle, "no whole answer within 500ms, through the proxy PROXY", id="a trickle"),
        pytest.param(
            write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", close=True),
            "the connection broke before the whole answer was there, through the proxy PROXY",
            id="cut off",
        ),
    ],
)
def test_a_vendor_that_fails_behind_a_proxy(script: Script, said: str, https: Trip) -> None:
    assert https.fail(script, SOON if "within" in said else LATER) == said


def test_a_handshake_that_hangs_behind_a_proxy_is_hung_up(https: Trip) -> None:
    async def send() -> str:
        async with mute() as (port, left), serving(Proxy({"api.acme.example": port})) as proxy:
            https.monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            async with aclosing(Client()) as client:
                with pytest.raises(RequestFailedError) as caught:
                    await client.send(Request(url="https://api.acme.example"), SOON)
                async with asyncio.timeout(LATER.total_seconds()):
                    await left.wait()
        return caught.value.detail

    assert asyncio.run(send()) == "no TLS handshake with https://api.acme.example within 500ms"


# --- which one


HOSTS = [
    "https://api.acme.example", "http://api.acme.example", "https://acme.example:8443", "https://acme.example",
    "https://wwwacme.example", "https://localhost", "https://localhost:8443", "https://sub.localhost:8443",
    "https://sub.localhost", "http://127.0.0.1:8080", "http://127.0.0.2", "https://[::1]:8443", "https://[::2]",
]  # fmt: skip
ENTRIES = [
    "", "*", "other.example,*", "acme.example", ".acme.example", "api.acme.example", "ACME.example",
    "acme.example:8443", "localhost", "localhost:8443", "127.0.0.1", "127.0.0.1:8080", "::1", "https://acme.example",
    "https://*acme.example", "all://acme.example", "all://*.acme.example", "http://acme.example:80", "http://",
    " acme.example , 127.0.0.1", "example", "other.example",
]  # fmt: skip


def as_httpx(url: str) -> bool:
    """Whether httpx would take a proxy: its own decision, out of its client."""
    with httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as client:
        return client._transport_for_url(httpx.URL(url)) is not client._transport


def find(url: str) -> str | None:
    parsed = httpx.URL(url)
    proxy = Proxies().find(parsed.scheme, parsed.host, parsed.port)
    return proxy.url if proxy else None


@pytest.mark.parametrize("variables", [["HTTP_PROXY"], ["HTTP_PROXY", "HTTPS_PROXY"], ["ALL_PROXY"]], ids=" ".join)
@pytest.mark.parametrize("entry", ENTRIES)
def test_no_proxy_is_read_as_httpx_reads_it(entry: str, variables: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in variables:
        monkeypatch.setenv(variable, "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", entry)
    assert [find(url) is not None for url in HOSTS] == [as_httpx(url) for url in HOSTS]


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        pytest.param("10.0.0.0/8", "https://10.1.2.3", id="a network"),
        pytest.param("fd00::/8", "https://[fd00::1]", id="a network of IPv6"),
        pytest.param("[::1]", "https://[::1]:8443", id="IPv6 in brackets"),
        pytest.param("*.acme.example", "https://api.acme.example", id="a pattern"),
        pytest.param("acme.example:443", "https://acme.example", id="the port that goes without saying"),
    ],
)
def test_what_httpx_does_not_know_of_no_proxy(entry: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    assert find(url) == "http://proxy.example:3128"
    monkeypatch.setenv("NO_PROXY", entry)
    assert find(url) is None


def test_each_scheme_has_its_own_proxy_and_lower_case_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:1")
    assert (find("https://acme.example"), find("http://acme.example")) == ("http://proxy.example:1",) * 2
    monkeypatch.setenv("HTTPS_PROXY", "https://proxy.example:2")
    assert find("https://acme.example") == "https://proxy.example:2"
    monkeypatch.setenv("https_proxy", "http://proxy.example:3")
    assert (find("https://acme.example"), find("http://acme.example")) == (
        "http://proxy.example:3",
        "http://proxy.example:1",
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        pytest.param(f"ftp://u:{PASSWORD}@proxy.example", "expected http://HOST:PORT or", id="another scheme"),
        pytest.param(f"http://u:{IN_URL}@", "expected http://HOST:PORT or", id="no host"),
        pytest.param(f"http://u:{IN_URL}@proxy.example:many", "expected http://HOST:PORT or", id="no port"),
        pytest.param(f"http://u:{IN_URL}@proxy.example:99999", "expected http://HOST:PORT or", id="a port too high"),
        pytest.param(f"http://u:{IN_URL}@[proxy", "expected http://HOST:PORT or", id="half an address"),
        pytest.param(f"http://u:{IN_URL}@proxy .example", "expected http://HOST:PORT or", id="a blank"),
        pytest.param(f"socks4://u:{IN_URL}@proxy.example", "of SOCKS only version 5 is spoken here", id="SOCKS 4"),
        pytest.param(f"socks5://u:{IN_URL}@:1080", "expected http://HOST:PORT or", id="SOCKS without a host"),
    ],
)
def test_what_is_no_proxy_stops_the_start(url: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ConfigError) as error:
        Client()
    (line,) = error.value.problems
    assert line.startswith(f"HTTPS_PROXY in the environment: {problem}")
    assert "canary" not in line


def test_a_proxy_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://u:{IN_URL}@proxy.example:3128")
    proxy = Proxies().find("https", "acme.example", None)
    assert proxy
    assert "canary" not in repr(proxy)
    assert proxy.shown == "http://proxy.example:3128"
