"""Compare the configuration that a program runs with the one that was rendered.

A reload can answer 200 and change nothing, so the program is asked afterwards. It answers with all its defaults filled in, so what
was rendered must be found in the answer, not equal it.
"""

import calendar
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

import msgspec
import promql_parser
import yaml

from specwatch.engines.http import ask
from specwatch.names import seconds

_DURATION: Final = re.compile(r"(?=\d)(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?(?:(\d+)ms)?\Z")
_MATCHER: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*\"?(.*?)\"?\s*\Z", re.DOTALL)
_HIDDEN: Final = "<secret>"
_MOST: Final = 5


def differences(name: str, url: str, folder: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """Return what differs between the component at `url` (ending in "/") and its rendered files; nothing for one that cannot be asked.

    `folder` is its config folder as it sees it, `files` the rendered ones by their paths ("prometheus/…").
    """
    if name == "prometheus":
        return prometheus(url, folder, files)
    return alertmanager(url, files["alertmanager/alertmanager.yml"]) if name == "alertmanager" else ()


def prometheus(url: str, folder: str, files: Mapping[str, str]) -> tuple[str, ...]:
    """Return what differs between Prometheus at `url` (ending in "/") and its rendered files, nothing when all is in force.

    `folder` is its config folder as it sees it, `files` the rendered ones by their paths ("prometheus/…"). Rules of files that are
    not rendered are the user's own and not looked at.
    """
    answer = ask(f"{url}api/v1/status/config")
    if not answer.ok:
        return (f"Prometheus does not tell its configuration: {answer.text.strip() or answer.status}",)
    running = _parsed(msgspec.json.decode(answer.text)["data"]["yaml"])
    wanted = _parsed(files["prometheus/prometheus.yml"])
    answer = ask(f"{url}api/v1/rules")
    if not answer.ok:
        return (f"Prometheus does not tell its rules: {answer.text.strip() or answer.status}",)
    groups = msgspec.json.decode(answer.text)["data"]["groups"]
    rules = {
        f"{folder}/{path.removeprefix('prometheus/')}": text
        for path, text in files.items()
        if path.startswith("prometheus/rules") and path.endswith((".yml", ".yaml"))  # Loki's ruler has rules, too
    }
    return tuple(_missing(wanted, running, "prometheus.yml") + _rules(rules, groups))[:_MOST]


def alertmanager(url: str, text: str) -> tuple[str, ...]:
    """Return what differs between Alertmanager at `url` (ending in "/") and its rendered file, nothing when it is in force."""
    answer = ask(f"{url}api/v2/status")
    if not answer.ok:
        return (f"Alertmanager does not tell its configuration: {answer.text.strip() or answer.status}",)
    running = _parsed(msgspec.json.decode(answer.text)["config"]["original"])
    return tuple(_missing(_parsed(text), running, "alertmanager.yml"))[:_MOST]


def _parsed(text: str) -> Any:
    return yaml.load(text, yaml.CSafeLoader)


def _missing(wanted: object, running: object, place: str) -> list[str]:
    """Return where `running` does not have what `wanted` says."""
    if isinstance(wanted, Mapping) and isinstance(running, Mapping):
        known = {_canonical(key): value for key, value in running.items()}
        return [
            line
            for key, value in wanted.items()
            # A value that is empty is often left out of the answer.
            if _canonical(key) in known or value not in (None, False, 0, "", [], {})
            for line in _missing(value, known.get(_canonical(key)), f"{place}: {key}")
        ]
    if isinstance(wanted, list) and isinstance(running, list):
        if place.endswith("matchers"):  # all must match, and they come back sorted
            wanted, running = sorted(wanted, key=_matcher_key), sorted(running, key=_matcher_key)
        return [line for n, (a, b) in enumerate(zip_longest(wanted, running)) for line in _missing(a, b, f"{place}[{n}]")]
    if _same(wanted, running):
        return []
    return [f"{place}: rendered {_short(wanted)}, running {_short(running)}"]


def _same(wanted: object, running: object) -> bool:
    if running in (wanted, _HIDDEN):
        return True
    a, b = str(wanted), str(running)
    # A relative path comes back joined to the folder of the configuration, a duration in its shortest notation.
    return (
        b.endswith(f"/{a}")
        or (_DURATION.match(a) is not None and _DURATION.match(b) is not None and _milliseconds(a) == _milliseconds(b))
        or (_MATCHER.match(a) is not None and _matcher(a) == _matcher(b))
        or _months(a) == b
    )


def _canonical(key: object) -> object:
    return key.lower() if isinstance(key, str) else key  # headers come back with capitals


def _milliseconds(text: str) -> int:
    tail = _DURATION.match(text)
    small = tail[1] if tail else None
    return seconds(text.removesuffix(f"{small}ms")) * 1000 + int(small) if small else seconds(text) * 1000


def _matcher(text: str) -> tuple[str, ...] | None:
    seen = _MATCHER.match(text)
    return seen.groups() if seen else None


def _matcher_key(text: object) -> tuple[str, ...]:
    return _matcher(str(text)) or (str(text),)


def _months(text: str) -> str:
    """Return a range of months in numbers, as Alertmanager tells it: "january:march" is "1:3"."""
    names = [calendar.month_name[number].lower() for number in range(1, 13)]
    return ":".join(str(names.index(part) + 1) if part in names else part for part in text.lower().split(":"))


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004  # what fits a line beside the rest


def _rules(files: Mapping[str, str], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    running = {(group["file"], group["name"]): group["rules"] for group in groups}
    found: list[str] = []
    wanted_groups = set()
    for file, text in files.items():
        for group in (_parsed(text) or {}).get("groups") or ():
            wanted_groups.add((file, group["name"]))
            rules = running.get((file, group["name"]), ())
            for wanted, there in zip_longest(group.get("rules") or (), rules):
                found += _rule(wanted, there, f"{file}: {group['name']}")
    found += [
        f"{file}: {name}: still running, no longer rendered"
        for file, name in running
        if file in files and (file, name) not in wanted_groups
    ]
    return found


def _rule(wanted: Mapping[str, Any] | None, running: Mapping[str, Any] | None, place: str) -> list[str]:
    if wanted is None:
        return [f"{place}: {running['name'] if running else ''}: still running, no longer rendered"]
    name = wanted.get("alert") or wanted["record"]
    if running is None or running["name"] != name:
        return [f"{place}: {name}: not running"]
    pairs = {
        "expression": (_expression(wanted["expr"]), _expression(running["query"])),
        "for": (_milliseconds(str(wanted.get("for", "0s"))), int(Decimal(str(running.get("duration", 0))) * 1000)),
        "labels": (wanted.get("labels") or {}, running.get("labels") or {}),
        "annotations": (wanted.get("annotations") or {}, running.get("annotations") or {}),
    }
    return [f"{place}: {name}: {what}: rendered {_short(a)}, running {_short(b)}" for what, (a, b) in pairs.items() if a != b]


def _expression(text: object) -> str:
    """Return the expression in one notation, so that two ways to write the same are equal."""
    try:
        return str(promql_parser.parse(str(text)).prettify())
    except ValueError:
        return str(text)
