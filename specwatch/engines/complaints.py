"""Why a component refused its new configuration: Prometheus' answer names no file and no line, its log does."""

import re
from typing import Final

# Of a line such as: level=ERROR … err="rules/own.yml: 1:7: parse error …"
_ERROR: Final = re.compile(r'level=error\b.*?\berr="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def complaints(text: str) -> tuple[str, ...]:
    """Return each error that log lines in logfmt tell of, once, in their order."""
    return tuple(dict.fromkeys(found.replace('\\"', '"') for found in _ERROR.findall(text)))
