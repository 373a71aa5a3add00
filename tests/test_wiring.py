"""A config as a whole: whether its parts fit the providers, the kinds, Apprise and each other."""

import os
import traceback
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from budgetd.advice import warnings
from budgetd.config import load_config
from budgetd.credentials import Secret
from budgetd.durations import parse_duration
from budgetd.errors import ConfigError
from budgetd.planning import Outline, Plan, make_outline, make_plan
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import ChangeKind
from budgetd_rules.routing import Route
from budgetd_rules.rule import Clockwork, Level, Steps
from budgetd_rules.schedules import Quiet, parse_range
from conftest import WriteConfig

CANARY = "canary-3f9b27c1"
ACCOUNT = '[accounts.voice]\nprovider = "cekura"\napi_key = "key"\n'
CHANNEL = '[channels.ops]\nurl = "json://localhost"\n'
RULE = '[rules.low]\non = { kind = "balance" }\nwarning = "remaining < 5"\n'
BOTH = f"{RULE}critical = 'remaining < 1'\n"
BUILT_IN_LEVELS = {
    "blind": "warning",
    "rejected": "critical",
    "changed-shape": "warning",
    "exhausted": "critical",
    "channel-failing": "critical",
    "config-refused": "warning",
    "judging-failing": "critical",
    "store-failing": "warning",
}
ROUTED = ACCOUNT + CHANNEL + "".join(f"[rules.{name}]\nenabled = false\n" for name in BUILT_IN_LEVELS) + BOTH
REST = "\n[[routes]]\nchannels = ['ops']\n"
SOURCES = '{ env = "..." }, { file = "..." } or { credential = "..." }'


def plan(path: Path) -> Plan:
    return make_plan(load_config(path))


