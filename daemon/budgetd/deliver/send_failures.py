"""Classifies failed sends, and extracts the service's own words, from the log entries of Apprise.

An entry is (level, text). Apprise never raises: only these entries tell why a send failed. They contain parts of the
service's answer and of the channel's URL, secrets included.
"""

import re
from ast import literal_eval
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from budgetd.credentials import Secret
from budgetd.store.notices import Outcome
from budgetd_rules.sanitizing import one_line

LogEntry = tuple[str, str]

# Proof that nothing arrived: an error response, or no connection at all. A mail server's refusal is logged as a tuple
# (or a dict by recipient), a failed connection in urllib3's message about its retries. A gateway error (502, 504, and
# Cloudflare's 52x) proves nothing about the service behind it.
_REFUSED: Final = re.compile(
    r"""
    error=(?!502|504|52\d)\d{3}
    | ^Connection\ error\ while\ submitting\ email
    | ^Socket\ Exception:\ \(\d{3},\ b
    | ^Socket\ Exception:\ \{.*:\ \(\d{3},\ b
    | ^Socket\ Exception:\ \w+Pool\(.*Max\ retries\ exceeded\ with\ url:\ .*\(Caused\ by\ (
        NewConnectionError | ConnectTimeoutError | NameResolutionError
        | ProxyError\('Unable\ to\ connect | SSLError\(SSL(Error|CertVerificationError)\(1
      )
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_SOCKET: Final = "Socket Exception: "
_RESPONSE: Final = "Response Details:"
_LOOKED_AT: Final = 10_000
"""Characters to look at: an answer may be a whole web page."""
_LOUD: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})


def outcome_of(entries: Iterable[LogEntry]) -> Outcome:
    """Failed or unknown, for a send that did not succeed.

    Quiet entries prove nothing: they contain our own message and the service's answer, which may say anything.
    """
    text = "\n".join(text for level, text in entries if level in _LOUD or text.startswith(_SOCKET))
    return Outcome.FAILED if _REFUSED.search(text) else Outcome.UNKNOWN


def said(entries: Iterable[LogEntry], secrets: Sequence[str], longest: int = 500) -> str:
    """Apprise's message, then the service's own words, in one line and without secrets."""
    entries = list(entries)
    loud = " ".join(dict.fromkeys(text for level, text in entries if level in _LOUD))
    own = ": ".join(dict.fromkeys(_own_words(entries)))
    line = (f"{loud.rstrip(' .')}: {own}" if own else loud)[:_LOOKED_AT] or "Apprise gave no reason"
    for secret in secrets:
        line = line.replace(secret, "***")
    return one_line(line, longest)


def _own_words(entries: Iterable[LogEntry]) -> Iterator[str]:
    for _, text in entries:
        for beginning in (_SOCKET, _RESPONSE):
            if text.startswith(beginning) and (own := _readable(text.removeprefix(beginning)[:_LOOKED_AT].strip())):
                yield own


_BYTES: Final = re.compile(r"""b(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_TAG: Final = re.compile(r"<[^<>]*>")


def _readable(text: str) -> str:
    """Undoes Python's repr of bytes and of SMTP answers: `(535, b'5.7.8 no')` becomes `535 5.7.8 no`."""
    decoded = _BYTES.sub(_decoded, text)
    return _TAG.sub(" ", re.sub(r"\((\d{3}), (.*)\)", r"\1 \2", decoded, flags=re.DOTALL)).strip()


def _decoded(spelled: re.Match[str]) -> str:
    try:
        return str(literal_eval(spelled[0]).decode(errors="replace"))
    except (SyntaxError, ValueError):  # not really the repr of bytes
        return spelled[0]


# --- secrets

_SHORTEST_SECRET: Final = 8
_SHORTEST_PASSWORD: Final = 4
# Query parameters that are not secret, and useful to see in an error.
_PUBLIC: Final = frozenset({"bcc", "cc", "format", "from", "method", "mode", "name", "overflow", "reply", "smtp", "to"})


def secret_parts(url: Secret) -> list[str]:
    """All parts of a channel's URL that may be credentials, because they are long enough; longest first."""
    whole = url.reveal()
    parts = urlsplit(whole)
    settings = parse_qsl(parts.query, keep_blank_values=True)
    # Some URLs have a token in place of the host, but a token has neither dots nor a port.
    host = parts.netloc.rpartition("@")[2]
    public = {host.partition(":")[0]} if "." in host or ":" in host else set()
    public |= {piece for name, value in settings if name in _PUBLIC for piece in (value, *_pieces(value))}
    found = {piece for piece in _pieces(whole.partition("://")[2]) if len(piece) >= _SHORTEST_SECRET} - public
    headers = [value for name, value in settings if name[:1] in "+-: "]
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    # The Authorization header, which a debugging page may show.
    basic = b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode() if password else ""
    found |= {text for text in (password, basic, *headers) if len(text) >= _SHORTEST_PASSWORD}
    spelled = {spelling for text in found for spelling in (text, unquote(text), quote(unquote(text), safe=""))}
    return sorted({whole, *spelled}, key=len, reverse=True)


def _pieces(text: str) -> list[str]:
    return re.split(r"[/?&=:@#,]+", text)


# --- hints

_HINTS: Final[Mapping[str, str]] = {
    "certificate.verify.failed": "its certificate is not trusted here: name the file of your own CA in $SSL_CERT_FILE "
    "for mail, in $REQUESTS_CA_BUNDLE for all else",
    "wrong.version.number|record.layer.failure|submitting email.*(timed out|closed)": "TLS and port do not fit: 587 "
    "begins without TLS (mode=starttls), 465 with it (mode=ssl)",
    "STARTTLS extension not supported": "there is no STARTTLS on this port; try 465 with mode=ssl",
    r"\b53[0458]\b|AUTH extension not supported": "the server takes no such user and password; Gmail wants an app "
    "password",
    r"\b(550|551|553|554)\b": "the server refuses this recipient, this sender, or the text",
    r"\b4[25]\d \d|\b45[0-2]\b": "for now only: a server that does not know this one yet takes it in some minutes",
    "error=(404|410)|no_service|channel_not_found|no_team": "the webhook or the room is gone: make a new one, and put "
    "its URL into the config",
    "error=40[13]|invalid_token|invalid_auth|action_prohibited": "the token is wrong or revoked, or may not write "
    "there",
    "error=400|invalid_payload": "the service takes no message of this form; try ?format=text in the URL",
    "error=429": "too many messages: try again in a minute",
    r"error=5\d\d": "the service has trouble of its own: try again later",
    "NameResolutionError|Name or service not known|name resolution|nodename nor|No address associated": "there is no "
    "such host, or no name service here",
    "Connection refused": "nothing listens there: check host and port",
    "timed out|no answer within|closed|aborted": "it may have arrived, so look; if not, a firewall may be in the way",
}


def hint(error: str) -> str | None:
    """Advice for a known error, or None."""
    return next((text for pattern, text in _HINTS.items() if re.search(pattern, error, re.IGNORECASE)), None)
