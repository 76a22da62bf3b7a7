from typing import Any

import pytest

ALERTS = {
    "version": "4",
    "status": "firing",
    "receiver": "audit",
    "groupLabels": {"alertname": "DiskFillsUp"},
    "commonLabels": {"alertname": "DiskFillsUp", "severity": "warning"},
    "commonAnnotations": {"summary": "The disk is full in 4 h"},
    "externalURL": "http://127.0.0.1:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFillsUp", "instance": "node:9100"},
            "annotations": {"summary": "The disk is full in 4 h", "runbook_url": "https://runbooks.example.com/disk"},
            "generatorURL": "http://127.0.0.1:9090/graph",
        },
        {"status": "resolved", "labels": {"alertname": "DiskFillsUp", "instance": "other:9100"}},
    ],
}


def test_alertmanagers_payload_is_summarised(inbox: Any) -> None:
    """Ensure the title counts the alerts and the links lead to runbook, source and Alertmanager."""
    assert inbox.post("/webhook/any", ALERTS).status == 200
    message = inbox.newest(kind="webhook")
    assert message["to"] == "audit"
    assert message["title"] == "[FIRING:1] DiskFillsUp: The disk is full in 4 h"
    assert message["status"] == "firing"
    assert [link["title"] for link in message["links"]] == ["Runbook", "Source", "Alertmanager"]
    assert "instance=other:9100" in message["text"]
    assert message["payload"] == ALERTS


def test_any_object_is_kept_as_it_is(inbox: Any) -> None:
    """Ensure unknown objects are stored whole, with their key order and numbers."""
    payload = {"zeta": 1, "alpha": [1.5, None, True], "title": "Backup done", "url": "https://ci.example.com/1"}
    answer = inbox.post("/webhook/ci", payload)
    message = inbox.newest(kind="webhook")
    assert answer.json == {"status": "ok", "id": message["id"]}
    assert list(message["payload"].items()) == list(payload.items())
    assert (message["title"], message["to"], message["status"]) == ("Backup done", "ci", "unknown")


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b"\x00", b'{"a":1}x'])
def test_what_is_no_json_object_is_refused(inbox: Any, body: bytes) -> None:
    """Ensure anything else gets 400 with a reason."""
    answer = inbox.post("/webhook/x", body)
    assert answer.status == 400
    assert "JSON" in answer.json["message"]


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("https://x.example.com/a?b=c#d", True),
        ("javascript:alert(1)", False),
        ("http://", False),
        ("http://[::1", False),
        ("http://a b.example.com", False),
        ("data:text/html,x", False),
        ("http://x.example.com/\nSet", False),
    ],
)
def test_only_web_addresses_become_links(inbox: Any, url: str, is_kept: bool) -> None:
    """Ensure a link can only lead to http and https."""
    alert = {"status": "firing", "annotations": {"runbook_url": url}}
    inbox.post("/webhook/x", {"status": "firing", "alerts": [alert]})
    assert [link["url"] for link in inbox.newest(kind="webhook")["links"]] == ([url] if is_kept else [])


def test_text_that_is_no_unicode_is_made_harmless(inbox: Any) -> None:
    """Ensure lone surrogates, NUL and direction marks neither fail nor reach the page."""
    body = b'{"title": "a\\ud800b\\u0000c\\u202ed", "message": "x"}'
    assert inbox.post("/webhook/x", body).status == 200
    assert inbox.newest(kind="webhook")["title"] == "a?b�c�d"
