"""HTTP: what is sent, what counts as an answer, and all the ways to fail."""

import asyncio
import gzip
import logging
import ssl
import tracemalloc
import zlib
from datetime import timedelta

import httpx
import pytest

from budgetd.http import MAX_BYTES, Answer, Client, Request, RequestFailedError
from budgetd_rules.polls import Cause
from serving import Script, Vendor, flood, hang, say, trickle, vendor, write

KEY = "canary-4f1d2c3b5a"
SOON = timedelta(seconds=0.2)
LATER = timedelta(seconds=10)


async def get(script: Script, within: timedelta = LATER, path: str = "/info") -> Answer:
    client = Client()
    try:
        async with vendor(info=script) as server:
            return await client.send(Request(url=server.url + path, headers={"X-Key": KEY}), within)
    finally:
        await client.aclose()


def test_the_answer_is_whole_whatever_its_status() -> None:
    answer = asyncio.run(get(say(b'{"a": 1}', "429 Too Many", X_Quota_Used="7", Retry_After="30")))
    assert (answer.status, answer.body) == (429, b'{"a": 1}')
    assert answer.header("X-QUOTA-USED") == "7"
    assert answer.header("retry-after") == "30"
    assert answer.header("x-other") is None


def test_what_is_sent_is_the_key_our_name_and_no_cookie() -> None:
    async def send_twice() -> Vendor:
        client = Client()
        async with vendor(info=say(Set_Cookie="session=1; Path=/")) as server:
            request = Request(url=f"{server.url}/info", headers={"X-Key": KEY}, params={"organization_id": "a b&c"})
            await client.send(request, LATER)
            await client.send(request, LATER)
        await client.aclose()
        return server

    server = asyncio.run(send_twice())
    assert server.connections == 1
    for head in server.heads:
        assert head.startswith("GET /info?organization_id=a+b%26c HTTP/1.1\r\n")
        assert f"x-key: {KEY}\r\n" in head.lower()
        assert "user-agent: budgetd/" in head.lower()
        assert "cookie" not in head.lower()


def test_a_header_that_comes_twice_is_one_list() -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-Limit: 1\r\nx-limit: 15000\r\nContent-Length: 0\r\n\r\n"
    assert asyncio.run(get(write(raw))).header("X-Limit") == "1, 15000"


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [(gzip.compress(b'{"a": 1}'), "gzip"), (zlib.compress(b'{"a": 1}'), "deflate"), (b'{"a": 1}', "identity")],
    ids=["gzip", "deflate", "identity"],
)
def test_an_answer_that_was_packed_unasked_is_unpacked(packed: bytes, encoding: str) -> None:
    assert asyncio.run(get(say(packed, Content_Encoding=encoding))).body == b'{"a": 1}'


@pytest.mark.parametrize(
    "body", [b"", b"{}", gzip.compress(b" " * 50_000_000)], ids=["nothing packed", "not packed", "a bomb"]
)
@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_an_error_is_one_whatever_is_wrong_with_its_body(body: bytes, encoding: str) -> None:
    answer = asyncio.run(get(say(body, "429 Too Many", Retry_After="30", Content_Encoding=encoding)))
    assert (answer.status, answer.body, answer.header("Retry-After")) == (429, b"", "30")


def test_a_long_error_is_one() -> None:
    endless = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 50000000\r\n\r\n"
    assert asyncio.run(get(write(endless))).status == 401


def test_an_answer_of_nothing_may_be_called_packed() -> None:
    assert asyncio.run(get(say(b"", "204 No Content", Content_Encoding="gzip"))).body == b""


