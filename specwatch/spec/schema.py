"""The JSON Schema of spec.yaml, made from the model."""

from typing import Any

import msgspec

from specwatch.spec.model import Spec


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of spec.yaml."""
    schema = msgspec.json.schema(Spec)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spec.yaml of specwatch",
        "$ref": schema["$ref"],
        "$defs": _numbers(schema["$defs"]),
    }


def _numbers(schema: Any) -> Any:
    """Return `schema` with decimals as the numbers that they are in YAML; msgspec describes how it would write them to JSON."""
    if isinstance(schema, list):
        return [_numbers(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {**{key: value for key, value in schema.items() if key != "format"}, "type": "number"}
    return {key: _numbers(value) for key, value in schema.items()}
