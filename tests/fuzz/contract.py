"""From annotations to what is written, with everything that must hold on the way."""

from collections.abc import Mapping

from controller.api.intent import Intent, Parsed, configuration_digest, parse
from controller.api.pattern import compiles, decode
from controller.plan.start import rules_of
from controller.plan.traffic.exposure import Exposure
from controller.plan.traffic.nginx import Nginx, closing_name
from tests.fuzz import engines, written
from tests.fuzz.values import MARK

NGINX = Nginx(prefix=written.PREFIX.removesuffix("/"), closing=closing_name("uid"))
DIGEST_LENGTH = len(configuration_digest({}))


def flaws(annotations: Mapping[str, str], weight: int = 0) -> list[str]:
    """Return what is wrong with the reading of annotations and with what is written for them."""
    parsed = parse(annotations)
    found = _told(parsed)
    if len(configuration_digest(annotations)) != DIGEST_LENGTH:
        found.append("another digest")
    if parsed.intent is None:
        return found
    pinned = weight if parsed.intent.weight is None else parsed.intent.weight
    return found + _routed(parsed.intent, pinned)


def _told(parsed: Parsed) -> list[str]:
    found = []
    if (parsed.intent is None) != bool(parsed.faults):
        found.append(f"intent {parsed.intent} beside {len(parsed.faults)} faults")
    for fault in parsed.faults:
        if MARK in fault.message or MARK in fault.value:
            found.append(f"an account is repeated: {fault.message!r}")
        if not fault.message.isascii() or not fault.message.isprintable():
            found.append(f"a message that no terminal should get: {fault.message!r}")
    return found


def _routed(intent: Intent, weight: int) -> list[str]:
    exposure = rules_of(intent, weight)
    keys = NGINX.keys_for(exposure)
    found = written.faults_of(keys)
    text = keys.get(f"{written.PREFIX}{written.PATTERN}")
    if text is not None:
        found += engines.faults_of(text, intent.accounts, intent.suffixes)
        if not compiles(text):
            found.append(f"a pattern over the budget: {len(text)} characters")
    return found + _read_back(exposure, keys)


def _read_back(exposure: Exposure, keys: Mapping[str, str]) -> list[str]:
    """The last good configuration is what the canary Ingress says: it has to say all of it."""
    read = NGINX.exposure_of({"metadata": {"annotations": dict(keys)}})
    return [] if read == exposure else [f"{exposure} is read back as {read}"]


def door_flaws(asked: Mapping[str, str], weight: int = 0) -> list[str]:
    """Return what is wrong with good accounts and endings, that they are refused included."""
    faults = [it.message for it in parse(asked).faults if "could mean" not in it.message]
    return faults or flaws(asked, weight)


def pattern_flaws(text: str) -> list[str]:
    """Return what is wrong with the reading of any text as a pattern of ours."""
    decoded = decode(text)
    if decoded is None:
        return []
    exposure = NGINX.exposure_of(
        {
            "metadata": {
                "annotations": {
                    f"{written.PREFIX}{written.HEADER}": "X-Account",
                    f"{written.PREFIX}{written.PATTERN}": text,
                    f"{written.PREFIX}canary-by-cookie": NGINX.closing,
                }
            }
        }
    )
    accounts, suffix = decoded
    if (exposure.accounts, exposure.suffix) != (accounts, suffix):
        return [f"{text!r} is read as {exposure}"]
    again = NGINX.keys_for(exposure)
    said = again.get(f"{written.PREFIX}{written.PATTERN}") or again.get(
        f"{written.PREFIX}{written.VALUE}"
    )
    if said not in {text, *accounts}:
        return [f"{text!r} is written again as {said!r}"]
    return written.faults_of(again)
