"""A server on loopback that is all four documented vendors at once: it checks keys, keeps books and counts visits."""

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Final, Self

from budgetd.demo.books import Books, Vendor, fresh_books
from budgetd.demo.documents import ANSWERS
from budgetd.demo.loopback import Answer, Fault, HttpServer, Request, wall_clock

KEYS: Final[Mapping[Vendor, str]] = {
    Vendor.CEKURA: "demo-cekura-organization-key",
    Vendor.CARGO: "demo-cargo-token",
    Vendor.SONZAI: "eyJ.demo-sonzai-session.jwt",
    Vendor.UNIQOS: "uniq_test_Demo0000",
}


class VendorServer:
    """All four vendors behind one port, each under its own path: `base_url("cekura")`."""

    def __init__(self, clock: Callable[[], datetime] = wall_clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._books = fresh_books(clock())
        self._requests: Counter[Vendor] = Counter()
        self._http = HttpServer(self._answer)

    def __enter__(self) -> Self:
        self._http.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.__exit__()

    def base_url(self, vendor: Vendor) -> str:
        return f"{self._http.url}/{vendor}"

    @contextmanager
    def books(self) -> Iterator[Books]:
        """The books, to read or to change while nobody else does."""
        with self._lock:
            yield self._books

    def requests(self, vendor: Vendor) -> int:
        with self._lock:
            return self._requests[vendor]

    def _answer(self, request: Request) -> Answer | Fault:
        name, _, path = request.path.partition("?")[0].removeprefix("/").partition("/")
        if name not in KEYS:
            return Answer(status=HTTPStatus.NOT_FOUND)
        vendor, now = Vendor(name), self._clock()
        with self._lock:
            self._requests[vendor] += 1
            trouble = self._books.trouble.get(vendor)
            if isinstance(trouble, Fault):
                return trouble
            return ANSWERS[vendor](self._books, trouble or _first_look(vendor, request, path), path, now)


def _first_look(vendor: Vendor, request: Request, path: str) -> HTTPStatus:
    header, value = _CREDENTIALS[vendor]
    if not secrets.compare_digest(request.headers.get(header, "").encode(), value.encode()):
        return HTTPStatus.UNAUTHORIZED
    return HTTPStatus.OK if path in _PATHS[vendor] and request.method == "GET" else HTTPStatus.NOT_FOUND


_CREDENTIALS: Final[Mapping[Vendor, tuple[str, str]]] = {
    vendor: ("x-cekura-api-key", key) if vendor is Vendor.CEKURA else ("authorization", f"Bearer {key}")
    for vendor, key in KEYS.items()
}
_PATHS: Final[Mapping[Vendor, tuple[str, ...]]] = {
    Vendor.CEKURA: ("test_framework/billing/info/", "test_framework/billing/payment-history/"),
    Vendor.CARGO: ("v1/billing/subscription",),
    Vendor.SONZAI: tuple(
        f"api/v1/org/{name}"
        for name in (
            "billing",
            "characters",
            "contract",
            "events",
            "ledger",
            "model-pricing",
            "service-agreements",
            "service-usage",
            "usage-summary",
        )
    ),
    Vendor.UNIQOS: ("v1/billing/subscription",),
}
