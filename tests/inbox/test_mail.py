import base64
import smtplib
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HTML = (
    "<html><head><title>t</title><style>p{}</style></head><body><p>12 % of requests fail</p>"
    '<a href="https://runbooks.example.com/x">Runbook</a> <a href="javascript:alert(1)">no</a></body></html>'
)


def mail(subject: str = "[FIRING:1] HighErrorRate → shop", text: str = "", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "am@example.com", "oncall@example.com"
    if text:
        message.set_content(text)
    if html and text:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    return message


def test_a_mail_is_kept_with_all_its_parts(inbox: Any) -> None:
    """Ensure envelope, subject, text, HTML, headers, links and status of a mail are there."""
    inbox.send(mail(text="12 % fail, see http://127.0.0.1:3001/d/x.", html=HTML))
    message = inbox.newest(kind="mail")
    payload = message["payload"]
    assert (message["to"], message["title"]) == ("oncall@example.com", "[FIRING:1] HighErrorRate → shop")
    assert message["status"] == "firing"
    assert message["links"] == [
        {"title": "Runbook", "url": "https://runbooks.example.com/x"},
        {"title": "127.0.0.1:3001/d/x", "url": "http://127.0.0.1:3001/d/x"},
    ]
    assert payload["envelope"] == {"from": "am@example.com", "to": ["oncall@example.com"]}
    assert payload["html"].strip() == HTML
    assert ["From", "am@example.com"] in payload["headers"]


def test_text_is_made_from_html_when_there_is_none(inbox: Any) -> None:
    """Ensure a mail with HTML only, as Alertmanager sends, can be read and searched as text."""
    inbox.send(mail(html=HTML))
    assert inbox.newest(kind="mail")["text"] == "12 % of requests fail\nRunbook no"


def test_login_challenges_are_those_of_real_servers(inbox: Any) -> None:
    """Ensure AUTH LOGIN asks for "Username:" and "Password:", as Go's and Alertmanager's clients insist on."""
    with smtplib.SMTP("127.0.0.1", inbox.smtp, timeout=20) as client:
        client.ehlo()
        answers = [client.docmd("AUTH", "LOGIN"), client.docmd(base64.b64encode(b"user").decode())]
        asked = [base64.b64decode(text) for _, text in answers]
        assert client.docmd(base64.b64encode(b"secret").decode())[0] == 235
    assert asked == [b"Username:", b"Password:"]


def test_attachments_are_named_not_kept(inbox: Any) -> None:
    """Ensure an attachment is listed with its name, type and size."""
    message = mail(text="see the graph")
    message.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="graph.png")
    inbox.send(message)
    attachments = inbox.newest(kind="mail")["payload"]["attachments"]
    assert attachments == [{"name": "graph.png", "type": "image/png", "bytes": 4}]


def test_any_login_is_accepted_for_several_recipients(inbox: Any) -> None:
    """Ensure a client that is set up to log in, by PLAIN or LOGIN, can send, and the password is not kept."""
    for mechanism in ("PLAIN", "LOGIN"):
        with smtplib.SMTP("127.0.0.1", inbox.smtp, timeout=20) as client:
            client.ehlo()
            client.user, client.password = "user", "not-to-be-kept"
            authenticate = client.auth_plain if mechanism == "PLAIN" else client.auth_login
            client.auth(mechanism, authenticate)
            client.sendmail("", ["a@example.com", "b@example.com"], b"Subject: hi\r\n\r\ntext")
        assert inbox.newest(kind="mail")["to"] == "a@example.com, b@example.com"
    assert inbox.messages(contains="not-to-be-kept") == []


@pytest.mark.parametrize(
    ("raw", "title", "text"),
    [
        (b"", "(no subject)", ""),
        (b"\r\n\r\n", "(no subject)", ""),
        (b"no header at all", "(no subject)", "no header at all"),
        (b"Subject: =?nonsense?B?YQ==?=\r\n\r\nx", "=?nonsense?B?YQ==?=", "x"),
        (b"Subject: =?utf-8?B?!!!?= b\r\n\r\nx", None, "x"),
        (b"Subject: caf\xc3\xa9\r\n\r\n\xff\xfe", None, "��"),
        (b"Content-Type: text/plain; charset=nonsense\r\n\r\nx", "(no subject)", "x"),
        (b"Content-Type: text/plain; charset=base64\r\n\r\nx", "(no subject)", "x"),
        (b"Content-Type: text/plain; charset=idna\r\n\r\n\xff", "(no subject)", "�"),
        (b"Content-Type: text/plain; charset*=x'y'%ff\r\n\r\nx", "(no subject)", "x"),
        (b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\n", "(no subject)", None),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x", "(no subject)", None),
        (b"Content-Transfer-Encoding: base64\r\n\r\nA", "(no subject)", None),
        (b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin", "(no subject)", None),
        (b"Content-Disposition: attachment; filename*=utf-8''%ff\"\r\n\r\nx", "(no subject)", ""),
    ],
)
def test_broken_mail_is_kept_and_never_fails(inbox: Any, raw: bytes, title: str | None, text: str | None) -> None:
    """Ensure mails with wrong charsets, boundaries, encodings or none of these are taken."""
    before = inbox.get("/api/messages").json["last_id"]
    inbox.send(raw)
    (message,) = inbox.messages(since_id=before)
    assert title is None or message["title"] == title
    assert text is None or message["text"] == text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([
    b"Subject: =?utf-8?q?", b"?=", b"\r\n", b"\r\n\r\n", b"Content-Type: multipart/mixed; boundary=b", b"--b", b"--b--",
    b"Content-Type: text/html; charset=utf-7", b"<a href='http://[", b"<![CDATA[", b"<!", b"&#x110000;",
    b"Content-Transfer-Encoding: quoted-printable", b"=\r\n", b"Content-Type: message/rfc822",
])), max_size=12))  # fmt: skip
def test_any_bytes_can_be_mailed(inbox: Any, parts: list[bytes]) -> None:
    """Ensure no content of a mail makes the server refuse it or fail."""
    inbox.send(b"\r\n".join(b"".join(parts)[i : i + 900] for i in range(0, sum(map(len, parts)), 900)))


def test_a_mail_over_ten_megabytes_is_refused(inbox: Any) -> None:
    """Ensure the size limit is announced and holds, and that the server takes mail afterwards."""
    line = b"x" * 998 + b"\r\n"
    with smtplib.SMTP("127.0.0.1", inbox.smtp, timeout=20) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == str(10 * 1024 * 1024)
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: big\r\n\r\n" + line * 10_500)
    inbox.send(b"Subject: after\r\n\r\n" + line * 9_000)
    assert inbox.newest(kind="mail")["title"] == "after"
