"""What a person reads of a message: clean text, links that are safe to click, firing or resolved."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, urlsplit

from .message import Draft, Link, Status

MAX_TITLE = 300
MAX_TEXT = 20_000
MAX_LINKS = 20
MAX_URL = 2_000

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_UNFIT_FOR_URL = re.compile(rf"\s|{_CONTROL.pattern}|[\ud800-\udfff]")
_ANY_LINK = re.compile(
    r"<(?P<slack_url>https?://[^\s<>|]+)(?:\|(?P<slack_title>[^<>]*))?>"
    r"|\[(?P<markdown_title>[^\]\[]*)\]\((?P<markdown_url>https?://[^\s()]+)\)"
    r"|(?P<bare_url>https?://[^\s<>\"'`|)\]]+)",
)
_RESOLVED = re.compile(r"\b(resolved|recovered|closed)\b", re.IGNORECASE)
_FIRING = re.compile(r"\b(firing|triggered|alerting)\b", re.IGNORECASE)


def draft(kind: str, *, to: str, title: str, text: str, status: Status, links: Iterable[Link], payload: Mapping[str, object]) -> Draft:
    """Return a draft whose title, text and links are fit to be stored and shown."""
    text = clean(text)[:MAX_TEXT].strip()
    title = " ".join(clean(title).split()) or first_line(text) or "(no title)"
    return Draft(
        kind=kind,
        to=" ".join(clean(to).split())[:MAX_TITLE],
        title=title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…",
        text=text,
        status=status,
        links=safe_links(links),
        payload=payload,
    )


def clean(text: str) -> str:
    """Return text without control and direction-changing characters, with Unix line ends, valid as UTF-8."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("�", text).encode("utf-8", "replace").decode("utf-8")


def first_line(text: str) -> str:
    """Return the first line that is not blank, or nothing."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def paragraphs(*texts: str) -> str:
    """Return the texts that are not blank, one below the other."""
    return "\n".join(text.strip() for text in texts if text.strip())


def safe_links(links: Iterable[Link]) -> tuple[Link, ...]:
    """Return the http and https links, each address once, at most 20; a title that is missing becomes host and path."""
    kept: dict[str, Link] = {}
    for link in links:
        url = link.url.strip()
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            continue
        if parts.scheme not in {"http", "https"} or not host or len(url) > MAX_URL or _UNFIT_FOR_URL.search(url):
            continue
        title = " ".join(clean(link.title).split())[:80] or _place(parts)
        kept.setdefault(url, Link(title, url))
        if len(kept) == MAX_LINKS:
            break
    return tuple(kept.values())


def _place(parts: SplitResult) -> str:
    return clean(parts.netloc.rpartition("@")[2] + parts.path).rstrip("/")[:60]


def links_in(*texts: str) -> list[Link]:
    """Return the links in texts: Slack's ``<url|title>``, Markdown's ``[title](url)`` and bare addresses."""
    found = []
    for match in _ANY_LINK.finditer("\n".join(texts)):
        bare = (match["bare_url"] or "").rstrip(".,;:!?*_")
        title = match["slack_title"] or match["markdown_title"] or ""
        # Slack wants & < > escaped, in addresses as well.
        slack = (match["slack_url"] or "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        found.append(Link(title, slack or match["markdown_url"] or bare))
    return found


def without_slack_markup(text: str) -> str:
    """Return Slack text with links as their titles, dates as their fallback, bold and code unmarked, the escaped characters restored."""
    text = re.sub(r"<(https?://[^\s<>|]+)(?:\|([^<>]*))?>", lambda match: match[2] or match[1], text)
    text = re.sub(r"<!date\^[^<>|]*\|([^<>]*)>", r"\1", text)
    text = re.sub(r"<!(here|channel|everyone)(?:\|[^<>]*)?>", r"@\1", text)
    text = re.sub(r"(?<![\w*`])([*`])(?! )([^*`\n]+)(?<! )\1(?![\w*`])", r"\2", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def status_in(title: str, colour: Status = "unknown", text: str = "") -> Status:
    """Guess whether a message tells of a fault or of its end: by its title, else its colour, else its text."""
    return first_status((_status_of_words(title), colour, _status_of_words(text)))


def first_status(guesses: Iterable[Status]) -> Status:
    """Return the first guess that is one, else unknown."""
    return next((guess for guess in guesses if guess != "unknown"), "unknown")


def _status_of_words(text: str) -> Status:
    resolved, firing = bool(_RESOLVED.search(text)), bool(_FIRING.search(text))
    if resolved == firing:
        return "unknown"
    return "resolved" if resolved else "firing"


def status_of_colour(colour: str | int) -> Status:
    """Return what a colour says: the names of Slack and Teams, or a number or ``#rrggbb`` that is more red or more green."""
    if isinstance(colour, str):
        name = colour.strip().lower()
        if name in {"danger", "warning", "attention"}:
            return "firing"
        if name == "good":
            return "resolved"
        if not re.fullmatch(r"#?[0-9a-f]{6}", name):
            return "unknown"
        colour = int(name.removeprefix("#"), 16)
    red, green, blue = colour >> 16 & 0xFF, colour >> 8 & 0xFF, colour & 0xFF
    if red > green and red > blue:
        return "firing"
    return "resolved" if green > red and green > blue else "unknown"