def outline(path: Path) -> Outline:
    return make_outline(load_config(path))


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as error:
        plan(path)
    assert error.value.exit_code == 78
    assert all(line.startswith(f"{path}: ") for line in error.value.problems)
    said = "".join(traceback.format_exception(error.value)) + repr(error.value)
    assert CANARY not in said
    return [line.removeprefix(f"{path}: ") for line in error.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            CHANNEL + RULE,
            [
                (
                    "accounts: there is none: write [accounts.NAME] with "
                    'provider = "..." and api_key = { env = "..." }; `budgetd providers` lists the providers'
                )
            ],
            id="no account",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekuro'\napi_key = 'x'",
            ["accounts.voice.provider: no provider is named 'cekuro'; did you mean cekura?"],
            id="a provider that is nearly one",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'acme'\napi_key = 'x'",
            ["accounts.voice.provider: no provider is named 'acme'; `budgetd providers` lists them"],
            id="a provider like no other",
        ),
        pytest.param(
            "[accounts.budgetd]\nprovider = 'cekura'\napi_key = 'x'",
            ["accounts.budgetd: the name budgetd stands for budgetd itself; take another"],
            id="an account with our own name",
        ),
        pytest.param(
            f"{ACCOUNT}params = {{ workspace = 'x' }}",
            ["accounts.voice.params.workspace: Cekura takes no such thing"],
            id="a param of a provider that takes none",
        ),
        pytest.param(
            "[accounts.a]\nprovider = 'cargo'\napi_key = 'x'\nparams = { workspace_uid = 'x' }",
            ["accounts.a.params.workspace_uid: Cargo takes no such thing; did you mean workspace_uuid?"],
            id="a param that is nearly one",
        ),
        pytest.param(
            f'[accounts.voice]\nprovider = "cekura"\napi_key = "{CANARY}\\nand more"',
            [
                (
                    "accounts.voice: the header X-CEKURA-API-KEY would hold characters that HTTP does not allow, "
                    "or a line break"
                )
            ],
            id="a key with a line break in it",
        ),
        # --- rules
        pytest.param(
            f"{ACCOUNT}[rules.low]\non = {{ kind = 'balance' }}",
            ["rules.low: says neither `warning` nor `critical` nor `on_change`: give at least one"],
            id="a rule without a condition",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.low]\non = {{}}\nclear = 'remaining > 5'",
            ["rules.low: says neither `warning` nor `critical` nor `on_change`: give at least one"],
            id="a rule that only clears",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.low]\non = {{ kind = 'balance' }}\nwarning = ''\ncritical = ' '\nclear = ''\nunless = ''",
            [
                "rules.low.warning: the expression is empty",
                "rules.low.critical: the expression is empty",
                "rules.low.clear: the expression is empty",
                "rules.low.unless: the expression is empty",
            ],
            id="empty conditions",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.due]\non = {{ kind = 'balance' }}\nwarning = 'days_until_due < 3'",
            ["rules.due.warning: days_until_due is no field of the kind balance; did you mean days_until_expiry?"],
            id="a field that the kind lacks",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.due]\non = {{ kind = 'cap' }}\nwarning = 'paid'",
            ["rules.due.warning: paid is no field of the kind cap; there are currency, value"],
            id="a field that the kind lacks, and nothing like it",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.low]\non = {{ kind = 'balance' }}\nwarning = 'remainin < 5'",
            ["rules.low.warning: there is no remainin here; did you mean remaining?"],
            id="a field that there is not",
        ),
        pytest.param(
            f"{ACCOUNT}[rules.low]\non = {{ kind = 'balance' }}\nwarning = 'remaining < 5%'",
            ["rules.low.warning: column 14: '%' has no place here; percentages are fields, such as remaining_percent"],
            id="a condition that is none",
        ),
        pytest.param(
            f"{ACCOUNT}{RULE}for = {{ critical = '5m' }}\nclear = {{ critical = 'remaining > 9' }}",
            [
                "rules.low.for.critical: the rule has no critical, so this would do nothing",
                "rules.low.clear.critical: the rule has no critical, so this would do nothing",
            ],
            id="a setting for a level that the rule has not",
        ),
        pytest.param(
            f"{ACCOUNT}{RULE}remind = {{ each = 'days_until_due', steps = [3, 1] }}",
            [
                (
                    "rules.low.remind: each = 'days_until_due' is no number of the watched kinds; "
                    "did you mean days_until_expiry?"
                )
            ],
            id="steps of a field that the kind lacks",
        ),
        pytest.param(
            f"{ACCOUNT}{RULE}remind = {{ each = 'remaining', steps = [3, 7, 1] }}",
            ["rules.low.remind: steps must fall or rise all the way: [30, 14, 7] or [80, 90, 95]"],
            id="steps up and down",
        ),
        # --- channels and routes
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[[routes]]\nchannels = ['ops']\n[[routes]]\nchannels = ['opps', 'pager']",
            [
                "routes#2.channels: no channel is named 'opps'; did you mean ops?",
                "routes#2.channels: no channel is named 'pager'; known: ops",
            ],
            id="routes to channels that there are not",
        ),
        pytest.param(
            f"{ACCOUNT}[[routes]]\nchannels = ['ops']",
            ["routes#1.channels: no channel is named 'ops'; write [channels.ops]"],
            id="a route where there is no channel at all",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}fallback = 'mial'\n[channels.mail]\nurl = 'json://localhost/mail'",
            ["channels.ops.fallback: no channel is named 'mial'; did you mean mail?"],
            id="a fallback that there is not",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}fallback = 'ops'",
            ["channels.ops.fallback: a channel that can't be told anything is no fallback for itself; name another"],
            id="a fallback for itself",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = 'nosuch://{CANARY}'",
            ["channels.ops.url: Apprise does not accept this URL; its wiki lists the form of each service's"],
            id="a service that Apprise does not know",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = 'slack://{CANARY}'",
            ["channels.ops.url: Apprise does not accept this URL; its wiki lists the form of each service's"],
            id="a URL without its parts",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = 'json://[{CANARY}'",
            ["channels.ops.url: Apprise does not accept this URL; its wiki lists the form of each service's"],
            id="a URL that no parser takes",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = 'json://localhost/{CANARY}, json://localhost/b'",
            [
                (
                    "channels.ops.url: names 2 targets; give each target a channel of its own, "
                    "so that each has its own receipt"
                )
            ],
            id="a URL with two targets",
        ),
        # --- secrets
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = { env = 'NOT_SET' }",
            ["accounts.voice.api_key.env: the environment variable NOT_SET is not set"],
            id="a variable that is not set",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = { file = 'no.key' }",
            ["accounts.voice.api_key.file: {folder}/no.key can't be read: No such file or directory"],
            id="a file that is not there",
        ),
        pytest.param(
            "[accounts.voice]\nprovider = 'cekura'\napi_key = { file = 'latin.key' }",
            ["accounts.voice.api_key.file: {folder}/latin.key is not UTF-8 text"],
            id="a file that is no text",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = {{ file = 'blank.key' }}",
            ["channels.ops.url.file: {folder}/blank.key is empty"],
            id="an empty file",
        ),
        pytest.param(
            f"{ACCOUNT}[channels.ops]\nurl = {{ credential = 'slack' }}",
            [
                (
                    "channels.ops.url.credential: credential 'slack': systemd gave no $CREDENTIALS_DIRECTORY; "
                    "is LoadCredential= set in the unit, and is this run by it?"
                )
            ],
            id="a credential outside of systemd",
        ),
    ],
)
def test_what_does_not_fit_is_told(text: str, expected: list[str], write_config: WriteConfig, tmp_path: Path) -> None:
    (tmp_path / "latin.key").write_bytes(CANARY.encode() + b"\xe9")
    (tmp_path / "blank.key").write_bytes(b"\n")
    assert problems(write_config(text)) == [line.replace("{folder}", str(tmp_path)) for line in expected]


