"""The config file: what it may say, and one line for each thing that is wrong with it."""

import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from budgetd.advice import warnings
from budgetd.config import ByLevel, ClockworkTable, ConfigFile, StepsTable, load_config
from budgetd.config_paths import SYSTEM_CONFIG, find_config, state_folder
from budgetd.credentials import KeySource, Secret
from budgetd.durations import Duration
from budgetd.errors import ConfigError
from budgetd.planning import make_plan
from budgetd.rulefiles import LARGEST
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind
from conftest import WriteConfig

CANARY = "canary-3f9b27c1"
DURATION = 'expected a duration such as "90s", "5m", "1h30m", "1d" or "2w"'
SECRET = '{ env = "..." }, { file = "..." } or { credential = "..." }'
NAME = "a name has up to 64 letters, digits, dots, dashes and underscores, and begins with no sign"
EXAMPLE = Path(__file__).parent.parent / "config.example.toml"


def problems(path: Path) -> list[str]:
    """What is wrong with the file, each line without the file's name that it begins with."""
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert error.value.exit_code == 78
    assert str(error.value).splitlines() == list(error.value.problems)
    assert all(line.startswith(f"{path}: ") for line in error.value.problems)
    return [line.removeprefix(f"{path}: ") for line in error.value.problems]


