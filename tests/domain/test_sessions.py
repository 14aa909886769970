"""With which version a session begins."""

from collections import Counter

import pytest
from roost_server.domain import errors
from roost_server.domain.sessions import SESSION_MAX, choose, hashed

SESSIONS = [f"session-{n}" for n in range(4000)]


@pytest.mark.parametrize("weights", [{3: 95, 4: 5}, {3: 75, 4: 25}, {1: 20, 2: 30, 7: 50}, {3: 1, 4: 1}])
def test_versions_get_their_shares(weights: dict[int, int]) -> None:
    counted = Counter(choose(session, weights) for session in SESSIONS)
    for version, weight in weights.items():
        assert counted[version] / len(SESSIONS) == pytest.approx(weight / sum(weights.values()), abs=0.03)


def test_while_a_new_version_grows_sessions_move_only_to_it() -> None:
    steps = [{3: 100 - weight, 4: weight} for weight in (0, 5, 25, 50, 100)]
    for session in SESSIONS[:500]:
        versions = [choose(session, weights) for weights in steps]
        assert versions == sorted(versions)


def test_a_version_without_weight_gets_none() -> None:
    assert {choose(session, {3: 0, 4: 100, 5: 0}) for session in SESSIONS[:200]} == {4}


@pytest.mark.parametrize("weights", [{}, {3: 0}])
def test_without_any_weight_there_is_nothing_to_choose(weights: dict[int, int]) -> None:
    with pytest.raises(errors.Unavailable):
        choose("s", weights)


def test_the_end_of_a_very_long_session_does_not_count() -> None:
    assert hashed("s" * SESSION_MAX) == hashed("s" * 5000) != hashed("s" * (SESSION_MAX - 1))


def test_the_hash_is_jenkins_one_at_a_time() -> None:
    """Values from Bob Jenkins' published function."""
    assert hashed("a") == 0xCA2E9442
    assert hashed("The quick brown fox jumps over the lazy dog") == 0x519E91F5
