"""Where secrets come from, and that they are shown nowhere."""

import copy
import logging
import os
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from budgetd import log
from budgetd.credentials import LARGEST, KeySource, Secret, SecretSource, SecretUnavailableError, read_secret

CANARY = "canary-3f9b27c1"


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(str, id="str"),
        pytest.param(repr, id="repr"),
        pytest.param(lambda secret: f"{secret} {secret!r} {secret!s:>9}", id="formatted"),
        pytest.param("{0} {0!r}".format, id="formatted by str.format"),
        pytest.param(lambda secret: str([secret, {"key": secret}]), id="inside of a list and a dict"),
    ],
)
def test_a_secret_is_not_shown(shown: Callable[[Secret], str]) -> None:
    assert CANARY not in shown(Secret(CANARY))


def test_a_secret_is_revealed_where_it_is_asked_for() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_a_secret_has_no_other_way_out() -> None:
    secret = Secret(CANARY)
    assert not hasattr(secret, "__dict__")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            copied(secret)


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"


def test_a_log_line_with_a_secret_in_it_does_not_have_it() -> None:
    stream = StringIO()
    log.set_up("info", stream)
    logger = logging.getLogger("budgetd.test")
    try:
        raise ValueError(Secret(CANARY))
    except ValueError:
        logger.exception("failed with %s", Secret(CANARY))
    assert "failed with ***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("", "is empty", id="an empty text"),
        pytest.param(" \n", "is empty", id="a blank text"),
        pytest.param(5, 'expected { env = "..." }', id="a number"),
        pytest.param([CANARY], 'expected { env = "..." }', id="a list with the secret"),
    ],
)
def test_what_is_no_secret_is_refused(value: object, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TypeAdapter(Secret).validate_python(value)


def test_a_literal_secret_is_trimmed() -> None:
    assert TypeAdapter(Secret).validate_python(f" {CANARY}\n") == Secret(CANARY)


# --- sources


def _source(**keys: object) -> SecretSource:
    return SecretSource.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        pytest.param({}, "takes exactly one of", id="no source"),
        pytest.param({"env": "A", "file": "b"}, "takes exactly one of", id="two sources"),
        pytest.param({"env": ""}, "env is empty", id="no variable's name"),
        pytest.param({"file": ""}, "file is empty", id="no path"),
        pytest.param({"credential": " "}, "credential is empty", id="no credential's name"),
        pytest.param({"credential": "../shadow"}, "and no path", id="a credential out of its folder"),
        pytest.param({"credential": "/etc/shadow"}, "and no path", id="a credential with a path"),
        pytest.param({"credential": ".."}, "and no path", id="the folder above"),
        pytest.param({"vault": "x"}, "not permitted", id="a source that there is not"),
        pytest.param({"env": 5}, "valid string", id="a number"),
    ],
)
def test_a_source_is_exactly_one(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        _source(**keys)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        pytest.param({}, "takes exactly one of env, file, credential and command", id="no source"),
        pytest.param({"command": ["a"], "env": "A"}, "takes exactly one of", id="two sources"),
        pytest.param({"command": []}, "expected a list of texts", id="no program"),
        pytest.param({"command": f"token {CANARY}"}, "expected a list of texts", id="a line for a shell"),
        pytest.param({"command": ["token", 5, CANARY]}, "expected a list of texts", id="a number"),
        pytest.param({"command": [" ", CANARY]}, "names no program", id="a blank program"),
        pytest.param({"command": ["token", f"{CANARY}\0"]}, "names no program", id="a NUL"),
        pytest.param({"command": ["token"], "ttl": "soon"}, 'expected a duration such as "90s"', id="no duration"),
        pytest.param({"env": "A", "ttl": "50m"}, "ttl goes together with command", id="a variable does not age"),
        pytest.param({"ttl": "50m"}, "takes exactly one of", id="only a ttl"),
    ],
)
def test_a_key_may_also_come_from_a_command(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as error:
        KeySource.model_validate(keys)
    assert CANARY not in str(error.value)


def test_a_command_shows_none_of_its_words() -> None:
    source = KeySource.model_validate({"command": ["token", CANARY, " "], "ttl": "50m"})
    assert (source.kind, source.ttl) == ("command", timedelta(minutes=50))
    assert source.command == (Secret("token"), Secret(CANARY), Secret(" "))
    assert CANARY not in f"{source!r} {source} {source.model_dump()}"


def test_nothing_but_a_key_comes_from_a_command() -> None:
    with pytest.raises(ValidationError, match=r"only an api_key can come from a command; write \{ env") as error:
        _source(command=["token", CANARY])
    assert CANARY not in str(error.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every source has the canary, with what surrounds keys in real life."""
    monkeypatch.setenv("VENDOR_KEY", f" {CANARY} ")
    (tmp_path / "plain.key").write_text(f"{CANARY}\n")
    (tmp_path / "windows.key").write_bytes(b"\xef\xbb\xbf" + f"{CANARY}\r\n".encode())
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "vendor").write_text(CANARY)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    home = Path(os.environ["HOME"])
    (home / "my.key").write_text(CANARY)
    return tmp_path


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({"env": "VENDOR_KEY"}, id="an environment variable"),
        pytest.param({"file": "plain.key"}, id="a file beside the config"),
        pytest.param({"file": "windows.key"}, id="a file that Notepad wrote"),
        pytest.param({"file": "~/my.key"}, id="a file at home"),
        pytest.param({"credential": "vendor"}, id="systemd's credential"),
    ],
)
def test_a_secret_is_read_from_its_source(keys: dict[str, str], folder: Path) -> None:
    assert read_secret(_source(**keys), folder).reveal() == CANARY


def test_an_absolute_file_stays_where_it_is(folder: Path) -> None:
    assert read_secret(_source(file=str(folder / "plain.key")), Path("/elsewhere")).reveal() == CANARY


def _unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLANK", "  ")
    monkeypatch.setitem(os.environb, b"LATIN", CANARY.encode() + b"\xe9")
    (folder / "blank.key").write_text(" \n")
    (folder / "latin.key").write_bytes(CANARY.encode() + b"\xe9")
    (folder / "long.key").write_bytes(b"x" * (LARGEST + 1))
    (folder / "credentials" / "blank").write_text("")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        pytest.param({"env": "NOT_SET"}, "the environment variable NOT_SET is not set", id="a variable is not set"),
        pytest.param({"env": "BLANK"}, "the environment variable BLANK is empty", id="a variable is blank"),
        pytest.param({"env": "LATIN"}, "the environment variable LATIN is not UTF-8 text", id="a variable in Latin-1"),
        pytest.param({"file": "no.key"}, "{folder}/no.key can't be read: No such file or directory", id="no file"),
        pytest.param({"file": "credentials"}, "{folder}/credentials can't be read: Is a directory", id="a folder"),
        pytest.param({"file": "blank.key"}, "{folder}/blank.key is empty", id="a blank file"),
        pytest.param({"file": "latin.key"}, "{folder}/latin.key is not UTF-8 text", id="a file in Latin-1"),
        pytest.param(
            {"file": "long.key"}, "{folder}/long.key is longer than 65,536 bytes: no secret is", id="a huge file"
        ),
        pytest.param(
            {"file": "/dev/zero"}, "/dev/zero is longer than 65,536 bytes: no secret is", id="an endless file"
        ),
        pytest.param({"file": "a\0b"}, "'{folder}/a\\x00b' can't be read: embedded null byte", id="a NUL in a name"),
        pytest.param({"file": "~nobody-here/k"}, "~nobody-here/k has no home folder to begin with", id="nobody's home"),
        pytest.param({"credential": "blank"}, "{folder}/credentials/blank is empty", id="a blank credential"),
        pytest.param(
            {"credential": "no"},
            "{folder}/credentials/no can't be read: No such file or directory",
            id="a credential that the unit does not load",
        ),
    ],
)
def test_a_source_that_gives_nothing_says_why(
    keys: dict[str, str], problem: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _unreadable(folder, monkeypatch)
    with pytest.raises(SecretUnavailableError) as error:
        read_secret(_source(**keys), folder)
    assert str(error.value) == problem.replace("{folder}", str(folder))
    assert CANARY not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("directory", [None, ""], ids=["not set", "empty"])
def test_a_credential_outside_of_systemd_says_so(directory: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if directory is not None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", directory)
    with pytest.raises(SecretUnavailableError) as error:
        read_secret(_source(credential="vendor"), Path("/"))
    assert str(error.value) == (
        "credential 'vendor': systemd gave no $CREDENTIALS_DIRECTORY; "
        "is LoadCredential= set in the unit, and is this run by it?"
    )


def test_what_pydantic_says_of_a_source_holds_no_value() -> None:
    with pytest.raises(ValidationError) as error:
        _source(env=[CANARY], file=5, vault=CANARY)
    assert CANARY not in str(error.value)
