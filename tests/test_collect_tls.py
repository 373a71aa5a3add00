"""TLS on the way to a vendor: whose certificates are taken, and what is said where one is not."""

import asyncio
import contextlib
import gzip
import logging
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from budgetd.errors import ConfigError
from budgetd.http import Answer, Client, Request, RequestFailedError
from budgetd_rules.polls import Cause
from serving import Script, Vendor, flood, hang, say, tls_of, trickle, vendor, write

KEY = "canary-7c1e5a90b2"
SOON = timedelta(seconds=0.5)
LATER = timedelta(seconds=10)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2090, 1, 1, tzinfo=UTC)


async def get(tls: ssl.SSLContext | None, script: Script, within: timedelta = LATER, host: str = "127.0.0.1") -> Answer:
    client = Client()
    try:
        async with vendor(tls, info=script) as server:
            url = server.url.replace("http:", "https:").replace("127.0.0.1", host)
            return await client.send(Request(url=f"{url}/info?token=query-canary", headers={"X-Key": KEY}), within)
    finally:
        await client.aclose()


def fail(*args: Any, **named: Any) -> RequestFailedError:
    with pytest.raises(RequestFailedError) as caught:
        asyncio.run(get(*args, **named))
    assert KEY not in str(caught.value)
    assert "query-canary" not in str(caught.value)
    assert "_ssl.c" not in str(caught.value)
    return caught.value


# --- certificates


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(
            lambda _ca: trustme.CA().issue_cert("127.0.0.1"),
            (
                "its certificate is from an authority that is not trusted here: if that is your own, or a proxy's that "
                "opens TLS, name its file in SSL_CERT_FILE"
            ),
            id="an authority that nobody knows",
        ),
        pytest.param(
            lambda ca: ca.issue_cert("other.example"),
            "its certificate is for another name: is the address right?",
            id="another name",
        ),
        pytest.param(
            lambda ca: ca.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + timedelta(days=1)),
            "its certificate has expired: who runs it has to renew it, unless this machine's clock is wrong",
            id="expired",
        ),
        pytest.param(
            lambda ca: ca.issue_cert("127.0.0.1", not_before=FUTURE, not_after=FUTURE + timedelta(days=1)),
            "its certificate is not valid yet: is this machine's clock right?",
            id="not valid yet",
        ),
    ],
)
def test_a_certificate_that_is_not_good(
    make: Callable[[trustme.CA], trustme.LeafCert], said: str, ca: trustme.CA, trusted: None
) -> None:
    error = fail(tls_of(make(ca)), say())
    assert error.cause is Cause.UNREACHABLE
    where, _, why = error.detail.removeprefix("no connection to https://127.0.0.1:").partition(": ")
    assert where.isdecimal()
    assert why == said


def test_another_name_for_a_host_by_name(ca: trustme.CA, trusted: None) -> None:
    assert "is for another name" in fail(tls_of(ca.issue_cert("127.0.0.1")), say(), LATER, "localhost").detail


def test_no_key_is_sent_before_the_certificate_is_good(ca: trustme.CA) -> None:
    async def send() -> Vendor:
        client = Client()
        async with vendor(tls_of(ca.issue_cert("127.0.0.1")), info=say()) as server:
            with pytest.raises(RequestFailedError):
                await client.send(Request(url=f"{server.url}/info", headers={"X-Key": KEY}), LATER)
        await client.aclose()
        return server

    assert asyncio.run(send()).heads == []


# --- authorities of one's own


def test_an_authority_of_ones_own_by_file(ca: trustme.CA, trusted: None) -> None:
    assert asyncio.run(get(tls_of(ca.issue_cert("127.0.0.1")), say())).status == 200


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl names the files of such a folder")
def test_an_authority_of_ones_own_by_folder(ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(pem))
    words = ["openssl", "x509", "-noout", "-hash", "-in", str(pem)]
    hashed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    pem.rename(tmp_path / f"{hashed}.0")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert asyncio.run(get(tls_of(ca.issue_cert("127.0.0.1")), say())).status == 200


