import json
from typing import Any
from urllib.parse import urlencode

import pytest

WEBHOOK = "/services/T00000000/B00000000/" + "X" * 24


def attachment(**changes: Any) -> dict[str, Any]:
    return {
        "title": "[FIRING:1] HighErrorRate (shop)",
        "title_link": "http://127.0.0.1:9093/#/alerts",
        "text": "*12 %* of requests fail, see <http://127.0.0.1:3001/d/shop|the board> &amp; act",
        "fallback": "HighErrorRate",
        "color": "danger",
        "fields": [{"title": "Service", "value": "shop", "short": True}],
        "actions": [{"type": "button", "text": "Runbook", "url": "https://runbooks.example.com/x"}],
        "mrkdwn_in": ["text"],
        **changes,
    }


@pytest.mark.parametrize("path", [WEBHOOK, "/slack/ops"])
def test_alertmanagers_message_is_accepted_and_summarised(inbox: Any, path: str) -> None:
    """Ensure what Alertmanager posts is answered as Slack does and shows title, text, status and links."""
    answer = inbox.post(path, {"channel": "#ops", "username": "Alertmanager", "attachments": [attachment()]})
    message = inbox.newest(kind="slack")
    assert (answer.status, answer.text) == (200, "ok")
    assert not answer.headers["Content-Type"].startswith("application/json")
    assert message["to"] == "#ops"
    assert message["title"] == "[FIRING:1] HighErrorRate (shop)"
    assert message["text"] == "12 % of requests fail, see the board & act\nService: shop"
    assert message["status"] == "firing"
    assert message["links"] == [
        {"title": "Runbook", "url": "https://runbooks.example.com/x"},
        {"title": "127.0.0.1:9093", "url": "http://127.0.0.1:9093/#/alerts"},
        {"title": "the board", "url": "http://127.0.0.1:3001/d/shop"},
    ]
    assert message["payload"]["attachments"][0]["color"] == "danger"


@pytest.mark.parametrize(
    ("title", "colour", "status"),
    [
        ("[RESOLVED] HighErrorRate", "good", "resolved"),
        ("[RESOLVED] HighErrorRate", "danger", "resolved"),
        ("HighErrorRate", "good", "resolved"),
        ("HighErrorRate", "#2eb886", "resolved"),
        ("HighErrorRate", "#a30200", "firing"),
        ("HighErrorRate", "warning", "firing"),
        ("HighErrorRate", "#439fe0", "unknown"),
        ("[FIRING:2, RESOLVED:1] Both", "good", "resolved"),
    ],
)
def test_status_is_read_from_title_then_colour(inbox: Any, title: str, colour: str, status: str) -> None:
    """Ensure the words of the title decide, and the colour where they are silent or contradict each other."""
    inbox.post("/slack/ops", {"attachments": [attachment(title=title, color=colour)]})
    assert inbox.newest(kind="slack")["status"] == status


def test_form_field_payload_is_accepted(inbox: Any) -> None:
    """Ensure the older form with one field named payload works too."""
    body = urlencode({"payload": json.dumps({"text": "by form"})}).encode()
    answer = inbox.request("POST", "/slack/ops", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert (answer.status, answer.text) == (200, "ok")
    assert inbox.newest(kind="slack")["text"] == "by form"


def test_blocks_are_read(inbox: Any) -> None:
    """Ensure text and buttons of blocks appear in the summary."""
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Deploy"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "by anna"}]},
        {"type": "actions", "elements": [{"type": "button", "text": {"text": "Open"}, "url": "https://ci.example.com"}]},
    ]
    assert inbox.post("/slack/ops", {"blocks": blocks}).status == 200
    message = inbox.newest(kind="slack")
    assert (message["title"], message["text"]) == ("Deploy", "Deploy\nby anna")
    assert message["links"] == [{"title": "Open", "url": "https://ci.example.com"}]


@pytest.mark.parametrize(
    ("payload", "status", "words"),
    [
        (b"", 400, "invalid_payload"),
        (b"not json", 400, "invalid_payload"),
        (b"\xff\xfe", 400, "invalid_payload"),
        (b"[1]", 400, "invalid_payload"),
        (b'{"text": NaN}', 400, "invalid_payload"),
        (b'{"text": 1e999}', 400, "invalid_payload"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "invalid_payload"),
        (b"[" * 100_000, 400, "invalid_payload"),
        ({"text": 5}, 400, "invalid_payload"),
        ({"text": "x", "attachments": {}}, 400, "invalid_payload"),
        ({"text": "x", "attachments": ["y"]}, 400, "invalid_payload"),
        ({"text": "x", "blocks": [{}]}, 400, "invalid_blocks"),
        ({}, 400, "missing_text_or_fallback_or_attachments"),
        ({"channel": "#ops", "attachments": [{}]}, 400, "missing_text_or_fallback_or_attachments"),
        ({"text": "  "}, 400, "no_text"),
        ({"attachments": [{"text": "x"}] * 101}, 400, "too_many_attachments"),
        ({"channel": "two words", "text": "x"}, 404, "channel_not_found"),
    ],
)
def test_what_slack_refuses_is_refused_in_its_words(inbox: Any, payload: Any, status: int, words: str) -> None:
    """Ensure each kind of wrong payload gets Slack's status and word, and is not kept."""
    before = inbox.get("/api/messages?limit=1").json["last_id"]
    answer = inbox.post("/slack/ops", payload)
    assert (answer.status, answer.text) == (status, words)
    assert inbox.messages(since_id=before) == []


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/services/nonsense", 404, "no_service"),
        ("/services/T00000000/B00000000", 404, "no_service"),
        (WEBHOOK + "/more", 404, "no_service"),
        ("/services/X00/B00000000/" + "X" * 24, 404, "no_team"),
        ("/services/T00000000/X00/" + "X" * 24, 404, "no_service"),
        ("/services/T00000000/B00000000/short", 403, "invalid_token"),
        ("/slack/a%20b", 404, "no_service"),
    ],
)
def test_odd_webhook_addresses_are_refused(inbox: Any, path: str, status: int, words: str) -> None:
    """Ensure an address that Slack never gave out is refused."""
    answer = inbox.post(path, {"text": "x"})
    assert (answer.status, answer.text) == (status, words)


def test_a_body_over_one_megabyte_is_refused(inbox: Any) -> None:
    """Ensure large bodies get 413, with and without a form."""
    body = json.dumps({"text": "x" * 1_100_000}).encode()
    assert inbox.post("/slack/ops", body).status == 413
    form = urlencode({"payload": "x" * 1_100_000}).encode()
    answer = inbox.request("POST", "/slack/ops", form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 413