def test_all_that_does_not_fit_is_told_at_once(write_config: WriteConfig) -> None:
    path = write_config(f"""
        [accounts.voice]
        provider = "cekuro"
        api_key = {{ env = "NOT_SET" }}
        [accounts.growth]
        provider = "cargo"
        api_key = {{ env = "NOT_SET_EITHER" }}
        [channels.ops]
        url = "nosuch://{CANARY}"
        [[routes]]
        channels = ["pager"]
        [rules.low]
        on = {{ kind = "balance" }}
        warning = "remaning < 5"
    """)
    assert problems(path) == [
        "accounts.voice.provider: no provider is named 'cekuro'; did you mean cekura?",
        "rules.low.warning: there is no remaning here; did you mean remaining?",
        "routes#1.channels: no channel is named 'pager'; known: ops",
        "accounts.growth.api_key.env: the environment variable NOT_SET_EITHER is not set",
        "channels.ops.url: Apprise does not accept this URL; its wiki lists the form of each service's",
    ]


# --- literal secrets


def test_a_secret_in_a_file_that_others_can_read_is_refused(write_config: WriteConfig) -> None:
    text = f'[accounts.voice]\nprovider = "cekura"\napi_key = "{CANARY}"\n[channels.ops]\nurl = "json://{CANARY}"\n'
    path = write_config(text, mode=0o644)
    why = f"a secret stands in a file that others can read: `chmod 600 {path}`, or write {SOURCES} instead"
    assert problems(path) == [f"accounts.voice.api_key: {why}", f"channels.ops.url: {why}"]


def test_a_secret_in_a_file_of_ones_own_is_taken(write_config: WriteConfig) -> None:
    made = plan(write_config(f'[accounts.voice]\nprovider = "cekura"\napi_key = "{CANARY}"\n{CHANNEL}'))
    source = made.scheduled["voice"].source
    assert source.requests["info"].headers["X-CEKURA-API-KEY"] == CANARY
    assert made.urls == {"ops": Secret("json://localhost")}


def test_secrets_elsewhere_may_be_named_in_a_file_that_others_can_read(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", CANARY)
    text = '[accounts.voice]\nprovider = "cekura"\napi_key = { env = "KEY" }\n'
    assert set(plan(write_config(text, mode=0o644)).scheduled) == {"voice"}


def test_a_plan_shows_no_secret(write_config: WriteConfig) -> None:
    text = f'[accounts.voice]\nprovider = "cekura"\napi_key = "{CANARY}"\n[channels.ops]\nurl = "json://{CANARY}"\n'
    assert CANARY not in repr(plan(write_config(text)))


# --- what is fine


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            f"{ACCOUNT}[accounts.old]\nprovider = 'cargo'\nenabled = false\napi_key = {{ env = 'NOT_SET' }}",
            id="a disabled account whose key is missing",
        ),
        pytest.param(ACCOUNT, id="an account and nothing else"),
        pytest.param(f"{ACCOUNT}[rules.low]\non = {{}}\nwarning = 'remaining < 5'", id="a rule on every meter"),
        pytest.param(f"{ACCOUNT}params = {{}}\nlabels = {{}}\nowner = ''", id="empty settings"),
        pytest.param(f"{ACCOUNT}base_url = 'http://localhost:8080/proxy/'", id="a proxy"),
        pytest.param(
            "[accounts.a]\nprovider = 'cargo'\napi_key = 'x'\nparams = { workspace_uuid = 7 }", id="a param as a number"
        ),
        pytest.param(f"{ACCOUNT}{RULE}for = {{}}\nclear = {{}}", id="no level named"),
    ],
)
def test_this_is_fine(text: str, write_config: WriteConfig) -> None:
    assert plan(write_config(text)).scheduled


