"""A few hundred kills (-9) while the vendor's numbers wander and three channels fail at random.

Nothing is lost, nothing is told twice without a word, and no text is false.

BUDGETD_KILLS is how often; BUDGETD_SEED makes a run begin as the one that printed it.
"""

import os
import random
import time
from collections import Counter
from typing import Final

import pytest

from storm import Storm
from storm_oracle import complaints
from storm_record import read_record
from storm_world import Asked, Came

# The machine's own settings, read before each test begins without any.
_KILLS: Final = int(os.environ.get("BUDGETD_KILLS", "200"))
_SEED: Final = os.environ.get("BUDGETD_SEED", str(random.randrange(10**6)))
# A slow machine kills less often: a storm may not take for ever. Whoever asks for more kills has the time for them.
_RAGES_FOR: Final = 5 * 60.0 * max(1, _KILLS / 200)


@pytest.mark.slow
def test_in_a_storm_everyone_is_told_everything_once_and_nothing_false(capsys: pytest.CaptureFixture[str]) -> None:
    with Storm(_SEED) as storm:
        storm.rage(_KILLS, until=time.monotonic() + _RAGES_FOR)
        storm.calm_down()
        events, record, log = storm.chronicle.events, read_record(storm.database), storm.log
    found = complaints(events, record)
    asked, came = (sum(isinstance(event, kind) for event in events) for kind in (Asked, Came))
    outcomes = Counter(attempt.outcome for attempt in record.attempts)
    with capsys.disabled():
        print(
            f"\nseed {_SEED}: {storm.kills} kills, {asked} requests, {len(record.changes)} changes, "
            f"{len(record.notices)} notices, {came} messages, attempts {dict(outcomes)}, {len(found)} complaints"
        )
    assert found == []
    assert "Traceback" not in log
    # A storm that was none proves nothing.
    assert {"ok", "failed", "unknown"} <= outcomes.keys()
    assert {"opened", "worsened", "reminded", "resolved"} == {change.kind for change in record.changes}
