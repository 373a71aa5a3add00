"""A SOCKS proxy between us and vendors and channels: what it learns, and what is said where it does not help."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import httpx
import pytest
import trustme

from budgetd.credentials import Secret
from budgetd.deliver.channels import Channel, Letter
from budgetd.http import Answer, Client, Request, RequestFailedError
from budgetd.store.notices import Outcome
from budgetd_rules.polls import Cause
from budgetd_rules.rule import Level
from serving import Script, Vendor, hang, listening, mute, say, tls_of, vendor

KEY: Final = "canary-2c81f09e44"
PASSWORD: Final = "canary-p@ss:word"
IN_URL: Final = "canary-p%40ss%3Aword"
SOON: Final = timedelta(seconds=0.5)
LATER: Final = timedelta(seconds=10)
LETTER: Final = Letter(title="a title", body="a body", words="a body", level=Level.WARNING)
NO_LOGIN, LOGIN, NEITHER = 0, 2, 255


@dataclass
class Socks:
    """A real one, of version 5. It looks the vendors' names up in `names`, as DNS would."""

    names: dict[str, int] = field(default_factory=dict)
    login: str = ""
    reply: int = 0
    """What it says instead of making a connection."""
    says: bytes | None = None
    """To whoever comes, before it hangs up; nothing hangs up at once."""
    hangs: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)
    passed_on: bytes = b""
    place: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        if self.hangs:
            await reader.read()
        if self.says is not None:
            writer.write(self.says)
        if self.says is not None or self.hangs or not await self._greet(offered, reader, writer):
            return
        _, _, _, kind = await reader.readexactly(4)
        assert kind == 3, "a name, that is not looked up by us"
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append((host, port))
        writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.reply:
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.names[host])
        try:
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        finally:
            back.close()

    async def _greet(self, offered: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        wanted = LOGIN if self.login else NO_LOGIN
        writer.write(bytes([5, wanted if wanted in offered else NEITHER]))
        if wanted not in offered:
            return False
        if self.login:
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            is_right = b":".join((user, password)).decode() == self.login
            writer.write(bytes([1, 0 if is_right else 1]))
            return is_right
        return True

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.passed_on += data
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


@contextlib.asynccontextmanager
async def serving(proxy: Socks) -> AsyncIterator[Socks]:
    async with listening(proxy.serve) as port:
        proxy.place = f"127.0.0.1:{port}"
        yield proxy


@dataclass
class Trip:
    """A request to api.acme.example, through a proxy."""

    monkeypatch: pytest.MonkeyPatch
    tls: ssl.SSLContext | None
    proxy: Socks = field(default_factory=Socks)
    login: str = ""
    scheme: str = "socks5"
    variable: str = "HTTPS_PROXY"
    vendor: Vendor = field(default_factory=Vendor)

    def go(self, script: Script | None = None, within: timedelta = LATER) -> Answer:
        return asyncio.run(self._go(script or say(b"[]"), within))

    async def _go(self, script: Script, within: timedelta) -> Answer:
        async with serving(self.proxy), vendor(self.tls, info=script) as self.vendor:
            scheme, _, address = self.vendor.url.partition("://")
            self.proxy.names["api.acme.example"] = int(address.partition(":")[2])
            self.monkeypatch.setenv(self.variable, f"{self.scheme}://{self.login}{self.proxy.place}")
            request = Request(url=f"{scheme}://api.acme.example/info", headers={"X-Key": KEY})
            async with contextlib.aclosing(Client()) as client:
                return await client.send(request, within)

    def fail(self, script: Script | None = None, within: timedelta = LATER) -> str:
        with pytest.raises(RequestFailedError) as caught:
            self.go(script, within)
        assert caught.value.cause is Cause.UNREACHABLE
        for canary in (KEY, PASSWORD, IN_URL):
            assert canary not in str(caught.value)
        return caught.value.detail.replace(f"socks5://{self.proxy.place}", "PROXY")


@pytest.fixture
def https(ca: trustme.CA, trusted: None, monkeypatch: pytest.MonkeyPatch) -> Trip:
    return Trip(monkeypatch, tls_of(ca.issue_cert("api.acme.example")))


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Trip:
    return Trip(monkeypatch, None, variable="HTTP_PROXY")


# --- through it


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_looks_up_the_name_and_sees_no_key(scheme: str, variable: str, https: Trip) -> None:
    https.scheme, https.variable = scheme, variable
    assert https.go().body == b"[]"
    assert https.proxy.asked == [("api.acme.example", 443)]
    assert KEY.encode() not in https.proxy.passed_on
    assert f"x-key: {KEY}\r\n" in https.vendor.heads[0].lower()


def test_with_a_login(https: Trip, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    https.proxy.login, https.login = f"budgetd:{PASSWORD}", f"budgetd:{IN_URL}@"
    assert https.go().status == 200
    for canary in (KEY, PASSWORD, IN_URL):
        assert canary not in caplog.text


def test_plain_http_goes_through_as_it_is(http: Trip) -> None:
    assert http.go().body == b"[]"
    assert http.vendor.heads[0].startswith("GET /info HTTP/1.1\r\n")
    assert http.proxy.asked == [("api.acme.example", 80)]


def test_a_407_behind_it_is_the_vendors_own(http: Trip) -> None:
    assert http.go(say(status="407 Proxy Authentication Required")).status == 407


def test_a_channel_goes_through_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> tuple[Outcome, Socks, Vendor]:
        async with serving(Socks()) as proxy, vendor(inbox=say()) as there:
            proxy.names["receiver.acme.example"] = int(there.url.rpartition(":")[2])
            monkeypatch.setenv("HTTP_PROXY", f"socks5h://{proxy.place}")
            channel = Channel("ops", Secret("json://receiver.acme.example/inbox"))
            sent = await channel.send(LETTER)
            return sent.outcome, proxy, there

    outcome, proxy, there = asyncio.run(go())
    assert outcome is Outcome.OK
    assert proxy.asked == [("receiver.acme.example", 80)]
    assert there.heads[0].startswith("POST /inbox HTTP/1.1\r\n")


# --- where it does not help


NAMED: Final = "the user and password in HTTPS_PROXY"
NO_SOCKS: Final = "made no connection to https://api.acme.example: it broke off, or does not speak SOCKS 5"
REFUSALS: Final = {
    "wants a login": (Socks(login="budgetd:x"), "", f"wants {NAMED}: socks5://USER:PASSWORD@HOST:PORT"),
    "wants another login": (Socks(login="budgetd:x"), f"budgetd:{IN_URL}@", f"does not take {NAMED}"),
    "wants none": (Socks(), f"budgetd:{IN_URL}@", f"does not take {NAMED}"),
    "forbids": (Socks(reply=2), "", "can't reach https://api.acme.example: connection not allowed by ruleset"),
    "finds nobody": (Socks(reply=4), "", "can't reach https://api.acme.example: host unreachable"),
    "says what nobody knows": (Socks(reply=77), "", NO_SOCKS),
    "hangs": (Socks(hangs=True), "", "made no connection to https://api.acme.example within 500ms"),
    "hangs up": (Socks(says=b""), "", NO_SOCKS),
    "is a server of the web": (Socks(says=b"HTTP/1.1 400 Bad Request\r\n\r\n"), "", NO_SOCKS),
    "is an older one": (Socks(says=b"\x00\x5b\x00\x00\x00\x00\x00\x00"), "", NO_SOCKS),
}


@pytest.mark.parametrize(("proxy", "login", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_proxy_that_does_not_help(proxy: Socks, login: str, said: str, https: Trip) -> None:
    https.proxy, https.login = proxy, login
    assert https.fail(within=SOON if "within" in said else LATER) == f"the proxy PROXY {said}"
    assert https.vendor.connections == 0


def test_a_proxy_that_is_not_there(https: Trip) -> None:
    async def send() -> str:
        async with serving(Socks()) as gone:
            place = gone.place
        https.monkeypatch.setenv("ALL_PROXY", f"socks5://budgetd:{IN_URL}@{place}")
        client = Client()
        with pytest.raises(RequestFailedError) as caught:
            await client.send(Request(url="https://api.acme.example"), LATER)
        await client.aclose()
        return caught.value.detail.replace(place, "PLACE")

    assert asyncio.run(send()) == "no connection to the proxy socks5://PLACE: Connection refused"


def test_a_vendors_certificate_is_checked_through_it(https: Trip) -> None:
    https.tls = tls_of(trustme.CA().issue_cert("api.acme.example"))
    said = "no connection to https://api.acme.example: its certificate is from an authority that is not"
    assert https.fail().startswith(said)
    assert https.vendor.heads == []


def test_a_vendor_that_hangs_behind_it(https: Trip) -> None:
    assert https.fail(hang, SOON) == "no answer within 500ms, through the proxy PROXY"


@pytest.mark.parametrize("in_tls", [False, True], ids=["in its greeting", "in the handshake with the vendor"])
def test_one_that_hangs_is_hung_up(in_tls: bool, https: Trip) -> None:
    async def send() -> None:
        async with mute() as (port, left), serving(Socks({"api.acme.example": port})) as proxy:
            place = proxy.place if in_tls else f"127.0.0.1:{port}"
            https.monkeypatch.setenv("HTTPS_PROXY", f"socks5://{place}")
            async with contextlib.aclosing(Client()) as client:
                with pytest.raises(RequestFailedError):
                    await client.send(Request(url="https://api.acme.example"), SOON)
                async with asyncio.timeout(LATER.total_seconds()):
                    await left.wait()

    asyncio.run(send())


def test_a_fault_of_ours_is_no_fault_of_the_proxy() -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(Client(httpx.MockTransport(fail)).send(Request(url="https://api.acme.example"), LATER))