ACCOUNT = '[accounts.voice]\nprovider = "cekura"\napi_key = { env = "KEY" }\n'
CHANNEL = '[channels.ops]\nurl = { env = "URL" }\n'
RULE = '[rules.low]\non = { kind = "balance" }\nwarning = "remaining < 5"\n'
ROUTE = '[[routes]]\nchannels = ["ops"]\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[account.voice]", "account: unknown key; did you mean accounts?", id="an unknown table"),
        pytest.param(
            "colour = 1",
            "colour: unknown key; known: accounts, channels, daemon, routes, rules",
            id="an unknown key at the top",
        ),
        pytest.param(
            "[daemon]\ninterwal = '5m'",
            "daemon.interwal: unknown key; did you mean interval?",
            id="an unknown key of the daemon",
        ),
        pytest.param(
            "[daemon.http]\nport = 1",
            "daemon.http: unknown key; known: heartbeat, include, interval, state, timezone",
            id="an unknown table below a table",
        ),
        pytest.param(
            f"{ACCOUNT}intervall = '5m'",
            "accounts.voice.intervall: unknown key; did you mean interval?",
            id="an unknown key of an account",
        ),
        pytest.param(
            f"{ACCOUNT}[accounts.provider]\nprovider = 'x'\napi_key = {{ env = 'A' }}\nonwer = 'x'",
            "accounts.provider.onwer: unknown key; did you mean owner?",
            id="an account that has a key's name",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = { enw = 'KEY' }",
            "accounts.voice.api_key.enw: unknown key; did you mean env?",
            id="an unknown source of a secret",
        ),
        pytest.param(
            f"{CHANNEL}group-wait = '5s'",
            "channels.ops.group-wait: unknown key; did you mean group_wait?",
            id="an unknown key of a channel",
        ),
        pytest.param(
            f"{CHANNEL}quiet = ['sat-sun', 'moday']",
            "channels.ops.quiet#2: expected one of mon, tue, wed, thu, fri, sat, sun, or two with - between them",
            id="quiet on a day that there is not",
        ),
        pytest.param(
            f"{CHANNEL}quiet = ['20:00-20:00']",
            "channels.ops.quiet#1: 20:00-20:00 ends when it begins; for the whole day leave the times out",
            id="quiet for no time",
        ),
        pytest.param(
            f"{CHANNEL}quiet = 'mon-sun'",
            "channels.ops.quiet: leaves no time of the week to tell anything; to tell less, write [[routes]]",
            id="quiet all week",
        ),
        pytest.param(
            f"{CHANNEL}timezone = 'Europe/Berlim'",
            "channels.ops.timezone: no time zone is named 'Europe/Berlim'; did you mean Europe/Berlin?",
            id="a channel in a zone that there is not",
        ),
        pytest.param(
            f"{ROUTE}after = '0s'", "routes#1.after: must be longer than nothing", id="an escalation after no time"
        ),
        pytest.param(
            f"{ROUTE}{ROUTE}chanels = ['ops']",
            "routes#2.chanels: unknown key; did you mean channels?",
            id="an unknown key of the second route",
        ),
        pytest.param(
            f"{ROUTE}match = {{ levl = 'critical' }}",
            "routes#1.match.levl: unknown key; did you mean level?",
            id="an unknown key of a match",
        ),
        pytest.param(f"{RULE}citical = 'x'", "rules.low.citical: unknown key; did you mean critical?", id="of a rule"),
        pytest.param(
            "[rules.low]\non = { kinds = 'balance' }",
            "rules.low.on.kinds: unknown key; did you mean kind?",
            id="an unknown key of a selector",
        ),
        pytest.param(
            f"{RULE}clear = {{ warnin = 'x' }}",
            "rules.low.clear.warnin: unknown key; did you mean warning?",
            id="an unknown level of clear",
        ),
        pytest.param(
            f"{RULE}for = {{ criticl = '5m' }}",
            "rules.low.for.criticl: unknown key; did you mean critical?",
            id="an unknown level of for",
        ),
        pytest.param(
            f"{RULE}sustain = '5m'",
            "rules.low.sustain: unknown key; known: clear, critical, ease_for, enabled, for, on, on_change, remind, "
            "unless, warning, was",
            id="a name of the inside is no key",
        ),
        pytest.param(
            f"{RULE}remind = {{ every = '1d', maxx = '2d' }}",
            "rules.low.remind.maxx: unknown key; did you mean max?",
            id="an unknown key of a reminder",
        ),
        pytest.param(
            f"{RULE}remind = {{ every = '1d', each = 'remaining', steps = [1] }}",
            "rules.low.remind.every: does not go together with the table's other keys",
            id="a reminder by the clock and by steps",
        ),
        # --- missing
        pytest.param(
            "[accounts.voice]\napi_key = { env = 'KEY' }",
            'accounts.voice.provider: is missing: the vendor, such as "cekura"; `budgetd providers` lists them all',
            id="an account without a provider",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'",
            f"accounts.voice.api_key: is missing: write {SECRET}",
            id="an account without a key",
        ),
        pytest.param(
            "[channels.ops]",
            f"channels.ops.url: is missing: an Apprise URL, best as {SECRET}",
            id="a channel without a URL",
        ),
        pytest.param(
            "[[routes]]",
            'routes#1.channels: is missing: where to tell it, such as ["ops"]',
            id="a route without channels",
        ),
        pytest.param(
            "[rules.low]\nwarning = 'remaining < 5'",
            'rules.low.on: is missing: which meters it watches, such as { kind = "balance" }',
            id="a rule on nothing",
        ),
        pytest.param(
            f"{RULE}remind = {{}}",
            'rules.low.remind.every: is missing: how long to wait, such as "1d"; or give each and steps',
            id="a reminder of nothing",
        ),
        pytest.param(
            f"{RULE}remind = {{ each = 'remaining' }}",
            "rules.low.remind.steps: is missing: where to remind, such as [30, 14, 7]",
            id="a reminder without steps",
        ),
        pytest.param(
            f"{RULE}remind = {{ steps = [1] }}",
            'rules.low.remind.each: is missing: the field that is stepped through, such as "days_until_expiry"',
            id="steps of no field",
        ),
        # --- wrong types
        pytest.param(
            "accounts = 1",
            "accounts: expected tables of their own, [accounts.NAME] each, not a number",
            id="no accounts",
        ),
        pytest.param(
            "[[accounts]]\nprovider = 'cekura'",
            "accounts: expected tables of their own, [accounts.NAME] each, not a list",
            id="accounts in double brackets",
        ),
        pytest.param(
            "[accounts]\nvoice = 'cekura'",
            "accounts.voice: expected a table, not text; its keys are provider, api_key, enabled, base_url, params, "
            "interval, timeout, stale_after, labels, owner, refill, at_zero, same_as, headers",
            id="an account that is a text",
        ),
        pytest.param(
            "[channels]\nops = 'json://x'",
            "channels.ops: expected a table, not text; its keys are url, group_wait, quiet, timezone, fallback, "
            "digest, drill, title, body",
            id="a channel that is a text",
        ),
        pytest.param(
            "[routes]\nchannels = ['ops']",
            "routes: expected a list of tables, not one table: write [[routes]], in double brackets",
            id="routes in single brackets",
        ),
        pytest.param(
            "[[routes]]\nchannels = 'ops'",
            "routes#1.channels: expected a list in brackets, not text",
            id="a route's channel without brackets",
        ),
        pytest.param(
            "[[routes]]\nchannels = [1]",
            "routes#1.channels#1: expected text in quotes, not a number",
            id="a route to a number",
        ),
        pytest.param("[[routes]]\nchannels = []", "routes#1.channels: is empty; give at least one", id="to nowhere"),
        pytest.param(
            f"{ROUTE}continue = 'yes'",
            "routes#1.continue: expected true or false, without quotes, not text",
            id="text for true or false",
        ),
        pytest.param(
            f"{ROUTE}match = {{ level = 'fatal' }}",
            'routes#1.match.level: there is no "fatal" here; known: critical, info, warning',
            id="no level",
        ),
        pytest.param(
            f"{ROUTE}match = {{ level = ['critical', 'warnign'] }}",
            'routes#1.match.level: there is no "warnign" here; did you mean warning?',
            id="no level, in a list",
        ),
        pytest.param(
            f"{ROUTE}match = {{ change = 'opend' }}",
            'routes#1.match.change: there is no "opend" here; did you mean opened?',
            id="no change",
        ),
        pytest.param(
            f"{ROUTE}match = {{ kind = 3 }}",
            "routes#1.match.kind: expected one of balance, quota, spend, subscription, charge, cap, connection, "
            "not a number",
            id="a number for a kind",
        ),
        pytest.param(
            "[rules.low]\non = { kind = 'balances' }\nwarning = 'remaining < 5'",
            'rules.low.on.kind: there is no "balances" here; did you mean balance?',
            id="no kind",
        ),
        pytest.param(
            "[rules.low]\non = 'balance'\nwarning = 'remaining < 5'",
            "rules.low.on: expected a table, not text; its keys are kind, meter, account, provider, labels",
            id="a text for a selector",
        ),
        pytest.param(f"{RULE}critical = 5", "rules.low.critical: expected text in quotes, not a number", id="number"),
        pytest.param(f"{RULE}unless = true", "rules.low.unless: expected text in quotes, not true or false", id="bool"),
        pytest.param(f"{RULE}clear = []", "rules.low.clear: expected text in quotes, not a list", id="a list"),
        pytest.param(
            f"{RULE}remind = {{ every = '1d', backoff = '2' }}",
            "rules.low.remind.backoff: expected a number, without quotes",
            id="a number in quotes",
        ),
        pytest.param(
            f"{RULE}remind = {{ every = '1d', backoff = 0.5 }}",
            "rules.low.remind.backoff: must be at least 1",
            id="ever shorter pauses",
        ),
        pytest.param(
            f"{RULE}remind = {{ every = '1d', backoff = nan }}",
            "rules.low.remind.backoff: must be finite",
            id="no number",
        ),
        pytest.param(
            f"{RULE}remind = {{ each = 'remaining', steps = [30, '14'] }}",
            "rules.low.remind.steps#2: expected a number, without quotes",
            id="a step in quotes",
        ),
        pytest.param(
            f"{RULE}remind = {{ each = 'remaining', steps = [true] }}",
            "rules.low.remind.steps#1: expected a number, without quotes",
            id="a step that is true",
        ),
        pytest.param(
            f"{RULE}remind = {{ each = 'remaining', steps = [] }}",
            "rules.low.remind.steps: is empty; give at least one",
            id="no steps",
        ),
        pytest.param(
            f"{ACCOUNT}params = {{ workspace = 1.5 }}",
            "accounts.voice.params.workspace: expected text in quotes, or a whole number",
            id="a param with a fraction",
        ),
        pytest.param(
            f"{ACCOUNT}params = {{ workspace = true }}",
            "accounts.voice.params.workspace: expected text in quotes, or a whole number",
            id="a param that is true",
        ),
        pytest.param(
            f"{ACCOUNT}labels = {{ team = 1 }}",
            "accounts.voice.labels.team: expected text in quotes, not a number",
            id="a label that is a number",
        ),
        pytest.param(f"{ACCOUNT}labels = {{ '' = 'x' }}", f'accounts.voice.labels."": {NAME}', id="a nameless label"),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = 12345",
            f"accounts.voice.api_key: expected {SECRET}, or the secret itself in quotes",
            id="a key that is a number",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = ''", "accounts.voice.api_key: is empty", id="an empty key"
        ),
        pytest.param("[channels.ops]\nurl = ' '", "channels.ops.url: is empty", id="a blank URL"),
        pytest.param(
            "[channels.ops]\nurl = { env = 'A', file = 'b' }",
            "channels.ops.url: takes exactly one of env, file and credential",
            id="two sources",
        ),
        pytest.param(
            f"[channels.ops]\nurl = {{ command = ['token', '{CANARY}'] }}",
            f"channels.ops.url: only an api_key can come from a command; write {SECRET}",
            id="a URL from a command",
        ),
        pytest.param(
            f"[accounts.voice]\nprovider = 'cekura'\napi_key = {{ command = 'token {CANARY}' }}",
            'accounts.voice.api_key.command: expected a list of texts, such as ["PROGRAM", "ARGUMENT"]',
            id="a line for a shell",
        ),
        pytest.param(
            f"[accounts.voice]\nprovider = 'cekura'\napi_key = {{ comand = ['{CANARY}'] }}",
            "accounts.voice.api_key.comand: unknown key; did you mean command?",
            id="nearly a command",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = { command = ['token'], ttl = 50 }",
            f"accounts.voice.api_key.ttl: {DURATION}",
            id="a ttl that is a number",
        ),
        pytest.param(
            "[channels.ops]\nurl = {}",
            "channels.ops.url: takes exactly one of env, file and credential",
            id="no source",
        ),
        pytest.param(
            "[channels.ops]\nurl = { file = '' }", "channels.ops.url: file is empty", id="a file without name"
        ),
        # --- names
        pytest.param(
            "[accounts.'a b']\nprovider = 'cekura'\napi_key = { env = 'K' }", f'accounts."a b": {NAME}', id="a space"
        ),
        pytest.param("[rules.-low]\non = {}", f"rules.-low: {NAME}", id="a dash at the beginning"),
        pytest.param(f"[rules.{'x' * 65}]\non = {{}}", f"rules.{'x' * 65}: {NAME}", id="65 letters"),
        pytest.param('[rules."low\\n"]\non = {}', f'rules."low\\n": {NAME}', id="a line break at the end"),
        # --- values
        pytest.param("[daemon]\ninterval = 300", f"daemon.interval: {DURATION}", id="a duration without a unit"),
        pytest.param(
            "[daemon]\ninterval = '5'", f"daemon.interval: {DURATION}", id="a duration without a unit, quoted"
        ),
        pytest.param("[daemon]\ninterval = ''", f"daemon.interval: {DURATION}", id="an empty duration"),
        pytest.param("[daemon]\ninterval = '5 minutes'", f"daemon.interval: {DURATION}", id="a duration in words"),
        pytest.param("[daemon]\ninterval = '-5m'", f"daemon.interval: {DURATION}", id="a duration backwards"),
        pytest.param("[daemon]\ninterval = '999ms'", "daemon.interval: is shorter than a second", id="too short"),
        pytest.param("[daemon]\ninterval = '0s'", "daemon.interval: must be longer than nothing", id="no interval"),
        pytest.param("[daemon]\ninterval = '600w'", "daemon.interval: is longer than ten years", id="too long"),
        pytest.param(
            f"{ACCOUNT}interval = '1ms'",
            "accounts.voice.interval: is shorter than a second",
            id="an account's interval",
        ),
        pytest.param(f"{ACCOUNT}timeout = '0s'", "accounts.voice.timeout: must be longer than nothing", id="no time"),
        pytest.param(f"{RULE}for = 10", f"rules.low.for: {DURATION}", id="for, without a unit"),
        pytest.param(f"{RULE}for = {{ warning = 10 }}", f"rules.low.for.warning: {DURATION}", id="for a level"),
        pytest.param(f"{RULE}remind = 1", f"rules.low.remind: {DURATION}", id="a reminder without a unit"),
        pytest.param(
            "[daemon]\ntimezone = 'Europe/Berln'",
            "daemon.timezone: no time zone is named 'Europe/Berln'; did you mean Europe/Berlin?",
            id="a zone that is nearly one",
        ),
        pytest.param(
            "[daemon]\ntimezone = 'Mars'",
            "daemon.timezone: no time zone is named 'Mars'; take one such as Europe/Berlin or UTC",
            id="a zone like no other",
        ),
        pytest.param(
            "[daemon]\ntimezone = ''",
            "daemon.timezone: no time zone is named ''; take one such as Europe/Berlin or UTC",
            id="an empty zone",
        ),
        pytest.param(
            "[daemon]\ntimezone = '../../etc/passwd'",
            "daemon.timezone: no time zone is named '../../etc/passwd'; take one such as Europe/Berlin or UTC",
            id="a path for a zone",
        ),
        pytest.param(
            "[daemon]\nstate = ''",
            "daemon.state: expected the database's file, such as /var/lib/budgetd/budgetd.db",
            id="a state nowhere",
        ),
        pytest.param(
            '[daemon]\nstate = "a\\u0000b"',
            "daemon.state: expected the database's file, such as /var/lib/budgetd/budgetd.db",
            id="a NUL in the state's name",
        ),
        pytest.param(
            "[daemon]\nstate = '~nobody-here/x.db'",
            "daemon.state: ~nobody-here/x.db has no home folder to begin with",
            id="the state at nobody's home",
        ),
        pytest.param("[daemon]\nstate = 5", "daemon.state: expected text in quotes, not a number", id="a state of 5"),
        pytest.param(
            f"{ACCOUNT}labels = 'team'",
            "accounts.voice.labels: expected a table, { name = value }, not text",
            id="a text for a table of texts",
        ),
        *(
            pytest.param(
                f"{ACCOUNT}base_url = '{text}'",
                'accounts.voice.base_url: expected an address such as "https://api.example", or '
                '"http://127.0.0.1:8080/v2"',
                id=f"the address {text}",
            )
            for text in (
                "api.example",
                "ftp://api.example",
                "https://",
                "https://api.example:99999",
                "https://api.example:x",
                "https://[api",
                "https://api. example",
            )
        ),
        *(
            pytest.param(
                ACCOUNT.replace('{ env = "KEY" }', f'"{text}"'),
                'accounts.voice.api_key: a variable is not looked up in a text: write { env = "..." } with its name, '
                "without $",
                id=f"the key {text}",
            )
            for text in ("$CEKURA_KEY", "${CEKURA_KEY}", "${key}")
        ),
        pytest.param("[daemon]\nstate = '/'", "daemon.state: / is a folder; name a file in it", id="a folder"),
        pytest.param(
            "[daemon]\ninclude = ['/nosuch.toml']",
            "daemon.include#1: /nosuch.toml is no file that is there",
            id="a file of rules that there is not",
        ),
        pytest.param(
            "[daemon]\ninclude = ['~nosuch-user/x.toml']",
            "daemon.include#1: ~nosuch-user/x.toml has no home folder to begin with",
            id="a file of rules of somebody that there is not",
        ),
        *(
            pytest.param(
                f"{ACCOUNT}base_url = '{address}'",
                "accounts.voice.base_url: takes neither a query nor a user: only https://host, and a path where all "
                "paths are below it",
                id=f"an address with a {what}",
            )
            for what, address in [
                ("user", "https://user:pw@api.example"),
                ("query", "https://api.example/?team=1"),
                ("fragment", "https://api.example/#x"),
            ]
        ),
        pytest.param(
            "[channels.ops]\nurl = { env = 'X' }\ndigest = 'weekly'",
            'channels.ops.digest: expected when to tell it, such as "mon 09:00", "mon-fri 08:30", or '
            '"09:00" for every day',
            id="a digest at no time",
        ),
        pytest.param(
            "[channels.ops]\nurl = { env = 'X' }\ndrill = 'moon 10:00'",
            "channels.ops.drill: expected one of mon, tue, wed, thu, fri, sat, sun, or two with - between them",
            id="a drill on no day",
        ),
        pytest.param(
            "[daemon]\nheartbeat = { every = '5m' }",
            "daemon.heartbeat.url: is missing: where to say that all goes well, best as "
            '{ env = "..." }, { file = "..." } or { credential = "..." }',
            id="a heartbeat to nowhere",
        ),
    ],
)
def test_a_mistake_is_one_line(text: str, problem: str, write_config: WriteConfig) -> None:
    assert problems(write_config(text)) == [problem]


