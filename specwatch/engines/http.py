"""Ask a program on this machine over HTTP."""

from collections.abc import Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from msgspec import Struct

LIMIT_SECONDS = 10.0


class Answer(Struct, frozen=True):
    """What came back: the HTTP status, 0 when nothing answered, and the body or the reason as text."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004  # that is what 2xx means


def ask(url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, limit_seconds: float = LIMIT_SECONDS) -> Answer:
    """Return the answer to a request without a body. Never raises; proxies of the environment are not for our own programs."""
    data = b"" if method == "POST" else None
    request = Request(url, method=method, data=data, headers=dict(headers or {}))  # noqa: S310  # our own http URLs only
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=limit_seconds) as response:
            return Answer(response.status, response.read().decode(errors="replace"))
    except HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(errors="replace"))
    except (OSError, HTTPException) as error:
        return Answer(0, str(getattr(error, "reason", error)))
