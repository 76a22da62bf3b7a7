from typing import Any

import pytest

KEY = "0123456789abcdef0123456789ABCDEF"


def event(**changes: Any) -> dict[str, Any]:
    return {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": "shop-errors",
        "payload": {"summary": "[FIRING:1] HighErrorRate", "source": "prometheus", "severity": "critical"},
        "links": [{"href": "https://runbooks.example.com/x", "text": "Runbook"}],
        "client": "Alertmanager",
        "client_url": "http://127.0.0.1:9093",
        **changes,
    }


def alert(**changes: Any) -> dict[str, Any]:
    return {**event()["payload"], **changes}


@pytest.mark.parametrize(("action", "status"), [("trigger", "firing"), ("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_an_event_is_accepted_and_summarised(inbox: Any, action: str, status: str) -> None:
    """Ensure each action is answered as PagerDuty does and shows its status and links."""
    answer = inbox.post("/v2/enqueue", event(event_action=action))
    message = inbox.newest(kind="pagerduty")
    assert answer.status == 202
    assert answer.json == {"status": "success", "message": "Event processed", "dedup_key": "shop-errors"}
    assert (message["title"], message["status"]) == ("[FIRING:1] HighErrorRate", status)
    assert [link["title"] for link in message["links"]] == ["Alertmanager", "Runbook"]


def test_a_missing_dedup_key_is_made_up(inbox: Any) -> None:
    """Ensure a trigger without a key gets a new one each time."""
    keys = {inbox.post("/v2/enqueue", event(dedup_key=None)).json["dedup_key"] for _ in range(2)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"routing_key": None}, "'routing_key' is missing or blank"),
        ({"routing_key": "abc"}, "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ({"routing_key": "-" * 32}, "'routing_key' cannot contain non-alphanumeric characters."),
        ({"routing_key": "é" * 32}, "'routing_key' cannot contain non-alphanumeric characters."),
        ({"event_action": None}, "'event_action' is missing or blank"),
        ({"event_action": "fire"}, "'event_action' is invalid (must be one of trigger, acknowledge, resolve)"),
        ({"dedup_key": "x" * 256}, "'dedup_key' is too long (maximum is 255 characters)"),
        (
            {"event_action": "resolve", "dedup_key": ""},
            "'dedup_key' is missing or blank (required when 'event_action' is 'resolve')",
        ),
        ({"payload": None}, "'payload' is missing or blank"),
        ({"payload": alert(summary="")}, "'payload.summary' is missing or blank"),
        ({"payload": alert(summary="x" * 1025)}, "'payload.summary' is too long (maximum is 1024 characters)"),
        ({"payload": alert(source=None)}, "'payload.source' is missing or blank"),
        ({"payload": alert(severity=None)}, "'payload.severity' is missing or blank"),
        (
            {"payload": alert(severity="Critical")},
            "'payload.severity' is invalid (must be one of critical, warning, error, info)",
        ),
    ],
)
def test_what_pagerduty_refuses_is_refused(inbox: Any, changes: dict[str, Any], error: str) -> None:
    """Ensure a wrong field is named in the errors of the answer."""
    answer = inbox.post("/v2/enqueue", event(**changes))
    assert answer.status == 400
    assert answer.json == {"status": "invalid event", "message": "Event object is invalid", "errors": [error]}


def test_every_error_is_told_at_once(inbox: Any) -> None:
    """Ensure an empty event names everything that is missing."""
    assert len(inbox.post("/v2/enqueue", {}).json["errors"]) == 2
    assert len(inbox.post("/v2/enqueue", {"event_action": "trigger", "payload": {}}).json["errors"]) == 4


def test_an_event_over_512_kilobytes_is_refused(inbox: Any) -> None:
    """Ensure PagerDuty's own limit holds below the general one."""
    assert inbox.post("/v2/enqueue", event(images="x" * 530_000)).status == 413