def test_several_mistakes_are_all_told(write_config: WriteConfig) -> None:
    path = write_config("""
        colour = "red"
        [daemon]
        timezone = "Mars"
        interval = 5
        [accounts.voice]
        providr = "cekura"
        api_key = { env = "A", file = "b" }
        [channels.ops]
        [[routes]]
        channels = []
        [rules.low]
        on = { kind = "balanc" }
        for = "soon"
    """)
    assert problems(path) == [
        "daemon.timezone: no time zone is named 'Mars'; take one such as Europe/Berlin or UTC",
        f"daemon.interval: {DURATION}",
        'accounts.voice.provider: is missing: the vendor, such as "cekura"; `budgetd providers` lists them all',
        "accounts.voice.api_key: takes exactly one of env, file, credential and command",
        "accounts.voice.providr: unknown key; did you mean provider?",
        f"channels.ops.url: is missing: an Apprise URL, best as {SECRET}",
        "routes#1.channels: is empty; give at least one",
        'rules.low.on.kind: there is no "balanc" here; did you mean balance?',
        f"rules.low.for: {DURATION}",
        "colour: unknown key; known: accounts, channels, daemon, routes, rules",
    ]


# --- what is no TOML


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(
            "[daemon]\ninterval = 5m\n",
            "line 2, column 13: Expected newline or end of document after a statement; text stands in quotes",
            id="a duration without quotes",
        ),
        pytest.param(
            f"[accounts.a]\napi_key = {CANARY}\n",
            "line 2, column 11: Invalid value; text stands in quotes",
            id="a key without quotes",
        ),
        pytest.param(
            "[accounts.a\n", "line 1, column 12: Expected ']' at the end of a table declaration", id="a bracket"
        ),
        pytest.param(
            f"[daemon]\ninterval = '5m'\ninterval = '6m' # {CANARY}\n",
            "line 3, column 16: the key just before is written twice",
            id="a key written twice",
        ),
        pytest.param(
            "[rules.low]\n[rules.low]\n", "line 2, column 11: rules.low is written twice", id="a rule written twice"
        ),
        pytest.param(
            "[rules.low]\non = { kind = 'a', kind = 'b' }\n",
            "line 2, column 30: kind is written twice",
            id="a key written twice in braces",
        ),
        pytest.param("a = " + "[" * 5000, "is nested too deeply", id="brackets in brackets in brackets"),
        pytest.param("a = " + "1" * 5000, "holds a number that is too long", id="a number of 5,000 digits"),
        pytest.param("a = 1e99999999999999999999", "holds a number that is too long", id="an astronomic number"),
        pytest.param(b"# gr\xfc\xdfe\n", "line 1: is not UTF-8; save the file as UTF-8", id="Latin-1"),
        pytest.param(
            f"[daemon]\n# {CANARY} ".encode() + b"\xff\n",
            "line 2: is not UTF-8; save the file as UTF-8",
            id="no UTF-8 in the second line",
        ),
        pytest.param("[daemon]\n".encode("utf-16"), "line 1: is not UTF-8; save the file as UTF-8", id="UTF-16"),
        pytest.param(b"#" * (LARGEST + 1), "is longer than 10,000,000 bytes: this is no config", id="a huge file"),
    ],
)
def test_what_is_no_toml_says_where(content: str | bytes, problem: str, write_config: WriteConfig) -> None:
    path = write_config(content)
    assert problems(path) == [problem]
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert CANARY not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf[daemon]\ninterval = '7m'\n", id="with a byte order mark, as Notepad writes it"),
        pytest.param(b"[daemon]\r\ninterval = '7m'\r\n", id="with the line ends of Windows"),
        pytest.param(b"[daemon]\ninterval = '7m'", id="without a line end"),
    ],
)
def test_files_of_other_systems_are_read(content: bytes, write_config: WriteConfig) -> None:
    assert load_config(write_config(content)).file.daemon.interval == timedelta(minutes=7)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("nothing.toml", "No such file or directory", id="a file that is not there"),
        pytest.param(".", "Is a directory", id="a folder"),
        pytest.param("file/config.toml", "Not a directory", id="a folder that is a file"),
        pytest.param("loop", "Too many levels of symbolic links", id="a link to itself"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert problems(tmp_path / name) == [f"can't be read: {problem}"]


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Root may read every file, so this drops to an unprivileged user."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_of_somebody_else_says_so(write_config: WriteConfig, request: pytest.FixtureRequest) -> None:
    path = write_config("", mode=0)
    request.getfixturevalue("nobody")
    assert problems(path) == ["can't be read: Permission denied"]


@pytest.mark.parametrize(
    ("mode", "is_private"),
    [
        pytest.param(0o600, True, id="the owner's alone"),
        pytest.param(0o400, True, id="the owner's alone, to read"),
        pytest.param(0o640, False, id="the group's too"),
        pytest.param(0o644, False, id="everybody's"),
        pytest.param(0o602, False, id="everybody may write it"),
    ],
)
def test_who_else_may_read_it(mode: int, is_private: bool, write_config: WriteConfig) -> None:
    assert load_config(write_config("", mode)).is_private is is_private


# --- what it says


def test_an_empty_file_has_the_defaults(write_config: WriteConfig) -> None:
    file = load_config(write_config("")).file
    assert (file.accounts, file.channels, file.routes) == ({}, {}, ())
    vendors, ours = (
        {"blind", "rejected", "changed-shape", "exhausted"},
        {"channel-failing", "config-refused", "store-failing", "judging-failing"},
    )
    assert set(file.rules) == vendors | ours
    assert (file.daemon.state, file.daemon.timezone, file.daemon.interval) == (None, "UTC", timedelta(minutes=5))


def test_the_forms_of_settings(write_config: WriteConfig) -> None:
    file = load_config(
        write_config(
            f"""{ACCOUNT}params = {{ organization_id = 7, region = "eu" }}
            [channels.ops]
            url = "json://x"
            group_wait = "0s"
            [[routes]]
            match = {{ level = "critical", kind = ["balance", "quota"], change = "opened" }}
            channels = ["ops"]
            continue = true
            [rules.low]
            on = {{ kind = "balance" }}
            warning = "remaining < 5"
            clear = {{ warning = "remaining > 6" }}
            for = {{ warning = "5m" }}
            remind = {{ every = "1d", backoff = 1.5, max = "1w" }}
            [rules.ends]
            on = {{ kind = ["subscription"] }}
            warning = "days_until_expiry < 5"
            clear = "days_until_expiry > 6"
            for = "1h30m"
            remind = {{ each = "days_until_expiry", steps = [5, 2.5, -1] }}
            """
        )
    ).file
    route, low, ends = file.routes[0], file.rules["low"], file.rules["ends"]
    assert file.accounts["voice"].params == {"organization_id": 7, "region": "eu"}
    assert file.accounts["voice"].api_key == KeySource(env="KEY")
    assert file.channels["ops"].url == Secret("json://x")
    assert file.channels["ops"].group_wait == timedelta(0)
    assert (route.match.level, route.match.kind, route.match.change, route.goes_on) == (
        ("critical",),
        (Kind.BALANCE, Kind.QUOTA),
        (ChangeKind.OPENED,),
        True,
    )
    assert (low.clear, low.sustain) == (
        ByLevel[str](warning="remaining > 6"),
        ByLevel[Duration].model_construct(warning=timedelta(minutes=5), critical=None),
    )
    assert isinstance(low.remind, ClockworkTable)
    assert (low.remind.every, low.remind.backoff, low.remind.max) == (
        timedelta(days=1),
        Decimal("1.5"),
        timedelta(weeks=1),
    )
    assert (ends.clear, ends.sustain) == ("days_until_expiry > 6", timedelta(minutes=90))
    assert isinstance(ends.remind, StepsTable)
    assert ends.remind.steps == (Decimal(5), Decimal("2.5"), Decimal(-1))


@pytest.mark.parametrize(
    ("state", "environment", "expected"),
    [
        pytest.param("x.db", {}, "{config}/x.db", id="beside the config"),
        pytest.param("/var/x.db", {"STATE_DIRECTORY": "/s"}, "/var/x.db", id="as it is written"),
        pytest.param("~/x.db", {}, "{home}/x.db", id="at home"),
        pytest.param(None, {"STATE_DIRECTORY": "/s"}, "/s/budgetd.db", id="in systemd's folder"),
        pytest.param(None, {"STATE_DIRECTORY": "/s:/t"}, "/s/budgetd.db", id="in the first of systemd's folders"),
        pytest.param(None, {"XDG_STATE_HOME": "/x"}, "/x/budgetd/budgetd.db", id="in the user's state folder"),
        pytest.param(None, {"STATE_DIRECTORY": ""}, "{home}/.local/state/budgetd/budgetd.db", id="in the usual one"),
    ],
)
def test_where_the_state_is(
    state: str | None,
    environment: Mapping[str, str],
    expected: str,
    write_config: WriteConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = write_config(f"[daemon]\nstate = '{state}'" if state else "")
    assert str(load_config(path).state) == expected.format(config=path.parent, home=os.environ["HOME"])


def test_the_systems_config_has_the_systems_state() -> None:
    """`budgetd status` beside the service asks the database that the service writes."""
    assert state_folder(SYSTEM_CONFIG) == Path("/var/lib/budgetd")


# --- where it is


def test_a_config_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDGETD_CONFIG", "/from/environment.toml")
    assert find_config(Path("/given.toml")) == Path("/given.toml")
    assert find_config(None) == Path("/from/environment.toml")


@pytest.mark.skipif(SYSTEM_CONFIG.exists(), reason="this machine has a config of its own")
class TestWithoutAName:
    def test_the_users_own_is_found(self) -> None:
        own = Path(os.environ["HOME"]) / ".config/budgetd/config.toml"
        own.parent.mkdir(parents=True)
        own.touch()
        assert find_config(None) == own

    def test_where_there_is_none_it_says_where_it_looked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BUDGETD_CONFIG", "")
        with pytest.raises(ConfigError) as error:
            find_config(None)
        own = Path(os.environ["HOME"]) / ".config/budgetd/config.toml"
        assert error.value.problems == (
            (
                f"no config found: looked for /etc/budgetd/config.toml and {own}; "
                "`budgetd init` writes one, --config names one"
            ),
        )

    def test_one_in_a_folder_that_we_may_not_enter_is_there(self, request: pytest.FixtureRequest) -> None:
        own = Path(os.environ["HOME"]) / ".config/budgetd/config.toml"
        own.parent.mkdir(parents=True)
        own.parent.chmod(0)
        request.getfixturevalue("nobody")
        assert problems(find_config(None)) == ["can't be read: Permission denied"]


# --- secrets


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"api_key = '{CANARY}'\nx = '{CANARY}'", id="beside a mistake"),
        pytest.param(f"api_key = ['{CANARY}']", id="in a list"),
        pytest.param(f"api_key = {{ env = ['{CANARY}'] }}", id="in a source of the wrong type"),
        pytest.param(f"api_key = {{ value = '{CANARY}' }}", id="in a source that there is not"),
        pytest.param(f"api_key = {{ credential = '/{CANARY}' }}", id="as a credential's path"),
        pytest.param(f"enabled = '{CANARY}'", id="in the wrong line"),
        pytest.param(f"interval = '{CANARY}'", id="as an interval"),
        pytest.param(f"base_url = '{CANARY}'", id="as an address"),
        pytest.param(f"params = '{CANARY}'", id="as the params"),
        pytest.param(f"params = {{ x = ['{CANARY}'] }}", id="as a param"),
    ],
)
def test_a_secret_is_in_no_problem(text: str, write_config: WriteConfig) -> None:
    path = write_config(f"[accounts.voice]\nprovider = 'cekura'\n{text}\n[channels.ops]\nurl = ['json://{CANARY}']")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    said = "".join(traceback.format_exception(error.value))
    assert CANARY not in said + repr(error.value) + str(error.value) + repr(error.value.__cause__)


