import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from specwatch import topology
from specwatch.render import alertmanager
from specwatch.stack import Discord, Matcher, Opsgenie, Route, SecretFile, Stack, Teams, Telegram
from tests import goldens, stacks, tools
from tests.render import messages

STACKS = {"demo": stacks.demo_stack, "full": stacks.full_stack, "hostile": stacks.hostile_stack}
STARTED = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
FIRING, RESOLVED = "[FIRING:2]", "[RESOLVED:2]"
NASTY = '<b>&amp;</b> <!channel> [x](http://evil.example) {{ .Nope }} *_`~|\\ "q" 日本 \u2028' + "long " * 800


def config_of(stack: Stack) -> Any:
    """Return the configuration as Alertmanager reads it."""
    return yaml.safe_load(alertmanager.render(stack, topology.compose(stack))["alertmanager/alertmanager.yml"])


def test_the_demo_and_the_full_stack_read_as_their_goldens() -> None:
    """The configuration is, byte for byte, the one that a person has read and approved."""
    for name in ("demo", "full"):
        stack = STACKS[name]()
        path = "alertmanager/alertmanager.yml"
        goldens.check(name, {path: alertmanager.render(stack, topology.compose(stack))[path]})


@pytest.mark.engine
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("runtime", ["compose", "native"])
def test_amtool_accepts_what_is_rendered(name: str, runtime: str, tmp_path: Path) -> None:
    """Alertmanager's own checker takes the configuration and its templates, under both topologies."""
    stack = STACKS[name]()
    where = topology.compose(stack) if runtime == "compose" else topology.native(stack, str(tmp_path))
    tools.write(tmp_path, alertmanager.render(stack, where))
    said = tools.run(tools.program("amtool"), "check-config", tmp_path / "alertmanager/alertmanager.yml")
    assert "1 templates" in said


@pytest.mark.engine
def test_alerts_with_hostile_labels_find_their_route(tmp_path: Path) -> None:
    """A matcher selects exactly the label value it was given, whatever characters that has; amtool is asked."""
    values = [text for text in stacks.HOSTILE if text and not set(text) & set("\ufeff\u2028\r\t\n")]
    receivers = (stacks.receiver("inbox"), *(stacks.receiver(f"r{n}") for n in range(len(values))))
    routes = (Route(matchers=(Matcher("service", "=", text),), receiver=f"r{n}") for n, text in enumerate(values))
    stack = stacks.demo_stack(receivers=receivers, routing=stacks.routing(*routes), inhibitions=())
    tools.write(tmp_path, alertmanager.render(stack, topology.compose(stack)))
    config = tmp_path / "alertmanager/alertmanager.yml"
    for number, text in enumerate(values):
        said = tools.run(
            tools.program("amtool"),
            "config",
            "routes",
            "test",
            f"--config.file={config}",
            f"service={json.dumps(text, ensure_ascii=False)}",
        )
        assert said.splitlines()[0] == f"r{number}", text


def test_hostile_text_stays_in_its_place() -> None:
    """Names, channels and matcher values read back equal, and none of them adds a key."""
    stack = stacks.hostile_stack()
    config = config_of(stack)
    assert [each["name"] for each in config["receivers"]] == [each.name for each in stack.receivers]
    assert [route["matchers"] for route in config["route"]["routes"]][: len(stacks.HOSTILE)] == [
        [alertmanager.matcher(Matcher("service", "=", text))] for text in stacks.HOSTILE
    ]
    plain = config_of(stacks.full_stack())
    assert config.keys() == plain.keys()
    assert config["receivers"][-1]["slack_configs"][0].keys() >= plain["receivers"][0]["slack_configs"][0].keys()


def test_no_secret_is_in_the_configuration_but_by_its_file() -> None:
    """Whatever is secret is named as a file below the component's own folder."""
    stack = stacks.full_stack()
    text = alertmanager.render(stack, topology.compose(stack))["alertmanager/alertmanager.yml"]
    paths = {line.split(": ")[1] for line in text.splitlines() if "/run/secrets/" in line}
    assert paths == {
        f"/run/secrets/{name}"
        for name in (
            "slack_webhook",
            "smtp_password",
            "pagerduty_key",
            "hook_url",
            "hook_token",
            "teams_webhook",
            "discord_webhook",
            "telegram_token",
            "opsgenie_key",
        )
    }


