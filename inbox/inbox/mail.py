"""Reading a mail: subject, text, HTML, links, whatever a sender has made of charsets and parts.

The parser is the one without policies (``compat32``): the newer one raises on headers that are out in the world.
"""

from collections.abc import Sequence
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message as Part
from email.parser import BytesParser
from email.policy import compat32
from html.parser import HTMLParser

from .message import Draft, Link
from .services import MAIL
from .summary import clean, draft, links_in, status_in

MAX_PART = 512 * 1024
"""Characters of a text or HTML part that are kept."""

_DECODE_ERRORS = (UnicodeError, LookupError, ValueError, MessageError)


def read(content: bytes, sender: str, recipients: Sequence[str]) -> Draft:
    """Return what a mail says; attachments are named, not kept. Any bytes can be read."""
    mail = BytesParser(policy=compat32).parsebytes(content)
    texts: list[str] = []
    pages: list[str] = []
    attachments: list[dict[str, str | int]] = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        kind, raw = part.get_content_type(), _content(part)
        if part.get_content_disposition() != "attachment" and kind in {"text/plain", "text/html"}:
            (pages if kind == "text/html" else texts).append(_decoded(part, raw)[:MAX_PART])
        else:
            attachments.append({"name": _file_name(part), "type": kind, "bytes": len(raw)})
    html = "\n".join(pages)
    page = _Page()
    page.feed(html)
    text = "\n".join(texts) if any(map(str.strip, texts)) else page.text()
    subject = _header(mail, "Subject")
    payload = {
        "envelope": {"from": clean(sender), "to": [clean(recipient) for recipient in recipients]},
        "subject": subject,
        "headers": [[clean(name), _decoded_header(value)] for name, value in mail.items()],
        "text": clean("\n".join(texts)),
        "html": clean(html),
        "attachments": attachments,
    }
    return draft(
        MAIL,
        to=", ".join(recipients),
        title=subject or "(no subject)",
        text=text,
        status=status_in(subject, text=text),
        links=[*page.links, *links_in(text)],
        payload=payload,
    )


def _header(mail: Part, name: str) -> str:
    return " ".join(_decoded_header(mail.get(name, "")).split())


def _decoded_header(value: object) -> str:
    try:
        return clean(str(make_header(decode_header(str(value)))))
    except _DECODE_ERRORS:
        return clean(str(value))


def _content(part: Part) -> bytes:
    try:
        raw = part.get_payload(decode=True)
    except _DECODE_ERRORS:
        raw = None
    return raw if isinstance(raw, bytes) else b""


def _decoded(part: Part, raw: bytes) -> str:
    try:
        return raw.decode(part.get_content_charset() or "utf-8", "replace")
    except _DECODE_ERRORS:
        return raw.decode("utf-8", "replace")


def _file_name(part: Part) -> str:
    try:
        return clean(part.get_filename() or "")
    except _DECODE_ERRORS:
        return ""


class _Page(HTMLParser):
    """Collects the visible text and the links of an HTML mail."""

    _BLOCKS = frozenset(("br", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "table", "tr", "ul"))
    _HIDDEN = frozenset(("head", "script", "style", "title"))

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._texts: list[str] = []
        self._hidden = 0
        self._is_in_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, a link or something that is not shown."""
        self._hidden += tag in self._HIDDEN
        if tag in self._BLOCKS:
            self._texts.append("\n")
        elif tag == "td":
            self._texts.append(" ")
        elif tag == "a":
            self._is_in_link = True
            self.links.append(Link("", dict(attrs).get("href") or ""))

    def handle_endtag(self, tag: str) -> None:
        """End what was begun."""
        if tag in self._HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "a":
            self._is_in_link = False
        elif tag in self._BLOCKS:
            self._texts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if self._hidden:
            return
        self._texts.append(data)
        if self._is_in_link:
            self.links[-1] = Link(self.links[-1].title + data, self.links[-1].url)

    def text(self) -> str:
        """Return the shown text with its runs of white space made small."""
        lines = (" ".join(line.split()) for line in "".join(self._texts).split("\n"))
        return "\n".join(line for line in lines if line)