async def shout(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(1000):
        writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


BOMB = gzip.compress(b" " * 50_000_000, compresslevel=1)
FAILURES: dict[str, tuple[Script, Cause, str]] = {
    "hang": (hang, Cause.UNREACHABLE, "no answer within 200ms"),
    "slow trickle": (trickle, Cause.UNREACHABLE, "no whole answer within 200ms"),
    "reset": (write(b"", reset=True), Cause.UNREACHABLE, "the connection broke"),
    "closed without a word": (write(b"", close=True), Cause.UNREACHABLE, "the connection broke"),
    "closed too early": (
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", close=True),
        Cause.UNREACHABLE,
        "the connection broke",
    ),
    "no HTTP": (write(f"220 {KEY} ESMTP\r\n\r\n".encode(), close=True), Cause.UNREACHABLE, "the connection broke"),
    "50 MB announced": (
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n"),
        Cause.MALFORMED,
        "larger than 5 MB",
    ),
    "50 MB streamed": (flood, Cause.MALFORMED, "larger than 5 MB"),
    "endless headers": (shout, Cause.UNREACHABLE, "the connection broke"),
    "a bomb": (say(BOMB, Content_Encoding="gzip"), Cause.MALFORMED, "larger than 5 MB"),
    "half a gzip": (say(BOMB[:1000], Content_Encoding="gzip"), Cause.MALFORMED, "not whole"),
    "no gzip": (say(b"{}", Content_Encoding="gzip"), Cause.MALFORMED, "can't be unpacked"),
    "brotli": (say(b"{}", Content_Encoding="br"), Cause.MALFORMED, "encoding"),
    "to another host": (
        say(status="302 Found", Location=f"http://other.example/login?key={KEY}"),
        Cause.MALFORMED,
        "it redirects to http://other.example, and the key",
    ),
    "to another scheme": (say(status="301 Moved", Location="https://127.0.0.1/info"), Cause.MALFORMED, "https://127"),
    "to another port": (say(status="307 Moved", Location="http://127.0.0.1:1/info"), Cause.MALFORMED, "127.0.0.1:1"),
    "to no URL": (say(status="307 Moved", Location="http://[::1/info"), Cause.MALFORMED, "can't be sent"),
    "to itself": (say(status="308 Moved", Location="/info"), Cause.MALFORMED, "more than 3 times"),
}


@pytest.mark.parametrize(("script", "cause", "words"), FAILURES.values(), ids=FAILURES.keys())
def test_there_is_no_answer(script: Script, cause: Cause, words: str) -> None:
    within = SOON if "200ms" in words else LATER
    with pytest.raises(RequestFailedError) as caught:
        asyncio.run(get(script, within, "/info?token=query-canary"))
    assert caught.value.cause is cause
    assert words in caught.value.detail
    assert KEY not in str(caught.value)
    assert "query-canary" not in str(caught.value)


def test_a_bomb_is_never_unpacked() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RequestFailedError, match="larger than"):
            asyncio.run(get(say(BOMB, Content_Encoding="gzip")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MAX_BYTES


def test_an_answer_of_the_largest_size_is_one() -> None:
    assert len(asyncio.run(get(say(b" " * MAX_BYTES))).body) == MAX_BYTES


def test_a_redirect_within_the_origin_is_followed_with_the_key() -> None:
    async def send() -> tuple[Answer, Vendor]:
        client = Client()
        async with vendor(info=say(status="301 Moved", Location="/info2"), info2=say(b'{"a": 1}')) as server:
            answer = await client.send(Request(url=f"{server.url}/info", headers={"X-Key": KEY}), LATER)
        await client.aclose()
        return answer, server

    answer, server = asyncio.run(send())
    assert answer.body == b'{"a": 1}'
    assert all(KEY in head for head in server.heads)


async def post(*redirects: str) -> list[str]:
    """The requests that a POST becomes on its way through these."""
    sent: list[str] = []
    statuses = iter(redirects)

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(f"{request.method} {request.url.path} {request.read().decode()}")
        status = next(statuses, None)
        return httpx.Response(int(status), headers={"Location": "/to"}) if status else httpx.Response(200)

    request = Request(method="POST", url="https://api.acme.example/from", json=b'{"a": 1}')
    try:
        await Client(httpx.MockTransport(answer)).send(request, LATER)
    except RequestFailedError as error:
        sent.append(f"{error.cause}: {error.detail}")
    return sent


TURNED = "malformed: it redirects a POST as if it were a GET"


@pytest.mark.parametrize(
    ("redirects", "sent"),
    [
        pytest.param([], ['POST /from {"a": 1}'], id="none"),
        pytest.param(["307", "308"], ['POST /from {"a": 1}', 'POST /to {"a": 1}', 'POST /to {"a": 1}'], id="as it is"),
        *(pytest.param([status], ['POST /from {"a": 1}', TURNED], id=status) for status in ("301", "302", "303")),
    ],
)
def test_a_post_stays_one(redirects: list[str], sent: list[str]) -> None:
    assert asyncio.run(post(*redirects)) == sent


def test_a_post_says_what_it_is() -> None:
    plain = Request(method="POST", url="https://api.acme.example", json=b"{}").ready
    assert (plain.headers["Content-Type"], plain.headers["Content-Length"]) == ("application/json", "2")
    named = Request(method="POST", url="https://api.acme.example", json=b"{}", headers={"content-type": "text/x"}).ready
    assert named.headers.get_list("Content-Type") == ["text/x"]
    assert "Content-Type" not in Request(method="POST", url="https://api.acme.example").ready.headers
    assert KEY not in repr(Request(method="POST", url="https://api.acme.example", json=KEY.encode()))


def test_a_redirect_without_a_target_is_an_answer() -> None:
    assert asyncio.run(get(say(status="304 Not Modified"))).status == 304


def test_nobody_listens() -> None:
    async def send() -> None:
        async with vendor() as server:
            url = server.url
        await Client().send(Request(url=url), LATER)

    with pytest.raises(
        RequestFailedError, match=r"no connection to http://127.0.0.1:\d+: Connection refused"
    ) as caught:
        asyncio.run(send())
    assert caught.value.cause is Cause.UNREACHABLE


def test_an_origin_that_hung_is_usable_again() -> None:
    async def send() -> Answer:
        client = Client()
        async with vendor(hang=hang, info=say()) as server:
            hanging = [client.send(Request(url=f"{server.url}/hang"), SOON) for _ in range(10)]
            ended = await asyncio.gather(*hanging, return_exceptions=True)
            assert all(isinstance(one, RequestFailedError) for one in ended)
            answer = await client.send(Request(url=f"{server.url}/info"), LATER)
        await client.aclose()
        return answer

    assert asyncio.run(send()).status == 200


def test_a_request_that_waits_for_others_says_so() -> None:
    async def send() -> str:
        client, arrived = Client(), asyncio.Semaphore(0)

        async def arrive_and_hang(writer: asyncio.StreamWriter) -> None:
            arrived.release()
            await hang(writer)

        async with vendor(hang=arrive_and_hang) as server:
            request = Request(url=f"{server.url}/hang")
            hanging = [asyncio.create_task(client.send(request, LATER)) for _ in range(4)]
            for _ in hanging:
                await arrived.acquire()
            with pytest.raises(RequestFailedError) as caught:
                await client.send(request, SOON)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        await client.aclose()
        return caught.value.detail.replace(server.url, "HOST")

    assert asyncio.run(send()) == "not sent within 200ms: earlier requests to HOST are still waiting"


def test_an_origin_has_four_connections_at_most() -> None:
    async def send() -> int:
        client = Client()
        async with vendor(info=say()) as server:
            await asyncio.gather(*(client.send(Request(url=f"{server.url}/info"), LATER) for _ in range(20)))
        await client.aclose()
        return server.connections

    assert asyncio.run(send()) <= 4


def test_idle_origins_are_left() -> None:
    async def send() -> int:
        client = Client(keep_alive=timedelta(seconds=0.01))
        async with vendor(info=say()) as first, vendor(info=say()) as second:
            await client.send(Request(url=f"{first.url}/info"), LATER)
            await asyncio.sleep(0.05)
            await client.send(Request(url=f"{second.url}/info"), LATER)
            await asyncio.sleep(0.05)
            ended = first.ended
        await client.aclose()
        return ended

    assert asyncio.run(send()) == 1


EXCEPTIONS = [
    kind
    for kind in vars(httpx).values()
    if isinstance(kind, type) and issubclass(kind, httpx.TransportError | httpx.DecodingError | httpx.InvalidURL)
]


@pytest.mark.parametrize("kind", [*EXCEPTIONS, ssl.SSLError, OSError, UnicodeError], ids=lambda kind: kind.__name__)
def test_nothing_of_the_library_gets_out(kind: type[Exception]) -> None:
    def fail(_request: httpx.Request) -> httpx.Response:
        raise kind("some reason")

    with pytest.raises(RequestFailedError) as caught:
        asyncio.run(Client(httpx.MockTransport(fail)).send(Request(url="https://api.acme.example"), LATER))
    assert caught.value.cause in (Cause.UNREACHABLE, Cause.MALFORMED)
    assert isinstance(caught.value.__cause__, kind)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.acme.example",
        "ftp://api.acme.example",
        "https://",
        "https://[::1",
        "http://a:b",
        "http://a:0",
        "http://a:65536",
    ],
)
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Request(url=url)


@pytest.mark.parametrize("value", [f"{KEY}\n", f"{KEY}\r\nX-Other: 1", f"{KEY}ü", f"{KEY}\x00"])
def test_a_header_that_can_not_be_sent_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ValueError, match="the header X-Key would hold") as caught:
        Request(url="https://api.acme.example", headers={"X-Key": value})
    assert KEY not in str(caught.value)


def test_neither_a_request_nor_a_log_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = Request(url=f"https://api.acme.example/?key={KEY}", headers={"X-Key": KEY}, params={"a": KEY})
    assert KEY not in repr(request)
    asyncio.run(get(say(), path=f"/info?key={KEY}"))
    assert KEY not in caplog.text
