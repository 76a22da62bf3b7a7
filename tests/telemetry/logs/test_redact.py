"""Secrets and personal data do not reach the logs."""

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwatch.telemetry import RequestContext, bind
from specwatch.telemetry.logs import NESTED, JsonFormatter, LogContext, Redaction, TextFormatter
from tests.telemetry.logs.lines import Log, logged

CARD = "4111111111111111"
HIDDEN = "[redacted]"


def redacted(message: object = "x", redaction: Redaction | None = None, **kwargs: Any) -> dict[str, Any]:
    """Log one record with redaction."""
    return logged(message, formatter=JsonFormatter("shop", redaction=redaction or Redaction()), **kwargs)


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "userPassword",
        "api-key",
        "X-API-Key",
        "access_token",
        "Authorization",
        "Set-Cookie",
        "pin",
        "card_number",
    ],
)
@pytest.mark.parametrize(
    "value", ["hunter2", 12345678, ["hunter2"], {"a": "hunter2"}, b"hunter2"], ids=["text", "number", "list", "mapping", "bytes"]
)
def test_values_of_secret_names_are_hidden(name: str, value: object) -> None:
    """At the top and deep inside, in any spelling."""
    fields = redacted(extra={name: value, "deep": [{"er": {name: value}}]})
    assert fields[name] == HIDDEN
    assert fields["deep"] == [{"er": {name: HIDDEN}}]


@pytest.mark.parametrize("name", ["shipping", "prompt_tokens", "spinning", "path", "passed", "author"])
def test_names_that_only_look_alike_are_shown(name: str) -> None:
    """A name is secret as a whole or by its ending, not because a short word is somewhere in it."""
    assert redacted(extra={name: 7})[name] == 7


def test_a_name_may_be_allowed() -> None:
    """Where `token` is a currency (document 003), it is shown, as a field and in texts."""
    fields = redacted("token=BTC access_token=abc", Redaction(allow={"token"}), extra={"token": "BTC", "access_token": "abc"})
    assert (fields["token"], fields["access_token"]) == ("BTC", HIDDEN)
    assert fields["message"] == f"token=BTC access_token={HIDDEN}"


def test_own_names_and_patterns() -> None:
    """A program adds what is secret to it."""
    fields = redacted("badge 7-777", Redaction(keys={"badge"}, patterns=[r"\d-\d{3}"]), extra={"my_badge": 1, "password": "shown"})
    assert (fields["my_badge"], fields["password"], fields["message"]) == (HIDDEN, "shown", f"badge {HIDDEN}")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://shop:hunter2@db/x", f"postgres://{HIDDEN}@db/x"),
        ("redis://:hunter2@cache:6379/0", f"redis://{HIDDEN}@cache:6379/0"),
        ("Authorization: Bearer abcdefgh12345678", f"Authorization: Bearer {HIDDEN}"),
        ("sent basic dXNlcjpwYXNz there", f"sent basic {HIDDEN} there"),
        ("it was eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJ_SMeK-KF2 then", f"it was {HIDDEN} then"),
        ("ghp_0123456789012345678901234567890123456789", HIDDEN),
        ("key AKIAIOSFODNN7EXAMPLE.", f"key {HIDDEN}."),
        ("xoxb-1234-5678-abcdef", HIDDEN),
        ("password=hunter2&next=/", f"password={HIDDEN}&next=/"),
        ("PASSWORD: 'hunter two', ok", f"PASSWORD: {HIDDEN}, ok"),
        ('{"password": "hunter2", "a": 1}', f'{{"password": {HIDDEN}, "a": 1}}'),
        ('{\\"db_password\\": \\"hunter2\\"}', f'{{\\"db_password\\": \\{HIDDEN}}}'),
        ("api_key = abc123", f"api_key = {HIDDEN}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", HIDDEN),
        ("from ann.lee+x@mail.example.org to", f"from {HIDDEN} to"),
        (f"paid with {CARD}, thanks", f"paid with {HIDDEN}, thanks"),
        ("4111 1111 1111 1111", HIDDEN),
        ("4-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", HIDDEN),
        ("378282246310005", HIDDEN),
        ("5555-5555-5555-4444", HIDDEN),
    ],
)
def test_secrets_in_texts_are_hidden(text: str, left: str) -> None:
    """In the message, in fields, in names and in tracebacks."""
    fields = redacted(text, extra={"value": text, "list": [text.encode()]}, exc_info=ValueError(text))
    assert fields["message"] == left
    assert fields["value"] == left
    assert fields["list"] == [left]
    assert text not in fields["exception"]
    assert HIDDEN in fields["exception"]


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # its check digit is wrong
        "1760000000003 ms",  # a time
        "order 4111-1111",
        "a@b",
        "user: ann, status: ok",
        "https://example.org/a?b=c",
        "2026-11-22T09:22:54.434280Z",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "00-4bf92f4111111111111111a929d0e0e4-00f067aa0ba902b7-01",
        "basic ideas",
    ],
)
def test_what_is_no_secret_is_shown(text: str) -> None:
    """Redaction that hides too much hides the reason of a failure."""
    assert redacted(text)["message"] == text


