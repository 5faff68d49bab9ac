"""The annotations of NGINX Ingress: what we write on a canary Ingress, and what one says.

Every value follows routing.md sections 5 and 10; nothing of the user's is copied but host, path,
pathType and port of the paths to his Service.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

from controller.api import grammar, names, pattern
from controller.api.objects import (
    Object,
    annotations_of,
    backend_service,
    digest,
    ingress_class,
    ingress_paths,
    metadata,
    moment_of,
    spec_of,
    stamp,
)
from controller.plan.traffic.exposure import CLOSED, Exposure

CLOSING_TEXT = "serinus closing name v1"
"""Fixed for ever: with another text the closing name of a running release would change."""

UNKNOWN = "(not ours)"
"""Stands for the endings of a pattern that we could not have written; equal to no other."""

_NOBODY: frozenset[str] = frozenset()

_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
"""What ingress-nginx takes for true (Go: strconv.ParseBool); Traefik knows only `true`."""


@lru_cache(maxsize=2048)
def closing_name(uid: str) -> str:
    """Return a cookie name that nobody outside can guess (routing.md 5.2, rule 4).

    It closes `Cookie: =always`; whoever can read the Ingress can read it.
    """
    secret = hashlib.sha256(f"{CLOSING_TEXT}/{uid}".encode()).hexdigest()
    return f"serinus-{secret[:32]}"


def is_closing_name(text: str) -> bool:
    """Tell whether a cookie name is a closing name, of whatever Service."""
    return re.fullmatch(r"serinus-[0-9a-f]{32}", text, re.ASCII) is not None


_KEPT = frozenset({names.CHANGED, names.SHRINK})
"""Keys of ours beside those of the exposure."""
_HEADER_KEYS = ("canary-by-header", "canary-by-header-value", "canary-by-header-pattern")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nginx:
    """The keys of one annotation prefix, for one Service.

    Attributes:
        prefix: `nginx.ingress.kubernetes.io`, or what the proxy was started with.
        closing: the closing name of the Service.
    """

    prefix: str
    closing: str

    def key(self, name: str) -> str:
        """Return the full annotation key."""
        return f"{self.prefix}/{name}"

    def is_canary(self, ingress: Object) -> bool:
        """Tell whether an Ingress, ours or anyone's, is a canary one to some proxy."""
        return annotations_of(ingress).get(self.key("canary")) in _TRUE

    def exposure_of(self, ingress: Object) -> Exposure:
        """Return what the Ingress lets through; what we could not have written counts as open.

        An unreadable weight or pattern, or endings whose share is unknown, is taken for
        everything: then nothing is raised on top of it and the repair is a lowering.
        """
        written = annotations_of(ingress).get
        cookie = written(self.key("canary-by-cookie"))
        return _exposure(
            weight=written(self.key("canary-weight"), "0"),
            header=written(self.key("canary-by-header")),
            value=written(self.key("canary-by-header-value"), ""),
            text=written(self.key("canary-by-header-pattern"), ""),
            cookie=None if cookie == self.closing else cookie or "",
        )

    def keys_for(self, exposure: Exposure) -> dict[str, str]:
        """Return the whole list of annotations for an exposure (routing.md 5.1)."""
        keys = {
            self.key("canary"): "true",
            self.key("canary-weight"): str(exposure.weight),
            self.key("canary-by-cookie"): exposure.cookie or self.closing,
        }
        if exposure.header is None:
            return keys
        keys[self.key("canary-by-header")] = exposure.header
        if not exposure.suffix and pattern.is_single_value(exposure.accounts, ()):
            keys[self.key("canary-by-header-value")] = next(iter(exposure.accounts))
            return keys
        text = pattern.composed(exposure.accounts, exposure.suffix)
        if not pattern.is_writable(text):
            raise ValueError(f"refusing to write the pattern {text!r}")
        keys[self.key("canary-by-header-pattern")] = text
        return keys

    def change(
        self, ingress: Object, exposure: Exposure, now: datetime
    ) -> dict[str, str | None] | None:
        """Return the annotation changes that bring the Ingress to this exposure, None if none.

        Keys that are not on the list are drift: they go in the same patch (routing.md 5.2, rule 1).
        """
        wanted: dict[str, str | None] = dict(self.keys_for(exposure))
        have = annotations_of(ingress)
        if class_key := have.get(names.INGRESS_CLASS):
            wanted[names.INGRESS_CLASS] = class_key
        for key in have:
            if key not in _KEPT:
                wanted.setdefault(key, None)
        changes = {key: value for key, value in wanted.items() if have.get(key) != value}
        if not changes:
            return None
        return {**changes, names.CHANGED: changed_text(exposure, now)}

    def closing_change(self, ingress: Object, now: datetime) -> dict[str, str | None] | None:
        """Return the annotation changes that close the Ingress, None if it is seen closed.

        Every door is named, also one that is not seen open: what is seen may be older than a door
        that was opened since, and a patch that says nothing of it would leave it open.
        """
        changes = self.change(ingress, CLOSED, now)
        if changes is None:
            return None
        return {**self._shut(), **changes}

    def only_closes(self, changes: Mapping[str, str | None]) -> bool:
        """Tell whether annotation changes open nothing, whatever the Ingress says by now."""
        return all(changes.get(key, value) == value for key, value in self._shut().items())

    def _shut(self) -> dict[str, str | None]:
        """Return every annotation that decides who reaches the canary, as it lets nobody."""
        doors: dict[str, str | None] = {self.key(name): None for name in _HEADER_KEYS}
        return {**doors, **self.keys_for(CLOSED)}

    def rules(self, main: Object, service: str, canary_service: str) -> list[dict[str, Any]]:
        """Return the rules of the canary Ingress: the main's paths to this Service only."""
        hosts: dict[str, list[dict[str, Any]]] = {}
        for host, path in ingress_paths(main):
            if backend_service(path) == service:
                port = path["backend"]["service"].get("port") or {}
                entry = {
                    "path": path.get("path"),
                    "pathType": path.get("pathType"),
                    "backend": {"service": {"name": canary_service, "port": dict(port)}},
                }
                hosts.setdefault(host, []).append(entry)
        return [
            {**({"host": host} if host else {}), "http": {"paths": paths}}
            for host, paths in hosts.items()
        ]

    def ingress(
        self, main: Object, rules: list[dict[str, Any]], meta: Mapping[str, Any], now: datetime
    ) -> Object:
        """Return a new canary Ingress: `canary: "true"`, weight 0, closing name, no rule (S6)."""
        annotations: dict[str, str] = {
            **self.keys_for(CLOSED),
            names.CHANGED: changed_text(CLOSED, now),
        }
        spec: dict[str, Any] = {"rules": rules}
        if spec_of(main).get("ingressClassName"):
            spec["ingressClassName"] = spec_of(main)["ingressClassName"]
        elif old := ingress_class(main):
            annotations[names.INGRESS_CLASS] = old
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {**meta, "annotations": annotations},
            "spec": spec,
        }


