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
        "$defs": schema["$defs"],
    }