def test_ids_are_shown() -> None:
    """A trace id with a card number's digits in it is still a trace id; a number with them is none."""
    trace_id = f"{CARD}{'a' * 16}"
    with bind(RequestContext(trace_id, "r-1", "b" * 16)):
        assert redacted()["trace_id"] == trace_id
        assert redacted(extra={"trace_id": trace_id})["trace_id"] == trace_id
    assert redacted(extra={"card": int(CARD), "count": 41111111})["card"] == HIDDEN
    assert redacted(extra={"amount": Decimal("1.5"), "none": None, "nan": float("nan")})["amount"] == "1.5"


def test_context_nested_layout_and_text_are_redacted_too() -> None:
    """Every way into a line goes through the redaction."""
    with LogContext.bind(password="hunter2", note="a@example.org"):  # noqa: S106 - the field of document 003, no secret
        fields = logged("x", extra={"token": "abc"}, formatter=JsonFormatter(layout=NESTED, redaction=Redaction()))
        log = Log(TextFormatter(redaction=Redaction()))
        log.logger.error("for a@example.org", extra={"token": "abc"}, exc_info=ValueError("a@example.org"))
    assert fields["extra"] == {"password": HIDDEN, "note": HIDDEN, "token": HIDDEN}
    written = log.stream.getvalue()
    assert not [secret for secret in ("example.org", "abc", "hunter2") if secret in written]


def test_single_kinds_can_be_left_out() -> None:
    """Each kind of secret has its switch."""
    text = f"a@example.org {CARD} password=x"
    assert Redaction(emails=False).text(text).startswith("a@example.org [")
    assert CARD in Redaction(cards=False).text(text)
    assert Redaction(credentials=False).text(text).endswith("password=x")


def test_two_names_that_become_the_same_are_both_kept() -> None:
    """No value is lost over its name being hidden."""
    assert sorted(redacted(extra={"a@example.org": 1, "b@example.org": 2}).values(), key=str)[:2] == [1, 2]


innocent = st.text(st.characters(categories=["Lu", "Ll", "Zs", "Po"]), max_size=20)


@settings(deadline=None)
@given(before=innocent, after=innocent, separator=st.sampled_from(["", " ", "-"]))
def test_no_card_number_gets_through(before: str, after: str, separator: str) -> None:
    """Whatever stands around it."""
    card = separator.join([CARD[:4], CARD[4:8], CARD[8:12], CARD[12:]])
    line = json.dumps(redacted(before + card + after, extra={"value": [before + card + after]}))
    assert card not in line


@pytest.mark.parametrize(
    "piece",
    [
        "eyJa-",
        "eyJeyJ",
        "a",
        "a.",
        "a@",
        "://:",
        "password",
        "password=",
        "bearer ",
        "1-",
        "-----BEGIN PRIVATE KEY-----",
        "x@x.",
        "ghp_",
        "\\\"'= ",
    ],
)
def test_no_text_takes_long(piece: str) -> None:
    """A quarter of a million characters made for one of the patterns take no longer than others: none can stop a program."""
    begun = time.thread_time()
    Redaction().text(piece * (262_144 // len(piece)))
    assert time.thread_time() - begun < 10  # a pattern that runs away takes hours
