"""The escape hatch: merge patches (RFC 7386) on generated YAML and JSON files."""

from collections.abc import Mapping
from typing import Any

from specwatch.names import header
from specwatch.stack import Stack
from specwatch.textio import dump_json, dump_yaml


def patched(stack: Stack, files: Mapping[str, str]) -> dict[str, str]:
    """Return `files` with the spec's overrides merged into those that they name; names without a file are passed over."""
    result = dict(files)
    for path, patch in stack.overrides.items():
        if path in files:
            result[path] = _patch(stack, path, files[path], patch)
    return result


def _patch(stack: Stack, path: str, text: str, patch: object) -> str:
    import yaml  # noqa: PLC0415  # only for those who use the hatch

    # JSON is YAML, and what we write reads back as what it was.
    data = merge(yaml.load(text, yaml.CSafeLoader), patch)  # the safe loader, in C
    return dump_json(data) if path.endswith(".json") else dump_yaml(data, header=header(stack))


def merge(target: Any, patch: Any) -> Any:
    """Return `target` with `patch` merged in: mappings key by key, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
