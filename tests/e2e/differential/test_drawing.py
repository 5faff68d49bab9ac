"""Operations are drawn from a seed alone, and cover what the differential run is for."""

from e2e.differential.drafts import KINDS
from e2e.differential.drawing import Drawing
from e2e.differential.operation import Operation


def drawn(seed: int, count: int) -> list[Operation]:
    source = Drawing(seed)
    return [source.next() for _ in range(count)]


def test_the_same_seed_draws_the_same_operations() -> None:
    assert drawn(3, 500) == drawn(3, 500)
    assert drawn(3, 500) != drawn(4, 500)


def test_every_kind_meets_every_verb() -> None:
    found = {(one.plural, one.method, one.sort) for one in drawn(1, 10_000)}
    verbs = [("POST", ""), ("PUT", ""), ("DELETE", ""), ("GET", "")]
    verbs += [("PATCH", sort) for sort in ("merge", "json", "strategic", "apply")]
    assert {(kind.plural, *verb) for kind in KINDS for verb in verbs} <= found


def test_every_kind_with_a_status_has_it_written() -> None:
    found = {(one.plural, one.method) for one in drawn(1, 10_000) if one.part == "status"}
    with_status = [kind.plural for kind in KINDS if kind.status]
    assert {(plural, method) for plural in with_status for method in ("PUT", "PATCH")} <= found
