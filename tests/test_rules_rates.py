"""How many requests go in a span of time, and when the next one may."""

from collections import deque
from datetime import timedelta
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgetd_rules.rates import Pace, Rate


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


NOW = seconds(1000)
THREE = Rate(requests=3, per=seconds(60))


@pytest.mark.parametrize(
    ("under_way", "ended_ago", "next_in", "free"),
    [
        pytest.param(0, [], 0, 3, id="the first"),
        pytest.param(2, [], 0, 1, id="one more beside two"),
        pytest.param(0, [5, 1], 0, 1, id="one more after two"),
        pytest.param(0, [50, 5, 1], 10, 0, id="a span after the end of the first of three"),
        pytest.param(1, [50, 5], 10, 0, id="one of three is under way"),
        pytest.param(2, [5], 55, 0, id="two of three are under way"),
        pytest.param(3, [], None, 0, id="all are under way"),
        pytest.param(0, [60, 5, 1], 0, 1, id="a span later to the moment"),
        pytest.param(0, [99, 98, 97], 0, 3, id="long ago"),
        pytest.param(0, [50, 40, 30, 20], 20, 0, id="more than the rate was: the config was changed"),
        pytest.param(4, [50], None, 0, id="more are under way than the rate is: the config was changed"),
    ],
)
def test_when_the_next_one_may_go(under_way: int, ended_ago: list[int], next_in: int | None, free: int) -> None:
    pace = Pace(under_way=under_way, ended=deque(NOW - seconds(ago) for ago in ended_ago))
    assert pace.free(THREE, NOW) == free
    assert pace.next_at(THREE, NOW) == (None if next_in is None else NOW + seconds(next_in))


def test_what_will_be_free_is_known_before() -> None:
    pace = Pace(ended=deque([NOW - seconds(50), NOW - seconds(45), NOW]))
    assert [pace.free(THREE, NOW + seconds(ahead)) for ahead in (0, 10, 15, 60)] == [0, 1, 2, 3]
    assert len(pace.ended) == 3


MILLISECONDS = st.integers(0, 3000).map(lambda count: timedelta(milliseconds=count))


@given(
    rate=st.builds(Rate, requests=st.integers(1, 5), per=MILLISECONDS.filter(bool)),
    wishes=st.lists(st.tuples(MILLISECONDS, MILLISECONDS, st.floats(0, 1)), max_size=40),
)
def test_in_no_span_is_more_sent_or_arrives_than_the_rate(
    rate: Rate, wishes: list[tuple[timedelta, timedelta, float]]
) -> None:
    """Each is wished for some time after the one before, is under way for some time, and arrives somewhere in it."""
    pace, now = Pace(), timedelta()
    ends: list[timedelta] = []
    started, arrived = [], []
    for after, length, part in wishes:
        now += after
        while True:
            while ends and ends[0] <= now:
                pace.end(heappop(ends))
            at = pace.next_at(rate, now)
            if at == now:
                break
            assert at is None or at > now
            now = min(one for one in (at, *ends[:1]) if one is not None)
        pace.start()
        started.append(now)
        arrived.append(now + length * part)
        heappush(ends, now + length)
    for instants in (started, sorted(arrived)):
        for first, one_more in zip(instants, instants[rate.requests :], strict=False):
            assert one_more - first >= rate.per


@given(
    rate=st.builds(Rate, requests=st.integers(1, 5), per=MILLISECONDS.filter(bool)),
    gaps=st.lists(MILLISECONDS, max_size=40),
)
def test_who_keeps_to_the_rate_never_waits(rate: Rate, gaps: list[timedelta]) -> None:
    pace, now = Pace(), timedelta()
    past: list[timedelta] = []
    for gap in gaps:
        now += gap
        is_slow_enough = sum(1 for one in past if one + rate.per > now) < rate.requests
        assert (pace.next_at(rate, now) == now) == is_slow_enough
        assert (pace.free(rate, now) > 0) == is_slow_enough
        if is_slow_enough:
            pace.start()
            pace.end(now)
            past.append(now)
