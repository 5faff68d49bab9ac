"""Writes down the fields of the emulator's kinds as the real server publishes them.

`python -m e2e.controlplane.schemas` writes the file that the emulator reads; every differential
run holds it against its server.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from e2e.bed.apiserver.fields import FILE
from e2e.bed.apiserver.kinds import BUILT_IN, Kind
from e2e.controlplane.build import CannotBuildError, built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.servers import Servers

_PREFIXES = ("io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.")
_PLAIN = {
    "api.resource.Quantity": "quantity",
    "meta.v1.FieldsV1": "any",
    "meta.v1.MicroTime": "microtime",
    "meta.v1.Time": "time",
    "runtime.RawExtension": "any",
    "util.intstr.IntOrString": "int-or-string",
}
_SCALARS = {"boolean": "bool", "number": "number", "object": "any"}

Json = dict[str, Any]


class OldSchemasError(Exception):
    """The emulator knows other fields than the server."""


async def published(client: httpx.AsyncClient) -> Json:
    """Ask a server for the fields of every built-in kind.

    Returns:
        `kinds`: the type of each, by `GROUP/KIND`; `types`: the fields of each type.
    """
    definitions: Json = {}
    kinds: dict[str, str] = {}
    for kind in BUILT_IN:
        path = f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"
        answer = await client.get(f"/openapi/v3/{path}")
        definitions |= answer.raise_for_status().json()["components"]["schemas"]
        kinds[f"{kind.group}/{kind.kind}"] = _named(kind, definitions)
    types: dict[str, Json] = {}
    waiting = sorted(set(kinds.values()))
    short = {_short(name): schema for name, schema in definitions.items()}
    while waiting:
        name = waiting.pop()
        if name not in types and name in short:
            types[name] = _type(short[name])
            waiting += _referred(types[name])
    return {"kinds": kinds, "types": dict(sorted(types.items()))}


def hold(found: Json) -> None:
    """Hold the emulator's file against what a server publishes.

    Raises:
        OldSchemasError: Where they differ; names what does.
    """
    names = differing(json.loads(FILE.read_text()), found)
    if names:
        raise OldSchemasError(
            f"{FILE.name} is not what the server publishes: {', '.join(names)}; "
            "`python -m e2e.controlplane.schemas` writes it anew"
        )


def differing(kept: Json, found: Json) -> list[str]:
    """Name each kind and each type that two tables do not describe alike."""
    return [
        name
        for part in ("kinds", "types")
        for name in sorted({*kept[part], *found[part]})
        if kept[part].get(name) != found[part].get(name)
    ]


def written(found: Json) -> str:
    """Write the table, one type to a line."""
    types = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one, sort_keys=True)}"
        for name, one in found["types"].items()
    )
    return f'{{"kinds": {json.dumps(found["kinds"], sort_keys=True)},\n"types": {{\n{types}\n}}}}\n'


def _named(kind: Kind, definitions: Mapping[str, Json]) -> str:
    wanted = {"group": kind.group, "kind": kind.kind, "version": kind.version}
    for name, schema in definitions.items():
        known = schema.get("x-kubernetes-group-version-kind") or ()
        if wanted in known and "spec" not in name.rpartition(".")[2].lower():
            return _short(name)
    raise LookupError(f"{wanted} is not published")


def _short(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _type(schema: Json) -> Json:
    needed = schema.get("required", ())
    found: Json = {
        "fields": {
            name: _field(field, is_needed=name in needed)
            for name, field in schema.get("properties", {}).items()
        }
    }
    if schema.get("x-kubernetes-map-type") == "atomic":
        found["whole"] = True
    return found


def _field(schema: Json, *, is_needed: bool) -> Json:
    """Describe a field; see `e2e.bed.apiserver.fields.Field`."""
    if schema.get("type") == "array":
        return _list(schema) | ({"empty": None} if is_needed else {})
    if "additionalProperties" in schema:
        found: Json = {"map": _reference(schema["additionalProperties"])}
    else:
        found = {"type": _reference(schema)}
    if schema.get("x-kubernetes-map-type") == "atomic":
        found["whole"] = True
    if "default" in schema or (is_needed and found.get("type") == "time"):
        found["empty"] = schema.get("default")
    return found


def _list(schema: Json) -> Json:
    found: Json = {"list": _reference(schema["items"])}
    if schema.get("x-kubernetes-list-type") == "set":
        found["keys"] = []
    elif schema.get("x-kubernetes-list-type") == "map":
        found["keys"] = schema["x-kubernetes-list-map-keys"]
    if "merge" in schema.get("x-kubernetes-patch-strategy", ""):
        found["merge"] = schema.get("x-kubernetes-patch-merge-key", "")
    return found


def _reference(schema: Json) -> str:
    for one in (schema, *schema.get("allOf", ())):
        if "$ref" in one:
            name = _short(one["$ref"].rpartition("/")[2])
            return _PLAIN.get(name, name)
    sort = schema.get("type", "object")
    if sort == "string":
        return "bytes" if schema.get("format") == "byte" else "string"
    if sort == "integer":
        return str(schema.get("format", "int64"))
    if sort == "array":
        return "any"
    return _SCALARS[sort]


def _referred(described: Json) -> Iterator[str]:
    for field in described["fields"].values():
        yield field.get("list") or field.get("map") or field["type"]


async def _publish() -> Json:
    with tempfile.TemporaryDirectory(prefix="serinus-schemas-") as name:
        folder = Path(name)
        credentials = Credentials.write(folder)
        servers = Servers(programs=built(), folder=folder, credentials=credentials)
        try:
            await servers.start_api()
            async with servers.client() as client:
                return await published(client)
        finally:
            await servers.stop()


def main() -> None:
    """Write the file."""
    try:
        FILE.write_text(written(asyncio.run(_publish())))
    except CannotBuildError as error:
        sys.exit(f"schemas: not written: {error}")


if __name__ == "__main__":
    main()