def test_a_disabled_account_is_neither_polled_nor_judged(write_config: WriteConfig) -> None:
    made = plan(write_config(f"{ACCOUNT}[accounts.old]\nprovider = 'cargo'\nenabled = false\napi_key = 'x'"))
    assert set(made.scheduled) == set(made.outline.accounts) == {"voice"}


def test_what_is_stored_can_be_shown_without_the_secrets(write_config: WriteConfig) -> None:
    text = '[accounts.voice]\nprovider = "cekura"\napi_key = { env = "NOT_SET" }\n[channels.ops]\nurl = { env = "NO" }'
    assert set(outline(write_config(text)).accounts) == {"voice"}
    assert not outline(write_config("")).accounts


# --- what it becomes


@pytest.mark.parametrize(
    ("daemon", "own", "expected"),
    [
        pytest.param("", "", timedelta(minutes=5), id="the default"),
        pytest.param("10m", "", timedelta(minutes=10), id="the daemon's"),
        pytest.param("10m", "2m", timedelta(minutes=2), id="the account's own"),
    ],
)
def test_how_often_an_account_is_polled(daemon: str, own: str, expected: timedelta, write_config: WriteConfig) -> None:
    text = (f"[daemon]\ninterval = '{daemon}'\n" if daemon else "") + ACCOUNT + (f"interval = '{own}'" if own else "")
    made = plan(write_config(text))
    assert made.scheduled["voice"].interval == expected
    assert made.outline.ruleset.accounts["voice"].stale_after == 3 * expected


def test_a_rule_as_it_is_written(write_config: WriteConfig) -> None:
    text = """
        [rules.low]
        on = { kind = ["balance", "quota"], meter = "credits", account = "v*", provider = "cek*", labels = { a = "b" } }
        warning = "remaining < 20"
        critical = "remaining < 5"
        clear = "remaining > 25"
        for = { critical = "5m" }
        ease_for = "0s"
        unless = "remaining > 1000"
        remind = { every = "1d", backoff = 2, max = "4d" }
        [rules.steps]
        on = { kind = "balance" }
        warning = "remaining < 20"
        clear = { warning = "remaining > 25" }
        for = "10m"
        remind = { each = "remaining", steps = [10, 5] }
        [rules.daily]
        on = {}
        critical = "remaining < 20"
        remind = "1d"
    """
    rules = outline(write_config(text)).ruleset.rules
    low, steps, daily = (rules[name] for name in ("low", "steps", "daily"))
    assert (low.on.kinds, low.on.meter, low.on.account) == (frozenset({Kind.BALANCE, Kind.QUOTA}), "credits", "v*")
    assert (low.on.provider, low.on.labels) == ("cek*", {"a": "b"})
    assert set(low.levels) == set(low.clear) == {Level.WARNING, Level.CRITICAL}
    assert low.sustain == {Level.CRITICAL: timedelta(minutes=5)}
    assert low.ease_for == timedelta(0)
    assert low.unless is not None
    assert low.remind == Clockwork(every=timedelta(days=1), backoff=Decimal(2), longest=timedelta(days=4))
    assert set(steps.clear) == {Level.WARNING}
    assert steps.sustain == {Level.WARNING: timedelta(minutes=10)}
    assert steps.remind == Steps(each="remaining", steps=(Decimal(10), Decimal(5)))
    assert daily.remind == Clockwork(every=timedelta(days=1))


