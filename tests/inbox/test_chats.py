from typing import Any

import pytest

CARD = "application/vnd.microsoft.card.adaptive"
KEY = {"Authorization": "GenieKey k"}


def adaptive(*body: dict[str, Any], **card: Any) -> dict[str, Any]:
    content = {"type": "AdaptiveCard", "version": "1.2", "body": list(body), **card}
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": content}]}


def test_teams_takes_an_adaptive_card(inbox: Any) -> None:
    """Ensure Alertmanager's Teams message is answered as a workflow does and summarised."""
    title = {"type": "TextBlock", "text": "HighErrorRate", "color": "Good"}
    text = {"type": "TextBlock", "text": "See [the board](http://127.0.0.1:3001/d/x)"}
    actions = [{"type": "Action.OpenUrl", "title": "Runbook", "url": "https://runbooks.example.com"}]
    answer = inbox.post("/teams/ops", adaptive(title, text, actions=actions))
    message = inbox.newest(kind="teams")
    assert (answer.status, answer.text) == (202, "")
    assert (message["title"], message["status"]) == ("HighErrorRate", "resolved")
    assert [link["title"] for link in message["links"]] == ["Runbook", "the board"]


def test_teams_takes_a_message_card(inbox: Any) -> None:
    """Ensure the older card is answered as a connector does."""
    card = {"@type": "MessageCard", "title": "[FIRING:1] Slow", "text": "p99 is 3 s", "themeColor": "8C1A1A"}
    answer = inbox.post("/teams/ops", card)
    assert (answer.status, answer.text) == (200, "1")
    assert inbox.newest(kind="teams")["status"] == "firing"


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b"x", 400),
        ({}, 400),
        ({"@type": "MessageCard"}, 400),
        ({"type": "message", "attachments": []}, 400),
        (adaptive(), 400),
        (adaptive({"type": "TextBlock", "text": "x" * 29_000}), 413),
        ({"type": "message", "attachments": [{"contentType": CARD, "content": {"type": "Other", "body": []}}]}, 400),
    ],
)
def test_what_teams_refuses_is_refused(inbox: Any, payload: Any, status: int) -> None:
    """Ensure cards without type, body or text, and cards over 28 KB, are refused."""
    assert inbox.post("/teams/ops", payload).status == status


def test_discord_takes_an_embed(inbox: Any) -> None:
    """Ensure Alertmanager's Discord message gets 204 and its colour tells the status."""
    embed = {"title": "HighErrorRate", "description": "12 %", "color": 0x992D22, "url": "http://127.0.0.1:9093"}
    answer = inbox.post("/discord/ops", {"content": "", "embeds": [embed], "username": "", "avatar_url": ""})
    message = inbox.newest(kind="discord")
    assert (answer.status, answer.body) == (204, b"")
    assert (message["title"], message["text"], message["status"]) == ("HighErrorRate", "12 %", "firing")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"x", 50109),
        ({}, 50006),
        ({"content": " "}, 50006),
        ({"content": "x" * 2001}, 50035),
        ({"embeds": "x"}, 50035),
        ({"embeds": [{"title": "x"}] * 11}, 50035),
        ({"embeds": [{"title": "x" * 257}]}, 50035),
        ({"embeds": [{"title": "x", "fields": [{"name": "", "value": "y"}]}]}, 50035),
        ({"embeds": [{"description": "x" * 4000}] * 2}, 50035),
        ({"content": "x", "embeds": [{"fields": [{"name": "a", "value": "b"}] * 26}]}, 50035),
    ],
)
def test_what_discord_refuses_is_refused(inbox: Any, payload: Any, code: int) -> None:
    """Ensure empty messages and fields beyond Discord's limits get its error code."""
    answer = inbox.post("/discord/ops", payload)
    assert (answer.status, answer.json["code"]) == (400, code)


