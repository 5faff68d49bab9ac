"""The admission policies are well formed and speak the words of the code.

What they do is proven on a real API server: e2e/controlplane/test_policies.py.
"""

import re
from typing import Any

import pytest

from controller.api import names
from controller.plan.traffic.exposure import Exposure
from controller.plan.traffic.nginx import Nginx
from controller.settings import Settings
from tests.manifests.rendering import MANIFESTS, Manifest, kustomized, only, read

FILES = sorted(
    path for path in (MANIFESTS / "policies").glob("*.yaml") if path.stem != "kustomization"
)
EVERY = tuple(it for path in FILES for it in read(path))
POLICIES = [it for it in EVERY if it["kind"].endswith("AdmissionPolicy")]
BINDINGS = [it for it in EVERY if it["kind"].endswith("AdmissionPolicyBinding")]
KNOWN_LABELS = {names.CANARY, names.HELD, names.RESUME, names.SERVICE, names.TRACK}
KNOWN_ANNOTATIONS = {names.CHANGED, names.SHRINK}


def name_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def expressions(value: Any) -> list[str]:
    """Return every text of CEL in a policy."""
    if isinstance(value, dict):
        return [
            text
            for key, inner in value.items()
            for text in (
                [inner] if key in ("expression", "messageExpression") else expressions(inner)
            )
        ]
    return [text for inner in value for text in expressions(inner)] if type(value) is list else []


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_a_policy_is_in_the_stable_api_and_is_bound_once(policy: Manifest) -> None:
    assert policy["apiVersion"] == "admissionregistration.k8s.io/v1"
    (binding,) = [it for it in BINDINGS if it["spec"]["policyName"] == name_of(policy)]
    assert (binding["kind"], name_of(binding)) == (f"{policy['kind']}Binding", name_of(policy))
    actions = {"serinus-tell": ["Warn"]}.get(name_of(policy), ["Deny"])
    expected = None if policy["kind"].startswith("Mutating") else actions
    assert binding["spec"].get("validationActions") == expected


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_a_policy_that_cannot_be_asked_refuses_unless_it_only_tells(policy: Manifest) -> None:
    wanted = "Ignore" if name_of(policy) == "serinus-tell" else "Fail"
    assert policy["spec"]["failurePolicy"] == wanted


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_a_policy_is_about_one_kind_or_looks_into_none(policy: Manifest) -> None:
    resources = {
        (group, resource.partition("/")[0])
        for rule in policy["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    looks_into = any(re.search(r"\b(old)?[oO]bject\b", text) for text in expressions(policy))
    assert len(resources) == 1 or not looks_into


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_a_policy_matches_nothing_by_wildcard(policy: Manifest) -> None:
    for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
        words = (*rule["apiGroups"], *rule["apiVersions"], *rule["operations"], *rule["resources"])
        assert not any("*" in word for word in words)


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_parentheses_and_quotes_are_closed(policy: Manifest) -> None:
    for text in expressions(policy):
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
        assert not re.search(r"['\"]", bare), text
        for pair in ("()", "[]", "{}"):
            assert bare.count(pair[0]) == bare.count(pair[1]), text


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_every_variable_is_declared_before_it_is_used_and_is_used(policy: Manifest) -> None:
    declared: list[str] = []
    for variable in policy["spec"].get("variables", ()):
        assert set(re.findall(r"variables\.(\w+)", variable["expression"])) <= set(declared)
        declared.append(variable["name"])
    rest = {key: value for key, value in policy["spec"].items() if key != "matchConditions"}
    used = {it for text in expressions(rest) for it in re.findall(r"variables\.(\w+)", text)}
    assert used == set(declared)
    conditions = expressions(policy["spec"].get("matchConditions", []))
    assert not any("variables." in text for text in conditions), "the server has none there"


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_every_key_of_ours_is_one_that_the_code_knows(policy: Manifest) -> None:
    keys = {
        it for text in expressions(policy) for it in re.findall(r"'(serinus\.dev/[^']*)'", text)
    }
    assert keys <= KNOWN_LABELS | KNOWN_ANNOTATIONS | {names.PREFIX}


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_a_refusal_says_what_is_wrong_and_each_says_something_else(policy: Manifest) -> None:
    if policy["kind"].startswith("Mutating"):
        return
    said = [it.get("message") or it["messageExpression"] for it in policy["spec"]["validations"]]
    assert len(set(said)) == len(said)
    assert all(said)
    reasons = {it.get("reason") for it in policy["spec"]["validations"]}
    assert reasons == {None if name_of(policy) == "serinus-tell" else "Forbidden"}


def fences() -> list[Manifest]:
    return [it for it in POLICIES if name_of(it).startswith("serinus-fence-")]


def test_the_fence_stands_round_everything_that_the_roles_let_the_controller_write() -> None:
    rules = only(kustomized("rights"), "Role")["rules"]
    writable = {
        (group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if {"create", "update", "patch", "delete"} & set(rule["verbs"])
    }
    fenced = {
        (group, resource)
        for fence in fences()
        for rule in fence["spec"]["matchConstraints"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert writable - fenced == {("", "events")}


@pytest.mark.parametrize("fence", fences(), ids=name_of)
def test_the_fence_knows_the_account_and_lets_dry_runs_through(fence: Manifest) -> None:
    first, second = fence["spec"]["matchConditions"]
    account = "'system:serviceaccount:' + 'serinus-system' + ':' + 'serinus'"
    assert first["expression"] == f"request.userInfo.username == {account}"
    assert second["expression"] == "!request.?dryRun.orValue(false)"


def test_the_fence_lets_an_ingress_have_every_key_that_the_code_writes() -> None:
    fence = only(EVERY, "ValidatingAdmissionPolicy", "serinus-fence-ingresses")
    prefix, keys, *_ = fence["spec"]["variables"]
    assert prefix["expression"] == f"'{Settings().annotation_prefix}'"
    listed = re.findall(r"'(canary[a-z-]*)'", keys["expression"])
    plane = Nginx(prefix="", closing="closed")
    exposures = [
        Exposure(weight=1, header="X-Account", accounts=frozenset(accounts))
        for accounts in (["alice"], ["alice", "bob"])
    ]
    written = {key.lstrip("/") for exposure in exposures for key in plane.keys_for(exposure)}
    assert set(listed) == written
    assert f"'{names.CHANGED}'" in keys["expression"]
    assert f"'{names.SHRINK}'" in keys["expression"]
    assert f"'{names.INGRESS_CLASS}'" in keys["expression"]


def test_the_hold_lets_the_controller_through_by_its_field_manager() -> None:
    for name in ("serinus-resume", "serinus-tell"):
        kind = (
            "MutatingAdmissionPolicy" if name == "serinus-resume" else "ValidatingAdmissionPolicy"
        )
        first = only(EVERY, kind, name)["spec"]["matchConditions"][0]["expression"]
        assert first == f"request.?options.?fieldManager.orValue('') != '{names.FIELD_MANAGER}'"