def test_mail_goes_to_the_inbox_while_there_is_no_mail_host() -> None:
    """Without a smarthost the inbox takes the mail, in plain text even if TLS is asked for; with one the user's wish holds."""
    stack = stacks.demo_stack(
        receivers=(
            stacks.receiver("inbox", stacks.email(require_tls=True), stacks.email(smarthost="smtp.example.com:587", require_tls=True)),
        )
    )
    first, second = config_of(stack)["receivers"][0]["email_configs"]
    assert (first["smarthost"], first["require_tls"]) == ("inbox:1025", False)
    assert (second["smarthost"], second["require_tls"]) == ("smtp.example.com:587", True)


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[messages.Listener]:
    """Yield a listener at which messages of two firing alerts, then of the two resolved, and of a hostile alert arrive."""
    program = tools.program("alertmanager", "prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("alertmanager")
    listener = messages.Listener()
    listener.start()
    port = tools.free_port()
    stack = _live_stack(listener, port)
    where = topology.native(stack, str(folder))
    files = alertmanager.render(stack, where)
    # Telegram's address is no setting of ours: a bot always talks to Telegram itself.
    config = yaml.safe_load(files["alertmanager/alertmanager.yml"])
    config["receivers"][0]["telegram_configs"][0]["api_url"] = f"http://127.0.0.1:{listener.http_port}"
    tools.write(folder / "config", files | {"alertmanager/alertmanager.yml": yaml.safe_dump(config)})
    base = f"http://127.0.0.1:{listener.http_port}"
    texts = {"slack_webhook": f"{base}/slack", "teams": f"{base}/teams", "discord": f"{base}/discord", "telegram": "123:abc"}
    texts |= {"pagerduty_key": "0" * 32, "opsgenie": "key"}
    tools.write(folder / "secrets/alertmanager", texts)
    url = f"http://127.0.0.1:{port}"
    try:
        with messages.alertmanager(program, alertmanager.arguments(stack, where), url, folder / "log"):
            messages.fire(url, [_alert("eu"), _alert("us")])
            listener.mail(FIRING)
            for path in ("/slack", "/pagerduty", "/teams", "/discord", "/bot123:abc/sendMessage", "/opsgenie/v2/alerts"):
                listener.post(path, FIRING)
            listener.post("/webhook/hook", "from us")
            messages.fire(url, [_alert("eu", resolved=True), _alert("us", resolved=True)])
            listener.mail(RESOLVED)
            listener.post("/slack", RESOLVED)
            listener.post("/teams", RESOLVED)
            messages.fire(url, [_hostile_alert()])
            listener.mail("evil.example")
            for path in ("/slack", "/pagerduty", "/webhook/hook", "/teams", "/discord", "/bot123:abc/sendMessage"):
                listener.post(path, "evil.example")
            yield listener
    finally:
        listener.stop()


def _live_stack(listener: messages.Listener, port: int) -> Stack:
    base = f"http://127.0.0.1:{listener.http_port}"
    everything = stacks.receiver(
        "inbox",
        stacks.slack(channel="#ops"),
        stacks.email(),
        stacks.pagerduty(url=f"{base}/pagerduty"),
        stacks.webhook(),
        Teams(webhook=SecretFile("teams")),
        Discord(webhook=SecretFile("discord"), username="specwatch"),
        Telegram(token=SecretFile("telegram"), chat_id=-100123),
        Opsgenie(key=SecretFile("opsgenie"), url=f"{base}/opsgenie/"),
    )
    return stacks.demo_stack(
        ports=stacks.ports() | {"alertmanager": port, "inbox": listener.http_port, "inbox-smtp": listener.smtp_port},
        receivers=(everything,),
        routing=stacks.routing(group_wait_seconds=0, group_interval_seconds=1),
        inhibitions=(),
    )


def _alert(region: str, *, resolved: bool = False) -> Mapping[str, Any]:
    ends = {"endsAt": (STARTED + timedelta(minutes=4, seconds=30)).isoformat()} if resolved else {}
    return ends | {
        "labels": {
            "alertname": "CheckoutFails",
            "service": "shop",
            "severity": "critical",
            "team": "web",
            "environment": "demo",
            "stack": "shop",
            "region": region,
        },
        "annotations": {
            "summary": "Checkout fails",
            "description": f"7.3% of the orders from {region} failed in the last five minutes.",
            "runbook_url": "https://runbooks.example.com/checkout?a=1&b=2",
            "dashboard_url": "http://127.0.0.1:3001/d/svc-shop",
            "value": "0.073",
        },
        "startsAt": STARTED.isoformat(),
        "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=up%7Bjob%3D%22shop%22%7D&g0.tab=1",
    }


def _hostile_alert() -> Mapping[str, Any]:
    return {
        "labels": {"alertname": "Hostile", "service": NASTY[:60], "severity": "warning", "path": 'a "b" + c&d\nnew'},
        "annotations": {
            "summary": NASTY,
            "description": NASTY,
            "runbook_url": "javascript:alert(1)",
            "dashboard_url": "http://x.example/a|b>(c)",
        },
        "startsAt": STARTED.isoformat(),
    }


@pytest.mark.engine
def test_slack_says_what_fires_and_where_to_look(sent: messages.Listener) -> None:
    """A message has a coloured title with status, count, severity and service, and for each alert its text, start, value and links."""
    body = sent.post("/slack", FIRING)
    (attachment,) = body["attachments"]
    assert (body["channel"], body["username"]) == ("#ops", "specwatch")
    assert attachment["title"] == attachment["fallback"] == "🔴 [FIRING:2] critical shop: Checkout fails"
    assert attachment["title_link"] == "http://127.0.0.1:3001/d/svc-shop"
    assert attachment["color"] == "#b42318"
    assert attachment["footer"] == "shop · demo · team web"
    paragraphs = attachment["text"].split("\n\n")
    assert len(paragraphs) == 2
    lines = paragraphs[0].splitlines()
    assert lines[0] == "7.3% of the orders from eu failed in the last five minutes."
    started = f"<!date^{int(STARTED.timestamp())}^{{date_short_pretty}} {{time_secs}}|{STARTED:%Y-%m-%d %H:%M:%S} UTC>"
    assert lines[1] == f"since {started} · value 0.073 · region eu"
    links = lines[2].split(" · ")
    assert links[0] == "<http://127.0.0.1:3001/d/svc-shop|Dashboard>"
    assert links[1] == "<https://runbooks.example.com/checkout?a=1&amp;b=2|Runbook>"
    assert links[2].endswith("&amp;g0.tab=1|Query>")
    assert "/#/silences/new?filter=%7Balertname%3D%22CheckoutFails%22%2C%20" in links[3]
    assert "region%3D%22eu%22" in links[3]


@pytest.mark.engine
def test_slack_says_how_long_a_resolved_alert_lasted(sent: messages.Listener) -> None:
    """A resolved message is green and gives each alert's duration."""
    (attachment,) = sent.post("/slack", RESOLVED)["attachments"]
    assert attachment["title"] == "✅ [RESOLVED:2] critical shop: Checkout fails"
    assert attachment["color"] == "#067647"
    assert attachment["text"].splitlines() == [f"Checkout fails · resolved after 4m30s · region {region}" for region in ("eu", "us")]


@pytest.mark.engine
def test_a_mail_has_a_subject_a_text_and_a_page(sent: messages.Listener) -> None:
    """The subject tells status, count, severity, service and summary; text and HTML both have all facts and links."""
    mail = sent.mail(FIRING)
    assert mail["Subject"] == "[FIRING:2] critical shop: Checkout fails"
    text, page = (_part(mail, kind) for kind in ("plain", "html"))
    for part in (text, page):
        for said in (
            "Checkout fails",
            "7.3% of the orders from us",
            f"{STARTED:%Y-%m-%d %H:%M:%S} UTC",
            "0.073",
            "http://127.0.0.1:3001/d/svc-shop",
        ):
            assert said in part
        assert "/#/silences/new?filter=%7Balertname%3D%22CheckoutFails%22%2C%20" in part
    assert "prefers-color-scheme: dark" in page
    assert "ZgotmplZ" not in page
    assert "resolved after 4m30s" in _part(sent.mail(RESOLVED), "plain")
    assert sent.mail(RESOLVED)["Subject"] == "[RESOLVED:2] critical shop: Checkout fails"


@pytest.mark.engine
def test_every_other_service_gets_its_own_form(sent: messages.Listener) -> None:
    """PagerDuty, Opsgenie, Teams, Discord, Telegram and a webhook get severity, text and links in their own fields."""
    event = sent.post("/pagerduty", FIRING)
    assert event["payload"]["severity"] == "critical"
    assert event["payload"]["summary"] == "[FIRING:2] critical shop: Checkout fails"
    assert (event["payload"]["source"], event["payload"]["component"], event["payload"]["group"]) == ("shop", "shop", "demo")
    assert {link["text"] for link in event["links"]} == {"Dashboard", "Runbook", "Alertmanager"}
    assert "from us failed" in event["payload"]["custom_details"]["firing"]
    opsgenie = sent.post("/opsgenie/v2/alerts", FIRING)
    assert (opsgenie["priority"], opsgenie["message"]) == ("P1", "[FIRING:2] critical shop: Checkout fails")
    title, text = (block["text"] for block in sent.post("/teams", FIRING)["attachments"][0]["content"]["body"])
    assert title == "🔴 [FIRING:2] critical shop: Checkout fails"
    assert "[Dashboard](http://127.0.0.1:3001/d/svc-shop)" in text
    (embed,) = sent.post("/discord", FIRING)["embeds"]
    assert (embed["title"], embed["description"]) == (title, text)
    telegram = sent.post("/bot123:abc/sendMessage", FIRING)
    assert telegram["text"].startswith("<b>🔴 [FIRING:2] critical shop: Checkout fails</b>\n\n7.3% of the orders")
    assert telegram["parse_mode"] == "HTML"
    assert sent.post("/webhook/hook", "from us")["commonLabels"]["service"] == "shop"


@pytest.mark.engine
def test_hostile_text_is_escaped_for_where_it_stands(sent: messages.Listener) -> None:
    """Markup, mentions, links and scripts in an alert's text show as text everywhere, cut to a length that the services take."""
    (attachment,) = sent.post("/slack", "evil.example")["attachments"]
    assert "&lt;!channel&gt;" in attachment["text"]
    assert "<!channel>" not in json.dumps(attachment)
    assert "{{ .Nope }}" in attachment["text"]
    assert len(attachment["title"]) < 400
    assert "javascript:" not in json.dumps(attachment)
    assert "path%3D%22a%20%5C%22b%5C%22%20%2B%20c%26d%5Cnnew%22" in attachment["text"]
    assert len(attachment["text"]) < 4000
    mail = sent.mail("evil.example")
    assert len(mail["Subject"]) < 300
    page = _part(mail, "html")
    assert "<!channel>" not in page
    assert "&lt;!channel&gt;" in page
    assert "javascript:" not in page
    telegram = sent.post("/bot123:abc/sendMessage", "evil.example")["text"]
    assert "&lt;!channel&gt;" in telegram
    assert len(telegram) < 4096
    for text in (
        sent.post("/discord", "evil.example")["embeds"][0]["description"],
        sent.post("/teams", "evil.example")["attachments"][0]["content"]["body"][1]["text"],
    ):
        assert "\\[x\\](" in text
        assert "\\<!channel\\>" in text
        assert "http://x.example/a|b%28c%29" in text


def _part(mail: Any, kind: str) -> str:
    return str(mail.get_body((kind,)).get_content())


def test_a_stack_is_left_as_it_was() -> None:
    """Rendering changes nothing in the stack it reads."""
    stack = stacks.full_stack()
    before = msgspec.json.encode(stack)
    alertmanager.render(stack, topology.compose(stack))
    assert msgspec.json.encode(stack) == before
