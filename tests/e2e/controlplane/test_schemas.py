"""Whether the emulator's table of fields is what a server publishes is told by name."""

import json

import pytest

from e2e.bed.apiserver.fields import FILE
from e2e.controlplane.schemas import OldSchemasError, differing, hold, written


def test_the_file_is_written_as_it_would_be_written_anew() -> None:
    kept = FILE.read_text()
    assert written(json.loads(kept)) == kept


def test_tables_that_say_the_same_differ_in_nothing() -> None:
    kept = json.loads(FILE.read_text())
    assert differing(kept, json.loads(FILE.read_text())) == []


def test_a_kind_and_a_type_that_are_new_gone_or_changed_are_named() -> None:
    kept = {
        "kinds": {"/Pod": "core.v1.Pod", "/Node": "core.v1.Node"},
        "types": {"a.Gone": {"fields": {}}, "b.Same": {"fields": {}}, "c.Changed": {"fields": {}}},
    }
    found = {
        "kinds": {"/Pod": "core.v2.Pod", "/Node": "core.v1.Node"},
        "types": {
            "b.Same": {"fields": {}},
            "c.Changed": {"fields": {"name": {"type": "string"}}},
            "d.New": {"fields": {}},
        },
    }
    assert differing(kept, found) == ["/Pod", "a.Gone", "c.Changed", "d.New"]


def test_a_server_with_another_field_ends_the_run_with_the_name_of_its_type() -> None:
    found = json.loads(FILE.read_text())
    found["types"]["apps.v1.DeploymentSpec"]["fields"]["canary"] = {"type": "string"}
    with pytest.raises(OldSchemasError) as raised:
        hold(found)
    assert str(raised.value) == (
        "schemas.json is not what the server publishes: apps.v1.DeploymentSpec; "
        "`python -m e2e.controlplane.schemas` writes it anew"
    )
