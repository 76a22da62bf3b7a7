import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = (
    "/slack/ops",
    "/v2/enqueue",
    "/webhook/x",
    "/teams/x",
    "/discord/x",
    "/telegram/bot1:a/sendMessage",
    "/opsgenie/v2/alerts",
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
known_names = st.sampled_from(
    [
        "text",
        "attachments",
        "blocks",
        "channel",
        "payload",
        "routing_key",
        "event_action",
        "alerts",
        "status",
        "labels",
        "annotations",
        "embeds",
        "content",
        "fields",
        "color",
        "title",
        "type",
        "body",
        "@type",
        "sections",
        "chat_id",
        "parse_mode",
        "message",
        "details",
        "links",
        "actions",
        "url",
        "href",
    ]
)
likely_json = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["message", "trigger", "HTML", "<b>", "http://["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_names, inner, max_size=6),
    max_leaves=20,
)
from_hypothesis = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fill(inbox: Any, count: int, word: str) -> list[int]:
    return [inbox.post("/webhook/x", {"title": f"{word} {number}"}).json["id"] for number in range(count)]


@from_hypothesis
@given(st.sampled_from(PATHS), st.one_of(any_json, likely_json, st.dictionaries(known_names, likely_json)))
def test_no_json_makes_a_service_fail(inbox: Any, path: str, payload: Any) -> None:
    """Ensure any JSON is accepted or refused, and what was accepted can be shown."""
    answer = inbox.post(path, payload, Authorization="GenieKey k")
    assert 200 <= answer.status < 500
    if answer.status < 300:
        assert inbox.get(f"/messages/{inbox.newest()['id']}").status == 200


@from_hypothesis
@given(st.sampled_from(PATHS), st.binary(), st.sampled_from(["application/json", "text/plain", "multipart/form-data",
       "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x; charset=nonsense"]))  # fmt: skip
def test_no_bytes_make_a_service_fail(inbox: Any, path: str, body: bytes, content_type: str) -> None:
    """Ensure any bytes under any content type are accepted or refused."""
    headers = {"Content-Type": content_type, "Authorization": "GenieKey k"}
    assert 200 <= inbox.request("POST", path, body, headers).status < 500


def test_messages_have_every_field(inbox: Any) -> None:
    """Ensure the shape that programs rely on."""
    number = fill(inbox, 1, "shape")[0]
    message = inbox.get(f"/api/messages/{number}").json
    assert list(message) == ["id", "received_at", "kind", "to", "title", "text", "status", "links", "payload"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", message["received_at"])
    assert (datetime.now(UTC) - datetime.fromisoformat(message["received_at"])).total_seconds() >= 0
    assert inbox.get("/api/messages/0").status == 404
    assert inbox.get(f"/api/messages/{10**30}").status == 404


def test_since_id_pages_through_everything_once(inbox: Any) -> None:
    """Ensure following last_id gives each message once, oldest first, and then nothing."""
    numbers = fill(inbox, 5, "page")
    seen: list[int] = []
    last = numbers[0] - 1
    for _ in range(4):
        found = inbox.get(f"/api/messages?since_id={last}&limit=2").json
        seen += [message["id"] for message in found["messages"]]
        last = found["last_id"]
    assert seen == numbers
    assert inbox.get(f"/api/messages?since_id={last}").json == {"messages": [], "last_id": last}


def test_filters_narrow_together(inbox: Any) -> None:
    """Ensure kind, status and contains all have to hold, and contains looks into the payload, case aside."""
    inbox.post("/slack/ops", {"text": "[RESOLVED] Zebra-1", "username": "Ünique"})
    inbox.post("/webhook/x", {"title": "[FIRING] zebra-1"})
    assert [message["kind"] for message in inbox.messages(contains="ZEBRA-1")] == ["slack", "webhook"]
    assert [message["kind"] for message in inbox.messages(contains="zebra-1", status="firing")] == ["webhook"]
    assert [message["kind"] for message in inbox.messages(contains="Ünique", kind="slack")] == ["slack"]
    assert inbox.messages(contains="zebra-1", kind="mail") == []
    assert inbox.messages(contains="%' OR 1=1 --") == []


@pytest.mark.parametrize("query", ["since_id=x", "since_id=-1", "limit=1001", "limit=1e3", f"since_id={10**40}", "limit=%C2%B2"])
def test_wrong_numbers_are_refused(inbox: Any, query: str) -> None:
    """Ensure a wrong number is told with what was found and expected."""
    answer = inbox.request("GET", f"/api/messages?{query}")
    assert answer.status == 400
    assert "expected a whole number" in answer.json["error"]


def test_only_programs_and_the_page_itself_may_clear(start_inbox: Any) -> None:
    """Ensure another site's page cannot remove messages, and numbers go on afterwards."""
    inbox = start_inbox()
    first = fill(inbox, 3, "gone")[-1]
    assert inbox.request("DELETE", "/api/messages").status == 403
    assert inbox.request("POST", "/clear", b"", {"Sec-Fetch-Site": "cross-site"}).status == 403
    assert inbox.request("DELETE", "/api/messages", None, {"X-Requested-By": "test"}).json == {"removed": 3}
    assert inbox.get("/api/messages").json == {"messages": [], "last_id": first}
    assert fill(inbox, 1, "next") == [first + 1]
    assert inbox.request("POST", "/clear", b"", {"Sec-Fetch-Site": "same-origin"}).status == 303
    assert inbox.messages() == []


def test_metrics_count_what_came_and_what_was_refused(start_inbox: Any) -> None:
    """Ensure the counters have every kind from the start and grow with the messages."""
    inbox = start_inbox()
    fresh = inbox.get("/metrics")
    inbox.post("/slack/ops", {"text": "[FIRING:1] x"})
    inbox.post("/slack/ops", {})
    text = inbox.get("/metrics").text
    assert fresh.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'inbox_messages_total{kind="mail",status="firing"} 0\n' in fresh.text
    assert 'inbox_messages_total{kind="slack",status="firing"} 1\n' in text
    assert 'inbox_rejected_total{kind="slack"} 1\n' in text
    assert 'inbox_stored_messages{kind="slack"} 1\n' in text


def test_many_senders_at_once_lose_nothing(inbox: Any) -> None:
    """Ensure concurrent messages by HTTP and mail all arrive, each with its own number."""
    before = inbox.get("/api/messages").json["last_id"]

    def send(number: int) -> None:
        if number % 4:
            assert inbox.post("/slack/ops", {"text": f"crowd {number}"}).status == 200
        else:
            inbox.send(f"Subject: crowd {number}\r\n\r\n".encode())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(120)))
    titles = {message["title"] for message in inbox.messages(since_id=before, limit=1000)}
    assert titles == {f"crowd {number}" for number in range(120)}


def test_unknown_paths_and_methods_are_told_as_json(inbox: Any) -> None:
    """Ensure errors outside the services are small JSON objects."""
    assert inbox.get("/nothing").status == 404
    assert json.loads(inbox.get("/slack/ops").body)["error"]
    assert inbox.get("/slack/ops").status == 405
    assert inbox.get("/health").json == {"status": "healthy"}
