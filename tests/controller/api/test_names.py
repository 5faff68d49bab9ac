import re

import pytest

from controller.api import names
from controller.api.errors import ClusterError, ThrottledError

STRINGS = {
    name: value
    for name, value in vars(names).items()
    if name.isupper() and isinstance(value, str) and value.startswith(names.PREFIX)
}
CONTRACT = (
    "weight steps header header-values header-suffixes cookie query replicas promotion checks "
    "ready-deadline deployment ingresses accept action"
)


def test_the_users_keys_are_those_of_the_contract() -> None:
    assert tuple(f"serinus.dev/{key}" for key in CONTRACT.split()) == names.USER_KEYS


def test_no_key_means_two_things() -> None:
    values = [value for name, value in STRINGS.items() if name != "PREFIX"]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("name", [name for name in STRINGS if name != "PREFIX"])
def test_every_key_is_one_that_kubernetes_allows(name: str) -> None:
    _, _, short = STRINGS[name].partition("/")
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", short)


def test_whoever_has_to_wait_is_told_how_long() -> None:
    error = ThrottledError("PATCH Service a: 429", 2.5)
    assert isinstance(error, ClusterError)
    assert (str(error), error.retry_after) == ("PATCH Service a: 429", 2.5)
