"""Read what the stack's processes say."""

from collections.abc import Iterator
from pathlib import Path

from specwatch.engines.errors import UnknownNameError
from specwatch.engines.native.logfile import follow, tail
from specwatch.engines.native.model import Saved, read, run_folder


def logs(project: Path, name: str, lines: int = 100, *, following: bool = False) -> Iterator[str]:
    """Return an iterator over the last lines of a part's output; `following` goes on with each new one until it is closed.

    "supervisor" is the runtime's own log. Raises UnknownNameError for a name that the stack does not have.
    """
    folder = run_folder(project)
    saved = read(folder.plan, Saved)
    names = ("supervisor", *(command.name for command in saved.commands)) if saved else ()
    if name not in names:
        off = next((f"it is off: {each.reason}" for each in (saved.off if saved else ()) if each.name == name), "")
        known = f"there are: {', '.join(names)}" if names else "start the stack with `specwatch up`"
        raise UnknownNameError(f"logs {name}", off or "there is no part of that name", known)
    return follow(folder.log(name), lines) if following else iter(tail(folder.log(name), lines))
