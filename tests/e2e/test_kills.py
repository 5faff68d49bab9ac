from collections import Counter

from e2e.kills import KINDS, blows


def test_one_seed_is_one_attack() -> None:
    assert list(blows(7, 50)) == list(blows(7, 50))
    assert list(blows(7, 50)) != list(blows(8, 50))


def test_a_longer_attack_begins_like_a_shorter_one() -> None:
    assert list(blows(7, 50))[:6] == list(blows(7, 6))


def test_a_hundred_blows_are_of_every_kind() -> None:
    found = Counter(blow.kind for blow in blows(1, 100))
    assert found.keys() == set(KINDS)
    assert min(found.values()) >= 15
