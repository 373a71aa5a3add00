"""The network settings in the environment: proxies, and the certificate authorities to trust.

HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY mean what they mean to httpx, SOCKS proxies included, and SSL_CERT_FILE
and SSL_CERT_DIR what they mean to OpenSSL. All are read once, at the start.
"""

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from budgetd.errors import ConfigError

PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
# To either the proxy looks the names up.
_SOCKS: Final = ("socks5", "socks5h")
_FORM: Final = "expected http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or the same with https:// or socks5://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """`url` may hold a password; `shown` never does."""

    variable: str
    url: str = field(repr=False)
    shown: str
    has_user: bool
    has_tls: bool
    is_socks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exemption:
    """One entry of NO_PROXY: a host, with all below it unless `is_alone`, an address, or a network."""

    scheme: str = ""
    host: str = ""
    is_alone: bool = False
    port: int | None = None
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    def covers(self, scheme: str, host: str, port: int) -> bool:
        if self.network is not None:
            with contextlib.suppress(ValueError):
                return ipaddress.ip_address(host) in self.network
            return False
        if (self.scheme or scheme) != scheme or (self.port or port) != port:
            return False
        # `.acme.example` stands for everything below acme.example, but not for that itself.
        exact = self.host in ("", host) and not self.host.startswith(".")
        return exact or (not self.is_alone and host.endswith(f".{self.host.removeprefix('.')}"))


class Proxies:
    """The proxies of the environment. Raises ConfigError if one is not the address of a proxy."""

    def __init__(self) -> None:
        # The standard library knows that lower case has precedence, and that HTTP_PROXY does not count under CGI.
        found = getproxies()
        self._by_scheme = {scheme: _proxy(scheme, found[scheme]) for scheme in (*PORTS, "all") if found.get(scheme)}
        entries = [entry.strip().lower() for entry in found.get("no", "").split(",")]
        self._exempts_all = "*" in entries
        self._exemptions = [_exemption(entry) for entry in entries if entry]

    def find(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        proxy = self._by_scheme.get(scheme) or self._by_scheme.get("all")
        if proxy is None or self._exempts_all:
            return None
        wanted = (scheme, host.strip("[]"), port or PORTS[scheme])
        return None if any(exemption.covers(*wanted) for exemption in self._exemptions) else proxy


def _proxy(scheme: str, text: str) -> Proxy:
    variable = f"{scheme.upper()}_PROXY"
    url = text if "://" in text else f"http://{text}"
    problem = ""
    try:
        parts = urlsplit(url)
        problem = _problem(parts)
    except ValueError:
        problem = _FORM
    if problem:
        # The text itself is not shown: it may hold a password.
        raise ConfigError([f"{variable} in the environment: {problem}"])
    return Proxy(
        variable=variable,
        url=url,
        shown=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        has_user=bool(parts.username),
        has_tls=parts.scheme == "https",
        is_socks=parts.scheme in _SOCKS,
    )


def _problem(parts: SplitResult) -> str:
    if parts.scheme.startswith("socks") and parts.scheme not in _SOCKS:
        return "of SOCKS only version 5 is spoken here: socks5://HOST:PORT"
    odd = any(letter.isspace() or not letter.isprintable() for letter in parts.netloc)
    return _FORM if odd or parts.scheme not in (*PORTS, *_SOCKS) or not parts.hostname or parts.port == 0 else ""


def _exemption(entry: str) -> _Exemption:
    with contextlib.suppress(ValueError):
        return _Exemption(network=ipaddress.ip_network(entry.strip("[]"), strict=False))
    scheme, _, place = entry.rpartition("://")
    host, _, port = place.partition(":")
    return _Exemption(
        scheme="" if scheme == "all" else scheme,
        host=host.removeprefix("*"),
        is_alone=entry == "localhost" or (bool(scheme) and not host.startswith("*")),
        port=int(port) if port.isdecimal() else None,
    )


def make_tls() -> ssl.SSLContext | None:
    """A context that trusts SSL_CERT_FILE and SSL_CERT_DIR; None if neither is set. Raises ConfigError."""
    file, folder = os.environ.get("SSL_CERT_FILE") or None, os.environ.get("SSL_CERT_DIR") or None
    if not (file or folder):
        return None
    if folder and not Path(folder).is_dir():  # OpenSSL would trust nobody, without saying why
        raise ConfigError([f"SSL_CERT_DIR in the environment: {folder} is no folder"])
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:  # SSLError is one
        why = "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else f"can't be read: {error.strerror}"
        raise ConfigError([f"SSL_CERT_FILE in the environment: {file} {why}"]) from error
