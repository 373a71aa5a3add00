"""The demo, told as fast as it goes: the real daemon between real servers, from a vendor's answer to a message."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from budgetd.demo.receivers import Received
from budgetd.demo.stage import MAIL, WEBHOOK, Stage
from budgetd.demo.story import Summary, run_demo, told

Json = dict[str, Any]

# How they begin.
TITLES = {
    WEBHOOK: [
        "WARNING voice-prod: 7,436.08 credits left",
        "CRITICAL voice-prod: 212.00 credits left",
        "RESOLVED voice-prod: 50,212.00 credits left",
        "WARNING voice-prod: subscription ends in 29 days",
        "RESOLVED voice-prod: subscription ends in 365 days",
        "WARNING dialogue-prod: turns 92.0 % used",
        "CRITICAL growth-prod: ",
        "RESOLVED growth-prod: ",
    ],
    MAIL: [
        "CRITICAL voice-prod: 212.00 credits left",
        "RESOLVED voice-prod: 50,212.00 credits left",
        "CRITICAL growth-prod: ",
        "RESOLVED growth-prod: ",
    ],
}
HEADINGS = {"opened": ("WARNING", "CRITICAL"), "worsened": ("CRITICAL",), "resolved": ("RESOLVED",)}


@dataclass
class Told:
    """All that the story left."""

    texts: list[str] = field(default_factory=list)
    received: tuple[Received, ...] = ()
    episodes: list[Json] = field(default_factory=list)
    status: Json = field(default_factory=dict)
    summary: Summary | None = None

    def look(self, stage: Stage) -> None:
        self.received = stage.inbox.received
        self.episodes = stage.daemon.ask("episodes", "--all")
        self.status = stage.daemon.ask("status")


@pytest.fixture(scope="module")
def story() -> Told:
    story = Told()
    story.summary = run_demo(story.texts.append, speed=1000, look=story.look)
    return story


def test_it_sums_up(story: Told) -> None:
    assert story.summary is not None
    assert story.summary.episodes == 4
    assert story.summary.messages == {WEBHOOK: 8, MAIL: 4}
    assert story.summary.repeated == 0
    assert story.texts[-1].endswith("4 episodes, messages: 8 by webhook, 4 by mail; repeated: 0")


@pytest.mark.parametrize("channel", [WEBHOOK, MAIL])
def test_every_message_arrives_once_and_in_order(story: Told, channel: str) -> None:
    titles = [received.title for received in story.received if received.channel == channel]
    assert len(titles) == len(TITLES[channel])
    for title, beginning in zip(titles, TITLES[channel], strict=True):
        assert title.startswith(beginning)


def test_the_story_shows_every_message(story: Told) -> None:
    shown = "\n".join(story.texts)
    for channel, titles in TITLES.items():
        for title in titles:
            assert f"{channel:8} {title}" in shown


def test_the_record_has_four_episodes(story: Told) -> None:
    assert [(one["rule"], one["account"], one["meter"], one["state"]) for one in story.episodes] == [
        ("low-credits", "voice-prod", "credits", "ended"),
        ("subscription-ends", "voice-prod", "subscription", "ended"),
        ("quota-nearly-used", "dialogue-prod", "turns", "open"),
        ("blind", "growth-prod", "connection", "ended"),
    ]
    assert [[change["change"] for change in one["changes"]] for one in story.episodes] == [
        ["opened", "worsened", "resolved"],
        ["opened", "resolved"],
        ["opened"],
        ["opened", "resolved"],
    ]


def test_each_notice_was_sent_at_the_first_try(story: Told) -> None:
    notices = [notice for one in story.episodes for notice in one["notices"]]
    assert len(notices) == len(story.received)
    assert {(notice["state"], *notice["outcomes"]) for notice in notices} == {("sent", "ok")}


def test_what_the_record_says_was_sent_is_what_arrived(story: Told) -> None:
    sent = Counter((notice["channel"], notice["title"]) for one in story.episodes for notice in one["notices"])
    assert sent == Counter((received.channel, received.title) for received in story.received)
    by_text = {(received.channel, received.title): received.body for received in story.received}
    for one in story.episodes:
        for notice in one["notices"]:
            assert by_text[notice["channel"], notice["title"]] == notice["body"]


def test_each_message_names_its_episode_and_its_change(story: Told) -> None:
    changes = {change["id"]: change["change"] for one in story.episodes for change in one["changes"]}
    owed = [(n["channel"], one["id"], changes[n["change"]]) for one in story.episodes for n in one["notices"]]
    said = [line for received in story.received for line in told(received)]
    assert len(said) == len(set(said)) == len(owed)
    for channel, episode, change in owed:
        matching = [line for line in said if line[:2] == (channel, episode)]
        assert any(heading.split()[0] in HEADINGS[change] for _, _, heading in matching)


def test_in_the_end_nothing_waits(story: Told) -> None:
    assert [(one["channel"], one["waiting"], one["dead"]) for one in story.status["channels"]] == [
        (WEBHOOK, 0, 0),
        (MAIL, 0, 0),
    ]
    assert [one["rule"] for one in story.status["episodes"]] == ["quota-nearly-used"]
    assert [one["outages"] for one in story.status["accounts"]] == [[]] * 4
