"""helm/flopledger/values.schema.json, from values.yaml: nothing is allowed that the chart does not know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.settings import Settings
from collector.notify.channel_file import AlertmanagerChannel, AppriseChannel, WebhookChannel

if TYPE_CHECKING:
    from scripts.chart.values import Key


CHANNELS = (AlertmanagerChannel, WebhookChannel, AppriseChannel)


def _closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _settings() -> dict[str, Any]:
    """Every setting by its name in the TOML file, with the type that the product itself asks for."""
    kinds = Settings.model_json_schema()["properties"]
    return _closed(**{name: _kind(kind) for name, kind in sorted(kinds.items())})


def _kind(kind: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in kind.items() if key not in {"title", "default", "format", "anyOf"}}
    # A setting that may be left out may not be written as null: it is left out.
    for choice in kind.get("anyOf", []):
        if choice.get("type") != "null":
            kept |= _kind(choice)
    return kept


def _channels() -> dict[str, Any]:
    """Channels by name, each with any field that one of their types knows; which go together the product says."""
    fields: dict[str, Any] = {}
    for model in CHANNELS:
        fields |= {name: _kind(kind) for name, kind in model.model_json_schema()["properties"].items()}
    channel = _closed(
        **(fields | {"type": {"enum": [model.model_fields["type"].annotation.__args__[0] for model in CHANNELS]}})
    )
    return {"type": "object", "additionalProperties": {**channel, "required": ["type"]}}


STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
FREE = {"type": "object", "additionalProperties": True}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "number"]}}
SHAPES: dict[str, dict[str, Any]] = {
    "strings": STRINGS,
    "free": FREE,
    "named": {**_closed(name={"type": "string", "minLength": 1}), "required": ["name"]},
    "duration": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
    "resources": _closed(requests=QUANTITIES, limits=QUANTITIES),
    "toleration": _closed(
        key={"type": "string"},
        operator={"enum": ["Exists", "Equal"]},
        value={"type": "string"},
        effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
        tolerationSeconds={"type": "integer"},
    ),
    "peer": _closed(podSelector=FREE, namespaceSelector=FREE, ipBlock=FREE),
    "settings": _settings(),
    "channels": _channels(),
}
"""What `# @schema {is: …}` names. Written out at each place, so that a refusal says the key and nothing else."""


def schema_file(found: list[Key]) -> str:
    """The whole file."""
    root = _group(found, ())
    # What a chart above this one shares with all of its parts.
    root["properties"]["global"] = FREE
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of flopledger", **root}
    return json.dumps(schema, indent=2) + "\n"


def _group(found: list[Key], path: tuple[str, ...]) -> dict[str, Any]:
    inside = [key for key in found if key.path[:-1] == path]
    return _closed(**{key.path[-1]: _group(found, key.path) if key.group else _leaf(key) for key in inside})


def _leaf(key: Key) -> dict[str, Any]:
    return {"description": key.description, "type": _type(key), **_written_out(key.schema)}


def _written_out(said: dict[str, Any]) -> dict[str, Any]:
    if "is" in said:
        return SHAPES[said["is"]]
    return {name: _written_out(value) if isinstance(value, dict) else value for name, value in said.items()}


def _type(key: Key) -> str:
    if isinstance(key.default, bool):
        return "boolean"
    if isinstance(key.default, float) or "exclusiveMinimum" in key.schema:
        return "number"
    for kind, name in ((int, "integer"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(key.default, kind):
            return name
    raise ValueError(f"values.yaml: {key.name} has no type: {key.default!r}")