def changed_text(exposure: Exposure, now: datetime) -> str:
    """Return `serinus.dev/changed`: when, and a digest of what was written with it."""
    text = {"at": stamp(now), "digest": _digest(exposure)}
    return json.dumps(text, separators=(",", ":"))


def is_as_changed(ingress: Object, exposure: Exposure) -> bool:
    """Tell whether this exposure is what was written last, and not what somebody made of it."""
    return _changed(annotations_of(ingress)).get("digest") == _digest(exposure)


def _digest(exposure: Exposure) -> str:
    said = [exposure.weight, exposure.header, sorted(exposure.accounts), exposure.suffix]
    return digest([*said, exposure.cookie])


def changed_at(ingress: Object) -> str:
    """Return the stamp of the last routing change; the creation's where none can be read."""
    value = _changed(annotations_of(ingress)).get("at")
    if isinstance(value, str) and moment_of(value) is not None:
        return value
    return str(metadata(ingress).get("creationTimestamp", ""))


def shrink_on(ingress: Object) -> int:
    """Return the number of the removal of pods that is announced on an Ingress; -1: of none."""
    text = annotations_of(ingress).get(names.SHRINK, "")
    return int(text) if _SHRINK.fullmatch(text) else -1


_SHRINK = re.compile(r"[0-9]{1,9}", re.ASCII)


@lru_cache(maxsize=256)
def _exposure(
    *, weight: str, header: str | None, value: str, text: str, cookie: str | None
) -> Exposure:
    """Read the values of the keys; most passes read the same ones again."""
    if not header:
        accounts, suffix = _NOBODY, ""
    elif value:
        accounts, suffix = frozenset({value}), ""
    else:
        accounts, suffix = pattern.decode(text) or (_NOBODY, UNKNOWN)
    return Exposure(
        weight=int(weight) if grammar.WEIGHT.fits(weight) else 100,
        header=header,
        accounts=accounts,
        suffix=suffix,
        share=_share(suffix),
        cookie=cookie,
    )


def _share(suffix: str) -> Fraction:
    """Return the share of users behind endings; of a pattern that is not ours, everybody."""
    if suffix == UNKNOWN:
        return Fraction(1)
    return pattern.share_of(pattern.suffixes_of(suffix)) if suffix else Fraction(0)


def _changed(annotations: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        value = json.loads(annotations.get(names.CHANGED, ""))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