def test_a_secret_is_in_no_repr(write_config: WriteConfig) -> None:
    path = write_config(f"[accounts.a]\nprovider = 'x'\napi_key = '{CANARY}'\n[channels.b]\nurl = 'json://{CANARY}'")
    config = load_config(path)
    assert CANARY not in f"{config!r} {config.file} {config.file.model_dump()}"
    with pytest.raises(PydanticSerializationError, match="Secret"):
        config.file.model_dump_json()


# --- the example


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's folder, with everything that it asks for."""
    (tmp_path / "cargo.key").write_text(CANARY)
    (tmp_path / "finance.url").write_text("mailtos://u:p@smtp.acme.example:587/?from=b@acme.example&to=f@acme.example")
    (tmp_path / "uniqos").write_text(CANARY)
    (tmp_path / "clerk-token").write_text("#!/bin/sh\n")
    (tmp_path / "clerk-token").chmod(0o700)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("CEKURA_API_KEY", CANARY)
    monkeypatch.setenv("UNIQOS_BATCH_KEY", CANARY)
    slack = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    monkeypatch.setenv("BUDGETD_SLACK_URL", slack)
    monkeypatch.setenv("BUDGETD_HEARTBEAT_URL", f"https://hc-ping.com/{CANARY}")
    return tmp_path