@pytest.mark.parametrize("chat", [42, "-100123", "@oncall"])
def test_telegram_takes_a_message(inbox: Any, chat: int | str) -> None:
    """Ensure sendMessage answers with the message object for every form of chat id."""
    text = '<b>[FIRING:1] Slow</b>\nSee <a href="http://127.0.0.1:3001/d/x">the board</a>'
    payload = {"chat_id": chat, "text": text, "parse_mode": "HTML"}
    answer = inbox.post("/telegram/bot1:inbox/sendMessage", payload)
    message = inbox.newest(kind="telegram")
    assert answer.status == 200
    assert answer.json["ok"] is True
    assert answer.json["result"]["message_id"] == message["id"]
    assert isinstance(answer.json["result"]["chat"]["id"], int)
    assert message["text"] == "[FIRING:1] Slow\nSee the board"
    assert message["links"] == [{"title": "the board", "url": "http://127.0.0.1:3001/d/x"}]


@pytest.mark.parametrize(
    ("path", "payload", "status", "words"),
    [
        ("bot1:inbox", {"text": "x"}, 400, "chat_id is empty"),
        ("bot1:inbox", {"chat_id": "x y", "text": "x"}, 400, "chat not found"),
        ("bot1:inbox", {"chat_id": 1}, 400, "message text is empty"),
        ("bot1:inbox", {"chat_id": 1, "text": "x" * 4097}, 400, "message is too long"),
        ("bot1:inbox", {"chat_id": 1, "text": "<p>x</p>", "parse_mode": "HTML"}, 400, 'Unsupported start tag "p"'),
        ("bot1:inbox", {"chat_id": 1, "text": "<b>x", "parse_mode": "HTML"}, 400, "Can't find end tag"),
        ("bot1:inbox", {"chat_id": 1, "text": "x</b>", "parse_mode": "HTML"}, 400, 'Unexpected end tag "b"'),
        ("bot1:inbox", b"{", 400, "can't parse JSON"),
        ("botnonsense", {"chat_id": 1, "text": "x"}, 404, "Not Found"),
    ],
)
def test_what_telegram_refuses_is_refused(inbox: Any, path: str, payload: Any, status: int, words: str) -> None:
    """Ensure each kind of wrong message gets Telegram's description."""
    answer = inbox.post(f"/telegram/{path}/sendMessage", payload)
    assert (answer.status, answer.json["ok"], answer.json["error_code"]) == (status, False, status)
    assert words in answer.json["description"]


def test_opsgenie_takes_alerts_and_their_end(inbox: Any) -> None:
    """Ensure an alert is created, updated, acknowledged and closed as Alertmanager does it."""
    alerts = "/opsgenie/v2/alerts"
    details = {"runbook": "https://runbooks.example.com/x"}
    payload = {"message": "[FIRING:1] Slow", "alias": "9c1d", "priority": "P2", "details": details}
    created = inbox.post(alerts, payload, **KEY)
    first = inbox.newest(kind="opsgenie")
    body = b'{"description": "slower"}'
    updated = inbox.request("PUT", f"{alerts}/9c1d/description?identifierType=alias", body, KEY)
    acknowledged = inbox.post(f"{alerts}/9c1d/acknowledge?identifierType=alias", {}, **KEY)
    closed = inbox.post(f"{alerts}/9c1d/close?identifierType=alias", {"source": "x"}, **KEY)
    last = inbox.newest(kind="opsgenie")
    assert [answer.status for answer in (created, updated, acknowledged, closed)] == [202] * 4
    assert created.json["result"] == "Request will be processed"
    assert (first["title"], first["status"]) == ("[FIRING:1] Slow", "firing")
    assert first["links"][0]["url"] == "https://runbooks.example.com/x"
    assert (last["title"], last["to"], last["status"]) == ("close 9c1d", "9c1d", "resolved")


@pytest.mark.parametrize(
    ("payload", "headers", "status"),
    [
        ({"message": "x"}, {}, 401),
        ({"message": "x"}, {"Authorization": "Bearer k"}, 401),
        ({}, KEY, 422),
        ({"message": "x" * 131}, KEY, 422),
        ({"message": "x", "priority": "high"}, KEY, 422),
        (b"{", KEY, 422),
    ],
)
def test_what_opsgenie_refuses_is_refused(inbox: Any, payload: Any, headers: dict[str, str], status: int) -> None:
    """Ensure a missing key or message and wrong fields are refused."""
    assert inbox.post("/opsgenie/v2/alerts", payload, **headers).status == status