def test_a_route_as_it_is_written(write_config: WriteConfig) -> None:
    text = f"""{CHANNEL}group_wait = "1s"
        [[routes]]
        channels = ["ops"]
        continue = true
        after = "2h"
        [routes.match]
        level = "critical"
        kind = "quota"
        change = ["opened", "worsened"]
        rule = "low-*"
        account = "voice"
        provider = "cekura"
        labels = {{ team = "voice" }}
    """
    routing = outline(write_config(text)).routing
    assert routing.group_wait == {"ops": timedelta(seconds=1)}
    assert routing.fallbacks == {}
    assert routing.routes == (
        Route(
            channels=("ops",),
            levels=frozenset({Level.CRITICAL}),
            kinds=frozenset({Kind.QUOTA}),
            changes=frozenset({ChangeKind.OPENED, ChangeKind.WORSENED}),
            rule="low-*",
            account="voice",
            provider="cekura",
            labels={"team": "voice"},
            goes_on=True,
            after=timedelta(hours=2),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", Quiet(zone=ZoneInfo("Asia/Tokyo")), id="none: the zone of the daemon"),
        pytest.param(
            "timezone = 'Europe/Berlin'\nquiet = '22:00-07:00'",
            Quiet(ranges=(parse_range("22:00-07:00"),), zone=ZoneInfo("Europe/Berlin")),
            id="one range, its own zone",
        ),
        pytest.param(
            "quiet = ['sat-sun', '22:00-07:00']",
            Quiet(ranges=(parse_range("sat-sun"), parse_range("22:00-07:00")), zone=ZoneInfo("Asia/Tokyo")),
            id="two ranges",
        ),
    ],
)
def test_quiet_hours_as_they_are_written(text: str, expected: Quiet, write_config: WriteConfig) -> None:
    path = write_config(f"[daemon]\ntimezone = 'Asia/Tokyo'\n{CHANNEL}{text}")
    assert outline(path).routing.quiet == {"ops": expected}