def _as_it_is(text: str) -> str:
    return text


def _with_every_setting(text: str) -> str:
    """What stands behind `#` alone is in force as well."""
    return re.sub(r"^#(?=[a-z])", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("changed", [_as_it_is, _with_every_setting], ids=["as it is", "with every setting in force"])
def test_the_example_is_good(changed: Callable[[str], str], example: Path) -> None:
    path = example / "config.toml"
    path.write_text(changed(EXAMPLE.read_text()))
    plan = make_plan(load_config(path))
    assert warnings(plan.outline) == []
    assert {scheduled.source.provider.name for scheduled in plan.scheduled.values()} == {
        "cargo",
        "cekura",
        "sonzai",
        "uniqos",
    }
    assert set(plan.urls) == {"ops", "finance"}


def _tables(annotation: object) -> Iterator[type[BaseModel]]:
    """Every table that the config may hold, and the tables in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _tables(field.annotation)
    for part in get_args(annotation):
        yield from _tables(part)


TABLES = sorted(set(_tables(ConfigFile)), key=lambda table: table.__name__)


def test_all_tables_were_found() -> None:
    assert {"AccountTable", "ClockworkTable", "KeySource", "MatchTable", "SecretSource"} <= {
        table.__name__ for table in TABLES
    }
    assert any(issubclass(table, ByLevel) for table in TABLES)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        pytest.param(table, field.alias or name, id=f"{table.__name__} {field.alias or name}")
        for table in TABLES
        if table is not ConfigFile
        for name, field in table.model_fields.items()
    ],
)
def test_the_example_shows_every_key(table: type[BaseModel], key: str) -> None:
    assert re.search(rf"(^#?|[{{,] ){key} *= ", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("table", ["daemon", "accounts", "channels", "routes", "rules"])
def test_the_example_shows_every_table(table: str) -> None:
    assert re.search(rf"^\[+{table}\b", EXAMPLE.read_text(), flags=re.MULTILINE)


def test_every_table_of_the_config_is_one_of_these() -> None:
    assert set(ConfigFile.model_fields) == {"daemon", "accounts", "channels", "routes", "rules"}
