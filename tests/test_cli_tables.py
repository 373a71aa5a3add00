"""The tables of `status` and `poll`: of a long list the first meters, and those with an episode."""

import io
import re
from collections.abc import Sequence
from datetime import UTC

import pytest
from rich.console import Console

from budgetd.cli.invocation import make_console
from budgetd.cli.layout import Page, make_table, print_table
from budgetd.cli.meter_tables import tell_accounts, tell_poll
from budgetd.store.status import AccountStatus, EpisodeStatus
from budgetd_rules.kinds import Kind
from budgetd_rules.memory import Episode, WatchKey
from budgetd_rules.polls import Poll
from budgetd_rules.rule import Level
from build import NOON, STALE_AFTER, minutes, reading, viewed


@pytest.mark.parametrize(
    ("count", "open_on", "shown"),
    [
        pytest.param(1, (), ["price/0"], id="one"),
        pytest.param(4, (), ["price/0", "price/1", "price/2", "price/3"], id="a few are all shown"),
        pytest.param(5, (), ["price/0", "price/1", "price/2", "price/… 2"], id="of many the first"),
        pytest.param(9, (7,), ["price/0", "price/1", "price/2", "price/7", "price/… 5"], id="and what is bad"),
        pytest.param(
            5, (3, 4), ["price/0", "price/1", "price/2", "price/3", "price/4"], id="nothing left to leave out"
        ),
    ],
)
def test_a_long_list_in_status(count: int, open_on: Sequence[int], shown: list[str]) -> None:
    out = io.StringIO()
    views = [viewed(reading(f"price/{number}", Kind.CAP, value=1)) for number in range(count)]
    episodes = [_episode(f"price/{number}") for number in open_on]
    tell_accounts(_page(out), [(AccountStatus(name="voice"), None, [*views, viewed(reading())])], episodes)
    assert _meters(out.getvalue()) == [*shown, "credits"]


def test_a_long_list_in_poll() -> None:
    out = io.StringIO()
    views = [viewed(reading(f"price/{number}", Kind.CAP, value=1)) for number in range(6)]
    tell_poll(
        _page(out),
        Poll(account="voice", provider="cekura", at=NOON, answered=frozenset(), readings=(), outages=()),
        views,
    )
    assert _meters(out.getvalue()) == ["price/0", "price/1", "price/2", "price/… 3"]


def test_the_state_does_not_repeat_the_meter() -> None:
    out = io.StringIO()
    views = [viewed(reading("cap/agents", Kind.CAP, unit="", value=20)), viewed(reading(remaining=5))]
    tell_accounts(_page(out), [(AccountStatus(name="voice"), None, views)], [])
    assert re.findall(r"(cap/agents|credits) +(.*?) *$", out.getvalue(), re.MULTILINE) == [
        ("cap/agents", "is 20"),
        ("credits", "5 credits left"),
    ]


def test_what_is_stale_says_when_it_was_read() -> None:
    out = io.StringIO()
    now = NOON + 9 * STALE_AFTER
    ends = reading("plan", Kind.SUBSCRIPTION, unit="", expires_at=minutes(60 * 24 * 40))
    tell_accounts(
        _page(out), [(AccountStatus(name="voice"), None, [viewed(reading(remaining=5), now), viewed(ends, now)])], []
    )
    assert "unknown credits left, last read 12:00 UTC" in out.getvalue()
    assert re.search(r"ends in 40 days .*, as last read 12:00 UTC", out.getvalue())


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        pytest.param(26, ["name         what", "─" * 26, "voice-prod   5 [red] are"], id="it fits"),
        pytest.param(22, ["name: voice-prod", "what: 5 [red] are left", ""], id="too narrow: a line for each"),
    ],
)
def test_a_table_that_does_not_fit(width: int, lines: list[str]) -> None:
    out = io.StringIO()
    table = make_table("name", "what")
    table.add_row("voice-prod", "5 [red] are left")
    print_table(Console(file=out, width=width, markup=False), table)
    assert [line.rstrip() for line in out.getvalue().splitlines()][:3] == lines


@pytest.mark.parametrize("text", ["[/red]", "[red]x", ":smile:", "[link=https://x.example]y"])
def test_a_vendor_s_text_is_shown_as_it_came(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = make_table("what")
    table.add_row(text)
    print_table(make_console(), table)
    assert text in capsys.readouterr().out


def _page(out: io.StringIO) -> Page:
    return Page(Console(file=out, width=200), UTC, NOON)


def _episode(meter: str) -> EpisodeStatus:
    key = WatchKey("low", "voice", meter)
    episode = Episode(id="abc", key=key, level=Level.WARNING, peak=Level.WARNING, opened_at=NOON)
    return EpisodeStatus(episode=episode, acked=False, silenced=False)


def _meters(table: str) -> list[str]:
    """The meter of each row, and the count where rows were left out."""
    found = re.findall(r"^.*?(price/\d|price/…(?=.*and (\d) more)|credits)", table, re.MULTILINE)
    return [f"{meter} {count}".strip() for meter, count in found]
