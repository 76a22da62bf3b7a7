"""Foreign text on the screen: log lines come from anywhere, and a terminal obeys what it is sent."""

from typing import Final

_LONGEST: Final = 2000


def short(text: str, longest: int = _LONGEST) -> str:
    """Return the text on one line, without what could move the cursor, and not endless."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[:longest])
    return f"{shown}… ({len(text)} characters)" if len(text) > longest else shown
