"""What stands inside LogQL's quotes and is a notation of its own: regular expressions, patterns, paths into JSON, addresses.

Loki reads most of it only when the query runs; a rule with a mistake in it would be loaded and then fail at each evaluation. Of Go's
templates only an action that is not closed is found.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from specwatch.logql.tree import LogqlError

if TYPE_CHECKING:
    from specwatch.logql.regexp import Expression

_CAPTURE: Final = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")
_TWO_CAPTURES: Final = re.compile(r"<[A-Za-z_][A-Za-z0-9_]*><[A-Za-z_][A-Za-z0-9_]*>")
_JSON_KEY: Final = r'\[\s*(?:"[^"\]]*"|[0-9]+)\s*\]'
_JSON_PATH: Final = re.compile(rf"\s*(?:[A-Za-z_][A-Za-z0-9_]*|{_JSON_KEY})\s*(?:(?:\.\s*[A-Za-z_][A-Za-z0-9_]*|{_JSON_KEY})\s*)*")
_LOGFMT_KEY: Final = re.compile(r'[ \t\n]*(?:[A-Za-z_][A-Za-z0-9_]*|"[^"\]]*")[ \t\n]*')


def expression(text: str, at: int) -> "Expression":
    """Return what is known of a regular expression that stands at `at`; raises LogqlError when it is none."""
    # Most queries have none, and what reads them takes longer to import than such a query takes to read.
    from specwatch.logql import regexp  # noqa: PLC0415  # see above

    try:
        return regexp.examine(text)
    except regexp.RegexpError as error:
        raise LogqlError(f"character {at + 1}: {text} is no regular expression of Loki's: {error}") from None


def named_groups(text: str, at: int) -> tuple[str, ...]:
    """Return the labels that `| regexp` makes; raises LogqlError when there is none."""
    found = expression(text, at).groups
    if not found:
        raise LogqlError(f"character {at + 1}: regexp {text} captures nothing; name what it finds, as (?P<name>…)")
    _check_once(found, f"character {at + 1}: regexp {text} has")
    return found


def captures(text: str, at: int) -> tuple[str, ...]:
    """Return the labels that `| pattern` makes; raises LogqlError when there is none, one twice, or two without text between them."""
    found = tuple(name for name in _CAPTURE.findall(text) if name != "_")
    if not found:
        raise LogqlError(f"character {at + 1}: pattern {text} captures nothing; name what it finds, as <name>")
    _check_distance(text, at)
    _check_once(found, f"character {at + 1}: pattern {text} has")
    return found


def check_line_pattern(text: str, at: int) -> None:
    """Raise LogqlError for a pattern of the line filters |> and !> that Loki refuses."""
    _check_distance(text, at)
    named = [name for name in _CAPTURE.findall(text) if name != "_"]
    if named:
        raise LogqlError(f"character {at + 1}: <{named[0]}> names what is found, which a filter cannot keep; write <_>")


def check_address(text: str, at: int) -> None:
    """Raise LogqlError when `text` is no address, range or network of IP."""
    first, dash, last = text.partition("-")
    try:
        if dash:
            low, high = ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())
            if low.version == high.version and int(low) <= int(high):
                return
        else:
            ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text)
            return
    except ValueError:
        pass
    raise LogqlError(f"character {at + 1}: {text} is no address; expected one such as 10.0.0.1, 10.0.0.0/8 or 10.0.0.1-10.0.0.9")


def check_path(parser: str, text: str, at: int) -> None:
    """Raise LogqlError when `text` is no expression of the parser "json" or "logfmt"."""
    if parser == "json" and not _JSON_PATH.fullmatch(text):
        raise LogqlError(f'character {at + 1}: {text} is no path into JSON, such as request.headers["User-Agent"] or items[0].id')
    if parser == "logfmt" and not _LOGFMT_KEY.fullmatch(text):
        raise LogqlError(f"character {at + 1}: {text} is no key of logfmt")


def check_template(text: str, at: int) -> None:
    """Raise LogqlError when an action of a Go template is opened and not closed."""
    if "{{" in text and "}}" not in text[text.rindex("{{") :]:
        raise LogqlError(f"character {at + 1}: {text} has {{{{ without }}}}")


def check_once(names: Iterable[str], at: int) -> None:
    """Raise LogqlError when `| label_format` makes a label twice."""
    _check_once(names, f"character {at + 1}: label_format makes")


def _check_once(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise LogqlError(f"{what} {name} twice")
        seen.add(name)


def _check_distance(text: str, at: int) -> None:
    if found := _TWO_CAPTURES.search(text):
        raise LogqlError(f"character {at + 1}: {found[0]} leaves open where the one ends and the other begins; put text between them")
