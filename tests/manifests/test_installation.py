"""The installation page says what the manifests say."""

import re

from tests.manifests.rendering import MANIFESTS, only, read

PAGE = (MANIFESTS.parent / "docs" / "installation.md").read_text(encoding="utf-8")


def test_the_table_of_rights_is_the_role() -> None:
    (section,) = re.findall(r"^## Rights$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[a-z`/, ]+`) \| ([a-z, ]+) \|", section, re.MULTILINE)
    told = {
        resource: verbs.split(", ")
        for resources, verbs in rows
        for resource in re.findall(r"`([a-z/]+)`", resources)
    }
    rules = only(read(MANIFESTS / "rights" / "role.yaml"), "Role")["rules"]
    assert told == {it: rule["verbs"] for rule in rules for it in rule["resources"]}


def test_every_alert_is_explained() -> None:
    path = MANIFESTS / "components" / "monitoring" / "rules.yaml"
    (group,) = only(read(path), "PrometheusRule")["spec"]["groups"]
    told = re.findall(r"`(Serinus\w+)`", PAGE)
    assert sorted(told) == sorted(rule["alert"] for rule in group["rules"])


def test_every_folder_is_there_and_is_told() -> None:
    told = set(re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE))
    assert all((MANIFESTS / name).is_dir() for name in told)
    nested = {"overlays", "components"}
    there = {it.name for it in MANIFESTS.iterdir()} - nested
    there |= {f"{it}/{child.name}" for it in nested for child in (MANIFESTS / it).iterdir()}
    assert told == there


def test_every_policy_is_explained() -> None:
    told = re.findall(r"^\| `(\w+\.yaml)` ", PAGE, re.MULTILINE)
    files = {it.name for it in (MANIFESTS / "policies").iterdir()} - {"kustomization.yaml"}
    assert sorted(told) == sorted(files)