# --- what is allowed, and probably not meant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(ACCOUNT + CHANNEL + RULE, [], id="nothing"),
        pytest.param(
            ACCOUNT + CHANNEL + "[rules.down]\non = { kind = 'connection' }\nwarning = 'failures > 2'",
            [],
            id="a rule on the connection alone",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.low]\non = {{ meter = 'turns' }}\nwarning = 'remaining < 5'",
            [
                (
                    "rules.low.on: matches no meter: none is called turns; "
                    "known: cap, credits, paid, payment, payments, subscription"
                )
            ],
            id="a rule on a meter that there is not",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.low]\non = {{ account = 'vioce' }}\nwarning = 'remaining < 5'",
            ["rules.low.on: matches no meter: none is called vioce; did you mean voice?"],
            id="a rule on an account that there is not",
        ),
        pytest.param(
            f"{ACCOUNT.replace('cekura', 'sonzai')}{CHANNEL}"
            "[rules.due]\non = { meter = 'schedule/2026-*' }\nwarning = 'days_until_due < 5'",
            [],
            id="a rule on some items of a list",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.top]\non = {{ kind = 'balance' }}\nwarning = 'auto_topup'",
            [
                (
                    "rules.top: auto_topup is never given by the meters that it watches; known: burn_per_day, "
                    "days_until_expiry, expires_at, granted, overage, overage_price, remaining, remaining_percent, "
                    "runway_days, used, used_percent"
                )
            ],
            id="a rule on a field that the vendor does not give",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.runway]\non = {{ kind = 'balance' }}\nwarning = 'runway_days < 2'",
            [],
            id="a field that comes from history",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.runway]\non = {{ kind = 'balance' }}\n"
            "warning = 'remaining < 500'\ncritical = 'remaining_percent < 5 or runway_days < 2'",
            [
                (
                    "rules.runway.critical: an episode stays open while runway_days is unknown: "
                    "`clear` says what ends it all the same"
                )
            ],
            id="a part of a condition that may be unknown for long",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.runway]\non = {{ kind = 'balance' }}\n"
            "warning = 'remaining_percent < 5 or runway_days < 2'\nclear = 'remaining_percent > 5'",
            [],
            id="and says when it is over",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}[rules.paid]\non = {{ kind = 'subscription' }}\n"
            "warning = 'days_until_expiry < 5 or days_since_payment > 40'",
            [
                (
                    "rules.paid.warning: an episode stays open while days_until_expiry is unknown: "
                    "`clear` says what ends it all the same"
                )
            ],
            id="a part that one of the meters never gives",
        ),
        pytest.param(
            ACCOUNT + CHANNEL,
            ["rules: there is none but the built-in ones: nobody will be told what runs out"],
            id="no rule",
        ),
        pytest.param(ACCOUNT + RULE, ["channels: there is none: nobody will be told anything"], id="no channel"),
        pytest.param(
            f"{ACCOUNT}enabled = false\n{CHANNEL}{RULE}",
            ["accounts: none is enabled: nothing will be polled"],
            id="no account that is enabled",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}{RULE}[channels.spare]\nurl = 'json://localhost/x'\n[[routes]]\nchannels = ['ops']",
            ["channels.spare: no route leads to it: it will be told nothing"],
            id="a channel that no route leads to",
        ),
        # --- routes
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ change = ['opened', 'eased', 'resolved'] }}\nchannels = ['ops']{REST}",
            [
                "routes#1.match.change: eased is recorded and not told, so this never matches",
                "routes#1.match.change: resolved goes to whom its beginning was told, so this never matches",
            ],
            id="a route for what is never routed",
        ),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ change = 'noted' }}\nchannels = ['ops']\nafter = '2h'{REST}",
            ["routes#1.match.change: noted is nothing that can be acked: with `after` it never matches"],
            id="an escalation of what is noted",
        ),
        pytest.param(
            f"{ROUTED}{REST}[[routes]]\nchannels = ['ops']\nafter = '2h'",
            [
                (
                    "routes#2: is never reached: routes#1 takes everything; "
                    "put it before that one, or write continue = true there"
                )
            ],
            id="an escalation behind a route that takes everything",
        ),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ level = ['info', 'warning', 'critical'], labels = {{ a = '*' }} }}\n"
            f"channels = ['ops']{REST}{REST}",
            [
                (
                    f"routes#{number}: is never reached: routes#1 takes everything; "
                    "put it before that one, or write continue = true there"
                )
                for number in (2, 3)
            ],
            id="everything in other words",
        ),
        pytest.param(f"{ROUTED}[[routes]]\nchannels = ['ops']\nafter = '2h'{REST}", [], id="an escalation before it"),
        pytest.param(f"{ROUTED}[[routes]]\nchannels = ['ops']\ncontinue = true{REST}", [], id="behind `continue`"),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ account = 'voise-*' }}\nchannels = ['ops']\n[[routes]]\n"
            f"match = {{ provider = 'cekra', rule = 'lo' }}\nchannels = ['ops']{REST}",
            [
                "routes#1.match.account: matches nothing: none is called voise-*; did you mean voice?",
                "routes#2.match.rule: matches nothing: none is called lo; did you mean low?",
                "routes#2.match.provider: matches nothing: none is called cekra; did you mean cekura?",
            ],
            id="names that nothing has",
        ),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ account = 'off', provider = 'cargo', rule = 'blind' }}\n"
            "channels = ['ops']\n[[routes]]\nmatch = { account = 'budgetd', provider = 'budgetd' }\n"
            f"channels = ['ops']{REST}\n[accounts.off]\nprovider = 'cargo'\napi_key = 'x'\nenabled = false",
            [],
            id="names of what is switched off, built in or budgetd itself",
        ),
        # --- rules of which nobody hears
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ level = 'critical' }}\nchannels = ['ops']",
            ["rules.low: nobody will be told of warning: no route takes it to a channel"],
            id="a level that no route takes",
        ),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ rule = 'store-failing' }}\nchannels = ['ops']",
            ["rules.low: nobody will be told of warning and critical: no route takes it to a channel"],
            id="a rule that no route takes",
        ),
        pytest.param(
            f"{ROUTED}[[routes]]\nmatch = {{ account = 'voice' }}\nchannels = ['ops']\n"
            "[[routes]]\nmatch = { level = 'critical', account = 'b' }\nchannels = ['ops']\n"
            + "".join(f"[accounts.{name}]\nprovider = 'cekura'\napi_key = 'x'\n" for name in "bcdef"),
            [
                (
                    "rules.low: nobody will be told of warning (b, c, d and 2 more) and critical (c, d, e and 1 more): "
                    "no route takes it to a channel"
                )
            ],
            id="only of some accounts",
        ),
        pytest.param(
            f"{ROUTED}on_change = ['granted']\n[[routes]]\nmatch = {{ change = ['opened', 'worsened'] }}\n"
            "channels = ['ops']",
            ["rules.low: nobody will be told of info: no route takes it to a channel"],
            id="what is noted",
        ),
        pytest.param(
            f"{ACCOUNT}{CHANNEL}{RULE}[[routes]]\nmatch = {{ kind = 'balance' }}\nchannels = ['ops']",
            [
                f"rules.{name}: nobody will be told of {levels}: no route takes it to a channel"
                for name, levels in BUILT_IN_LEVELS.items()
            ],
            id="the built-in rules",
        ),
        pytest.param(
            ROUTED.replace("[rules", "quiet = '00:00-23:00'\n[rules", 1)
            + "[[routes]]\nchannels = ['ops']\nafter = '2h'",
            [],
            id="quiet hours and escalations reach somebody",
        ),
        pytest.param(
            f"{ACCOUNT}{RULE}[channels.ops]\nurl = 'json://localhost'\nfallback = 'spare'\n"
            "[channels.spare]\nurl = 'json://localhost/x'\n[[routes]]\nchannels = ['ops']",
            [],
            id="a channel that is a fallback",
        ),
        *(
            pytest.param(
                f"{ACCOUNT}{CHANNEL}{RULE}[rules.ours]\non = {{ account = 'budgetd'{on} }}\nwarning = 'failures > 1'",
                expected,
                id=f"a rule on budgetd itself{on}",
            )
            for on, expected in {
                "": [],
                ", kind = 'connection'": [],
                ", meter = 'channel/ops'": [],
                ", meter = 'channel'": [],
                ", meter = 'store'": [],
                ", meter = 'credits'": [
                    (
                        "rules.ours.on: matches no meter; "
                        "there are cap, credits, paid, payment, payments, subscription and connection"
                    )
                ],
            }.items()
        ),
    ],
)
def test_what_is_probably_not_meant(text: str, expected: list[str], write_config: WriteConfig) -> None:
    path = write_config(text)
    assert warnings(plan(path).outline) == [f"{path}: {line}" for line in expected]


