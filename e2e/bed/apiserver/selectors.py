"""Label and field selectors: parsed once, asked often."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from e2e.bed.apiserver.errors import bad_request
from e2e.bed.apiserver.trees import JsonObject

LabelTest: TypeAlias = Callable[[Mapping[str, str]], bool]

_BETWEEN_TERMS = re.compile(r",(?![^()]*\))")
_SET_TERM = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_KEY = re.compile(r"^([a-z0-9A-Z][-a-z0-9A-Z.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldTerm:
    """One `path=value` or `path!=value` of a field selector."""

    path: tuple[str, ...]
    value: str
    equal: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """What a list or a watch asks for; both halves must hold."""

    labels: tuple[LabelTest, ...] = ()
    fields: tuple[FieldTerm, ...] = ()

    @property
    def takes_everything(self) -> bool:
        """Whether nothing is filtered."""
        return not self.labels and not self.fields

    def matches(self, obj: JsonObject) -> bool:
        """Say whether the object is asked for."""
        if self.labels:
            labels = obj["metadata"].get("labels") or {}
            for test in self.labels:
                if not test(labels):
                    return False
        return all((_field(obj, term.path) == term.value) == term.equal for term in self.fields)


@lru_cache(maxsize=4096)
def selector_of(labels: str = "", fields: str = "") -> Selector:
    """Parse the two selector strings of a request.

    Raises:
        ApiError: 400, one of them cannot be parsed.
    """
    return Selector(
        labels=tuple(_label_test(term.strip()) for term in _BETWEEN_TERMS.split(labels) if term),
        fields=tuple(_field_term(term) for term in fields.split(",") if term),
    )


_FIELDS: Mapping[str, frozenset[str]] = {
    "Event": frozenset(
        {
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.resourceVersion",
            "involvedObject.uid",
            "reason",
            "reportingComponent",
            "source",
            "type",
        }
    ),
    "Namespace": frozenset({"name", "status.phase"}),
    "Node": frozenset({"spec.unschedulable"}),
    "Pod": frozenset(
        {
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        }
    ),
    "ReplicaSet": frozenset({"status.replicas"}),
    "Secret": frozenset({"type"}),
    "Service": frozenset({"spec.clusterIP", "spec.type"}),
}
"""The fields that a kind's objects can be selected by, besides their name and namespace."""


def check_fields(kind: str, selector: Selector) -> None:
    """Refuse a field that objects of a kind cannot be selected by.

    Raises:
        ApiError: 400.
    """
    if not selector.fields:
        return
    known = {"metadata.name", "metadata.namespace"} | _FIELDS.get(kind, frozenset())
    for term in selector.fields:
        name = ".".join(term.path)
        if name not in known:
            raise bad_request(f'"{name}" is not a known field selector')


def label_selector_matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Say whether a `LabelSelector` object (matchLabels, matchExpressions) matches."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _expression_holds(expression, labels)
        for expression in selector.get("matchExpressions") or []
    )


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def _label_test(term: str) -> LabelTest:
    if found := _SET_TERM.match(term):
        key, operator, listed = found.groups()
        values = frozenset(value.strip() for value in listed.split(","))
        return _is_in(key, values) if operator == "in" else _is_not_in(key, values)
    if "!=" in term:
        key, _, value = term.partition("!=")
        return _is_not_in(key, frozenset({value.strip()}))
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return _is_in(key, frozenset({value.strip()}))
    if term.startswith("!"):
        absent = _checked(term[1:])
        return lambda labels: absent not in labels
    present = _checked(term)
    return lambda labels: present in labels


def _is_in(key: str, values: frozenset[str]) -> LabelTest:
    name = _checked(key)
    return lambda labels: labels.get(name) in values


def _is_not_in(key: str, values: frozenset[str]) -> LabelTest:
    name = _checked(key)
    return lambda labels: labels.get(name) not in values


def _checked(key: str) -> str:
    name = key.strip()
    if not _KEY.match(name):
        raise bad_request(f"unable to parse requirement: <nil>: Invalid value: {name!r}")
    return name


def _field_term(term: str) -> FieldTerm:
    if "=" not in term:
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    left, _, value = term.partition("=")
    equal = not left.endswith("!")
    path = left.rstrip("!").strip()
    return FieldTerm(path=tuple(path.split(".")), value=value.lstrip("=").strip(), equal=equal)


def _field(obj: JsonObject, path: tuple[str, ...]) -> str:
    value: Any = obj
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
