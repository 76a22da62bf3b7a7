"""What went wrong, as a short text that may be shown."""

import re
from typing import Final

_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]*(?=@)")
_LONGEST: Final = 300


def described(error: BaseException) -> str:
    """Return the exception's type and the first line of its message, without the user name and password of a URL in it.

    Never raises, whatever the exception's own `__str__` does.
    """
    kind = type(error).__name__
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001  # an exception's own __str__ may raise anything
        return kind
    return f"{kind}: {_CREDENTIALS.sub('…', lines[0])[:_LONGEST]}" if lines else kind