def test_file_and_folder_are_trusted_both(
    ca: trustme.CA, trusted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert asyncio.run(get(tls_of(ca.issue_cert("127.0.0.1")), say())).status == 200


@pytest.mark.parametrize(
    ("variable", "path", "problem"),
    [
        pytest.param("SSL_CERT_FILE", "no.pem", "can't be read: No such file or directory", id="no file"),
        pytest.param("SSL_CERT_FILE", "not.pem", "holds no certificates in PEM", id="no certificates"),
        pytest.param("SSL_CERT_DIR", "not.pem", "is no folder", id="no folder"),
    ],
)
def test_authorities_that_can_not_be_read_stop_the_start(
    variable: str, path: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not.pem").write_text("no certificate\n")
    monkeypatch.setenv(variable, str(tmp_path / path))
    with pytest.raises(ConfigError) as error:
        Client()
    assert error.value.problems == (f"{variable} in the environment: {tmp_path / path} {problem}",)


# --- what else goes wrong, each within its time


HANGING = {
    "no answer": (hang, "no answer within 500ms"),
    "an answer that trickles in": (trickle, "no whole answer within 500ms"),
}


@pytest.mark.parametrize(("script", "said"), HANGING.values(), ids=HANGING.keys())
def test_a_vendor_that_takes_its_time(script: Script, said: str, ca: trustme.CA, trusted: None) -> None:
    assert fail(tls_of(ca.issue_cert("127.0.0.1")), script, SOON).detail == said


BROKEN = {
    "reset before a word": (write(b"", reset=True), Cause.UNREACHABLE, "the connection broke before"),
    "reset in the body": (
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", reset=True),
        Cause.UNREACHABLE,
        "the connection broke before the whole answer was there",
    ),
    "ended in the body": (
        write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", close=True),
        Cause.UNREACHABLE,
        "the connection broke before the whole answer was there",
    ),
    "a bomb": (
        say(gzip.compress(b" " * 50_000_000, compresslevel=1), Content_Encoding="gzip"),
        Cause.MALFORMED,
        "its answer is larger than 5 MB",
    ),
    "a flood": (flood, Cause.MALFORMED, "its answer is larger than 5 MB"),
}


@pytest.mark.parametrize(("script", "cause", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_an_answer_that_is_none(script: Script, cause: Cause, said: str, ca: trustme.CA, trusted: None) -> None:
    error = fail(tls_of(ca.issue_cert("127.0.0.1")), script)
    assert (error.cause, said in error.detail) == (cause, True)


Shaking = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def shake(serve: Shaking) -> str:
    """What is said where a server answers the first words of a TLS handshake so. It has to see us hang up."""
    client, left = Client(), asyncio.Event()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        await serve(reader, writer)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(RequestFailedError) as caught:
        await client.send(Request(url=url, headers={"X-Key": KEY}), SOON)
    assert caught.value.cause is Cause.UNREACHABLE
    async with asyncio.timeout(LATER.total_seconds()):
        await left.wait()
    server.close()
    await client.aclose()
    return caught.value.detail.replace(url, "HOST")


async def _hangs(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Says nothing."""


async def _hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _resets(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _speaks_plainly(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


async def _alerts(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Fatal: handshake failure."""
    writer.write(bytes([21, 3, 3, 0, 2, 2, 40]))


@pytest.mark.parametrize(
    ("serve", "said"),
    [
        pytest.param(_hangs, "no TLS handshake with HOST within 500ms", id="says nothing"),
        pytest.param(_hangs_up, "no connection to HOST: it broke off the TLS handshake", id="hangs up"),
        pytest.param(_resets, "no connection to HOST: it broke off the TLS handshake", id="resets"),
        pytest.param(
            _speaks_plainly,
            "no connection to HOST: it does not speak TLS: is it http://, and not https://?",
            id="speaks HTTP",
        ),
        pytest.param(_alerts, "no connection to HOST: TLS: sslv3 alert handshake failure", id="refuses our TLS"),
    ],
)
def test_a_handshake_that_fails(serve: Shaking, said: str) -> None:
    assert asyncio.run(shake(serve)) == said


# --- where the key goes


def test_the_key_leaves_for_no_other_host(ca: trustme.CA, trusted: None) -> None:
    """Two vendors with valid certificates: the first redirects to the second, which must get no request."""

    async def send() -> tuple[Vendor, Vendor, str]:
        client, tls = Client(), tls_of(ca.issue_cert("127.0.0.1"))
        async with vendor(tls, info=say()) as other:
            redirect = say(status="307 Temporary Redirect", Location=f"{other.url}/info?key={KEY}")
            async with vendor(tls, info=redirect) as first:
                with pytest.raises(RequestFailedError) as caught:
                    await client.send(Request(url=f"{first.url}/info", headers={"X-Key": KEY}), LATER)
        await client.aclose()
        assert (caught.value.cause, KEY in str(caught.value)) == (Cause.MALFORMED, False)
        assert caught.value.detail.startswith(f"it redirects to {other.url}, and the key goes nowhere but {first.url}:")
        return first, other, caught.value.detail

    first, other, _ = asyncio.run(send())
    assert [KEY in head for head in first.heads] == [True]
    assert (other.heads, other.connections) == ([], 0)


def test_no_log_shows_the_key(ca: trustme.CA, trusted: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.run(get(tls_of(ca.issue_cert("127.0.0.1")), say()))
    fail(tls_of(ca.issue_cert("other.example")), say())
    assert KEY not in caplog.text
    assert "query-canary" not in caplog.text
