"""How far a request came, and why no further: one line that a person can act on.

The libraries' own texts are not passed on: they name lines of OpenSSL's source code, or quote what a server sent.
"""

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final, Protocol

from budgetd.durations import format_duration
from budgetd.network import Proxy


class Phase(Enum):
    TURN = auto()
    CONNECT = auto()
    TLS = auto()
    TUNNEL = auto()
    """The proxy was asked for a connection to the host."""
    TLS_THROUGH = auto()
    ANSWER = auto()
    BODY = auto()


_PHASES: Final[Mapping[str, Phase]] = {
    "connection.connect_tcp.started": Phase.CONNECT,
    "connection.start_tls.started": Phase.TLS,
    "proxy.start_tls.started": Phase.TLS_THROUGH,
    "socks.connect_tcp.started": Phase.CONNECT,
    "socks.setup_socks5_connection.started": Phase.TUNNEL,
    "socks.start_tls.started": Phase.TLS_THROUGH,
}
_CONNECTED: Final = ("connection.connect_tcp.complete", "socks.connect_tcp.complete")
_SENDING: Final = "http11.send_request_headers.started"

_UNTRUSTED: Final = (
    "its certificate is from an authority that is not trusted here: "
    "if that is your own, or a proxy's that opens TLS, name its file in SSL_CERT_FILE"
)
_ANOTHER_NAME: Final = "its certificate is for another name: is the address right?"
# By OpenSSL's verify_code, X509_V_ERR_*.
_CERTIFICATE: Final[Mapping[int, str]] = {
    2: _UNTRUSTED,
    9: "its certificate is not valid yet: is this machine's clock right?",
    10: "its certificate has expired: who runs it has to renew it, unless this machine's clock is wrong",
    18: _UNTRUSTED,
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    62: _ANOTHER_NAME,
    64: _ANOTHER_NAME,
}
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


class _Closable(Protocol):
    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Journey:
    """One request on its way to `host`, through the proxy `via` if there is one."""

    host: str
    via: Proxy | None = None
    phase: Phase = Phase.TURN
    connection: _Closable | None = None

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx for each event (the request extension `trace`)."""
        self.phase = _PHASES.get(event, self.phase)
        if event in _CONNECTED:
            self.connection = info["return_value"]
        elif event == _SENDING:
            asked_proxy = info["request"].method == b"CONNECT"
            self.phase = Phase.TUNNEL if asked_proxy else Phase.ANSWER
            if not asked_proxy:
                # Later events are of no interest, and noting them would cost 3 % of a GET.
                del info["request"].extensions["trace"]

    async def hang_up(self) -> None:
        """Closes the connection of an interrupted handshake, which nobody else holds yet."""
        if self.connection and self.phase is not Phase.ANSWER:
            await self.connection.aclose()

    def late(self, limit: timedelta) -> str:
        within = f"within {format_duration(limit)}"
        match self.phase:
            case Phase.TURN:
                return f"not sent {within}: earlier requests to {self.host} are still waiting"
            case Phase.CONNECT:
                return f"no connection to {self._peer} {within}"
            case Phase.TLS | Phase.TLS_THROUGH:
                return f"no TLS handshake with {self._peer} {within}"
            case Phase.TUNNEL:
                return f"{self._proxy} made no connection to {self.host} {within}"
            case Phase.ANSWER:
                return f"no answer {within}{self._through}"
            case Phase.BODY:
                return f"no whole answer {within}{self._through}"

    def no_connection(self, error: Exception) -> str:
        reasons = (reason for link in _chain(error) if (reason := _reason(link)))
        return f"no connection to {self._peer}: {next(reasons, 'it could not be made')}"

    def broken(self) -> str:
        if self.phase is Phase.TUNNEL and self.via and self.via.is_socks:
            return f"{self._proxy} made no connection to {self.host}: it broke off, or does not speak SOCKS 5"
        if self.phase is Phase.TUNNEL:
            return f"{self._proxy} broke off before it made a connection to {self.host}"
        return f"the connection broke before the whole answer was there{self._through}"

    def refused(self, status: int) -> str:
        """What to say when the proxy refuses with this status."""
        if self.via is not None and status == 407:
            return f"{self._refused_login(self.via, 'http')} (HTTP 407)"
        reaches = "can't reach" if status in (502, 503, 504) else "makes no connection to"
        return f"{self._proxy} {reaches} {self.host} (HTTP {status})"

    def refused_by_socks(self, words: str) -> str:
        """`words` are httpcore's: a reason behind a colon, or something about the login."""
        reason = words.rpartition(": ")[2].rstrip(".").lower() if ": " in words else ""
        if self.via is not None and not reason:
            return self._refused_login(self.via, "socks5")
        return f"{self._proxy} can't reach {self.host}: {reason}"

    def _refused_login(self, via: Proxy, scheme: str) -> str:
        login = f"the user and password in {via.variable}"
        fix = f"does not take {login}" if via.has_user else f"wants {login}: {scheme}://USER:PASSWORD@HOST:PORT"
        return f"{self._proxy} {fix}"

    @property
    def _proxy(self) -> str:
        return f"the proxy {self.via.shown}" if self.via else "the proxy"

    @property
    def _peer(self) -> str:
        return self._proxy if self.via and self.phase in (Phase.CONNECT, Phase.TLS) else self.host

    @property
    def _through(self) -> str:
        return f", through {self._proxy}" if self.via else ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes; if several connections were tried, those of the last."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.exceptions[-1] if isinstance(link, BaseExceptionGroup) else link.__cause__ or link.__context__


def _reason(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return _CERTIFICATE.get(error.verify_code, f"its certificate is not good: {error.verify_message}")
        case ssl.SSLEOFError():
            return "it broke off the TLS handshake"
        case ssl.SSLError(reason=str(reason)):
            said = reason.lower().replace("_", " ")
            return "it does not speak TLS: is it http://, and not https://?" if reason in _NO_TLS else f"TLS: {said}"
        case socket.gaierror(strerror=str(said)):
            return said
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return ""