# --- rates


def bees(*tables: str) -> str:
    accounts = "".join(
        f"[accounts.bee{number}]\nprovider = 'scrapingbee'\napi_key = 'x'\n{table}\n"
        for number, table in enumerate(tables, start=1)
    )
    return f"{ACCOUNT}{CHANNEL}{RULE}{accounts}"


@pytest.mark.parametrize(
    ("tables", "intervals", "warning"),
    [
        pytest.param([""] * 30, ["5m"] * 30, None, id="as many as it takes"),
        pytest.param(
            [""] * 31,
            ["5m10s"] * 31,
            (
                "at their intervals bee1, bee2, bee3 and 28 more would send ScrapingBee 7 requests in 1m, "
                "and it takes 6: they are polled less often, bee1 every 5m10s"
            ),
            id="one more",
        ),
        pytest.param(
            ["interval = '1s'"],
            ["10s"],
            (
                "at their intervals bee1 would send ScrapingBee 60 requests in 1m, and it takes 6: "
                "they are polled less often, bee1 every 10s"
            ),
            id="one too often",
        ),
        pytest.param(
            ["interval = '10s'", "interval = '20s'"],
            ["15s", "30s"],
            (
                "at their intervals bee1, bee2 would send ScrapingBee 9 requests in 1m, and it takes 6: "
                "they are polled less often, bee1 every 15s"
            ),
            id="all by the same factor",
        ),
        pytest.param(
            ["interval = '10s'", "interval = '10s'\nbase_url = 'https://eu.acme.example'"],
            ["10s", "10s"],
            None,
            id="two hosts",
        ),
        pytest.param(["interval = '10s'", "enabled = false"], ["10s"], None, id="one that is not polled"),
    ],
)
def test_what_a_vendor_takes_is_kept_by_polling_less_often(
    tables: list[str], intervals: list[str], warning: str | None, write_config: WriteConfig
) -> None:
    made = plan(path := write_config(bees(*tables)))
    scheduled = {name: one.interval for name, one in made.scheduled.items() if name != "voice"}
    assert list(scheduled.values()) == [parse_duration(text) for text in intervals]
    stale = [account.stale_after for name, account in made.outline.accounts.items() if name != "voice"]
    assert stale == [3 * interval for interval in scheduled.values()]
    assert [line for line in warnings(made.outline) if "takes" in line] == (
        [f"{path}: accounts: {warning}"] if warning else []
    )


def test_a_url_that_is_none_is_said_once(write_config: WriteConfig) -> None:
    (problem,) = problems(write_config(bees("base_url = 'https://'")))
    assert problem.startswith("accounts.bee1.base_url: expected an address")


def test_apprise_writes_no_url_to_the_screen(write_config: WriteConfig, capfd: pytest.CaptureFixture[str]) -> None:
    problems(write_config(f"{ACCOUNT}[channels.ops]\nurl = 'nosuch://{CANARY}'"))
    plan(write_config(f"{ACCOUNT}[channels.ops]\nurl = 'json://{CANARY}@localhost'"))
    assert CANARY not in os.linesep.join(capfd.readouterr())
