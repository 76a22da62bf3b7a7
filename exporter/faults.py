"""The fault switches: which share of a route's requests fails, and which share is slow.

They lie in one JSON file that all workers read, so a switch works at once and everywhere. As a program:

    python -m exporter.faults break|mend|show [--url http://127.0.0.1:8000]
"""

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_LONGEST_SECONDS = 30.0
_TIMEOUT_SECONDS = 10.0
_BREAK = {"errors": {"/checkout": 0.6}}

_BROKEN = """\
Broken: about 60 % of the requests to POST /checkout now end with status 500.
What to expect within a minute, while there are requests (python -m exporter.load makes some):
  - the alert fires: http://127.0.0.1:9090/alerts
  - its messages arrive: http://127.0.0.1:8025
  - each failed request leaves an ERROR line with its trace_id in the shop's log
End it with: make mend
"""
_MENDED = """\
Mended: no request fails or is slow on purpose any more.
The alert resolves when its window has passed, and the resolved messages follow: http://127.0.0.1:8025
"""


class WrongFaultsError(ValueError):
    """The switches asked for do not exist or are out of range; the message says which, and what is possible."""


class UpstreamUnavailableError(RuntimeError):
    """A service that the shop depends on did not answer."""


class PaymentDeclinedUpstreamError(RuntimeError):
    """The payment provider refused the charge for a reason of its own."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A share of the requests (`rate`, 0 to 1) takes so many `seconds` longer (at most 30)."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Faults:
    """What is switched on, by route: the share of requests that fails, and the share that is slow."""

    errors: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    latency: Mapping[str, Latency] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, data: object, routes: Collection[str]) -> "Faults":
        """Return the switches that `data` (from JSON) describes.

        Raises:
            WrongFaultsError: an unknown key or route, or a number out of range.
        """
        top = _mapping(data, "the body", ("errors", "latency"))
        errors = _mapping(top.get("errors", {}), "errors", routes)
        latency = _mapping(top.get("latency", {}), "latency", routes)
        return cls(
            {route: _number(rate, f"errors.{route}", 1.0) for route, rate in errors.items()},
            {route: _latency(value, f"latency.{route}") for route, value in latency.items()},
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {
            "errors": dict(self.errors),
            "latency": {route: asdict(latency) for route, latency in self.latency.items()},
        }

    def strike(self, route: str) -> None:
        """Delay or fail a request to `route` as often as the switches say.

        Raises:
            UpstreamUnavailableError: this request fails.
            PaymentDeclinedUpstreamError: this request fails and its route takes money.
        """
        latency = self.latency.get(route)
        if latency is not None and _happens(latency.rate):
            time.sleep(latency.seconds)
        if _happens(self.errors.get(route, 0.0)):
            if route == "/checkout":
                raise PaymentDeclinedUpstreamError("the payment provider answered 502 Bad Gateway to the charge")
            raise UpstreamUnavailableError(f"the service behind {route} did not answer within 2.0 s")


class FaultFile:
    """The switches as they lie in the state folder, shared by all workers.

    Args:
        folder: the state folder.
        routes: the routes that have switches.
    """

    def __init__(self, folder: Path, routes: Collection[str]) -> None:
        self._path = folder / "faults.json"
        self._routes = frozenset(routes)

    def read(self) -> Faults:
        """Return what is switched on; a file that is not ours counts as nothing."""
        try:
            return self.parse(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return Faults()
        except (OSError, ValueError) as error:
            logging.getLogger(__name__).warning("Fault switches are unreadable", extra={"error": str(error)})
            return Faults()

    def parse(self, data: object) -> Faults:
        """Return the switches that `data` describes; raises WrongFaultsError as `Faults.parse` does."""
        return Faults.parse(data, self._routes)

    def write(self, faults: Faults) -> None:
        """Replace what is switched on; a reader sees the old file or the new one. Raises OSError."""
        descriptor, name = tempfile.mkstemp(prefix=".faults-", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(faults.as_json(), file)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def clear(self) -> None:
        """Switch everything off. Raises OSError."""
        self._path.unlink(missing_ok=True)


def _happens(rate: float) -> bool:
    return random.random() < rate  # noqa: S311 - a share of requests, no secret


def _mapping(data: object, where: str, keys: Collection[str]) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise WrongFaultsError(f"{where} is {json.dumps(data)}, expected an object with keys from {sorted(keys)}")
    unknown = sorted(set(data) - set(keys))
    if unknown:
        raise WrongFaultsError(f"{where} has no switch for {', '.join(unknown)}; there are {', '.join(sorted(keys))}")
    return data


def _number(value: object, where: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise WrongFaultsError(f"{where} is {json.dumps(value)}, expected a number from 0 to {most:g}")
    return float(value)


def _latency(value: object, where: str) -> Latency:
    fields = _mapping(value, where, ("rate", "seconds"))
    return Latency(
        _number(fields.get("rate", 1.0), f"{where}.rate", 1.0),
        _number(fields.get("seconds"), f"{where}.seconds", _LONGEST_SECONDS),
    )


def _ask(url: str, method: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} is no http:// address")
    request = Request(f"{url.rstrip('/')}/faults", data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - checked above
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
        return str(answer.read().decode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 2 wrong address, 3 the shop does not answer as it should."""
    parser = argparse.ArgumentParser(prog="python -m exporter.faults", description="Break and mend the demo shop.")
    parser.add_argument("command", choices=("break", "mend", "show"))
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the shop is (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "break":
            _ask(chosen.url, "POST", _BREAK)
            sys.stdout.write(_BROKEN)
        elif chosen.command == "mend":
            _ask(chosen.url, "DELETE")
            sys.stdout.write(_MENDED)
        else:
            sys.stdout.write(_ask(chosen.url, "GET"))
    except HTTPError as error:
        sys.stderr.write(f"{error.url}: answered {error.code} {error.reason}; is this the demo shop?\n")
        return 3
    except (URLError, OSError) as error:
        sys.stderr.write(f"{chosen.url}: no answer ({error}); start the shop with: make up\n")
        return 3
    except ValueError as error:
        sys.stderr.write(f"--url: {error}; expected something like http://127.0.0.1:8000\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
