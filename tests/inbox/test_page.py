import html
import re
from html.parser import HTMLParser
from typing import Any

import pytest


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every tag of a name."""
        return [attributes for name, attributes in self.found if name == tag]


def test_an_empty_page_says_how_to_fill_it(start_inbox: Any) -> None:
    """Ensure the first visit shows every sender's address with this server's own port, or the one it was told."""
    inbox = start_inbox()
    page = inbox.get("/").text
    assert f"http://127.0.0.1:{inbox.http}/slack/" in page
    assert f"127.0.0.1:{inbox.smtp}" in page
    told = start_inbox("--api-url", "http://inbox.example.com/").get("/").text
    assert "http://inbox.example.com/v2/enqueue" in told


def test_messages_are_shown_newest_first(inbox: Any) -> None:
    """Ensure the page lists titles from new to old, with status and links."""
    for word in ("older", "newer"):
        inbox.post("/slack/ops", {"attachments": [{"title": f"[FIRING:1] {word}", "title_link": "http://h.example.com"}]})
    page = inbox.get("/?kind=slack&contains=er").text
    assert 0 < page.index("[FIRING:1] newer") < page.index("[FIRING:1] older")
    assert any(link["href"] == "http://h.example.com" for link in Tags(page).all("a"))


@pytest.mark.parametrize("path", ["/slack/ops", "/webhook/x"])
def test_no_message_can_inject_into_the_page(inbox: Any, path: str) -> None:
    """Ensure markup in any field is shown as text, on the list and on the message's own page."""
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    attachment = {"title": evil, "title_link": "javascript:alert(1)", "text": evil, "footer": evil}
    inbox.post(path, {"channel": evil[:1], "title": evil, "text": evil, evil: evil, "attachments": [attachment]})
    inbox.post(f"/slack/{evil}".replace("<", "%3C").replace(">", "%3E").replace(" ", "%20"), {})
    for page in ("/", f"/messages/{inbox.newest()['id']}", "/?contains=%22%3E%3Cscript%3E&kind=%22%3E%3Cscript%3E"):
        tags = Tags(inbox.get(page).text)
        assert not tags.all("script")
        assert not tags.all("img")
        assert not any(str(link.get("href")).startswith("javascript") for link in tags.all("a"))


def test_html_mail_is_shown_in_a_sandbox(inbox: Any) -> None:
    """Ensure a mail's HTML only stands in a frame without scripts, under a policy that loads nothing."""
    inbox.send(b"Subject: s\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script><b style='color:red'>bold</b>")
    answer = inbox.get(f"/messages/{inbox.newest(kind='mail')['id']}")
    tags = Tags(answer.text)
    (frame,) = tags.all("iframe")
    policy = answer.headers["Content-Security-Policy"]
    assert not tags.all("script")
    assert "allow-scripts" not in str(frame["sandbox"])
    assert "allow-same-origin" not in str(frame["sandbox"])
    assert "<b style='color:red'>bold</b>" in str(frame["srcdoc"])
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_the_page_needs_nothing_from_elsewhere(inbox: Any) -> None:
    """Ensure the page has no script and no asset of another server, and its style sheet is there."""
    answer = inbox.get("/")
    assets = re.findall(r'(?:src|href)="([^"]*\.(?:css|js|png|svg))"', answer.text)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert assets == ["/static/style.css"]
    assert inbox.get(assets[0]).headers["Content-Type"].startswith("text/css")


def test_older_messages_are_reached_by_pages(start_inbox: Any) -> None:
    """Ensure following the link to older messages shows each message once."""
    inbox = start_inbox()
    for number in range(120):
        inbox.post("/webhook/x", {"title": f"number {number:03}"})
    shown: list[str] = []
    url: str | None = "/?contains=number"
    while url:
        page = inbox.get(url).text
        shown += re.findall(r"<h2><a [^>]*>(number \d+)</a>", page)
        older = re.search(r'href="([^"]*)">Older', page)
        url = html.unescape(older[1]) if older else None
    assert shown == [f"number {number:03}" for number in reversed(range(120))]


def test_refusals_are_shown_with_their_reason(start_inbox: Any) -> None:
    """Ensure who sends something wrong finds out why on the page."""
    inbox = start_inbox()
    inbox.post("/v2/enqueue", {"routing_key": "short"})
    page = html.unescape(inbox.get("/").text)
    assert "Length of 'routing_key' is incorrect" in page


def test_refreshing_can_be_switched_on(inbox: Any) -> None:
    """Ensure the page refreshes itself only when asked to, and keeps the filter."""
    assert 'http-equiv="refresh"' not in inbox.get("/").text
    page = inbox.get("/?kind=slack&refresh=1").text
    assert 'http-equiv="refresh"' in page
    assert 'href="/?kind=slack"' in page
