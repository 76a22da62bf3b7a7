"""What `receivers:` and `routes:` mean."""

import re

from specwatch import names
from specwatch.resolve.faults import Faults
from specwatch.spec.model import Spec
from specwatch.spec.model.alerting import ReceiverSpec, RouteSpec
from specwatch.spec.model.values import SecretRef
from specwatch.spec.source import Path
from specwatch.stack import (
    Discord,
    Email,
    Integration,
    Matcher,
    Opsgenie,
    PagerDuty,
    Receiver,
    Route,
    Routing,
    SecretFile,
    Slack,
    Teams,
    Telegram,
    Webhook,
)

INBOX_RECEIVER = "inbox"
GROUP_BY = ("alertname", "service")
# Five seconds gather the alerts of one cause and still let a person hear within a minute.
GROUP_WAIT_SECONDS = 5
GROUP_INTERVAL_SECONDS = 30
REPEAT_INTERVAL_SECONDS = 4 * 3600
_ESCAPED = re.compile(r'\\([\\"n])')
_OPERATORS = ("=~", "!~", "!=", "=")


class Receivers:
    """The receivers of a spec, and those that its routes combine."""

    def __init__(self, spec: Spec, *, has_inbox: bool, faults: Faults) -> None:
        self.spec = spec
        self.has_inbox = has_inbox
        self.faults = faults
        self.by_name = {
            name: Receiver(name=name, integrations=self._integrations(name, receiver)) for name, receiver in spec.receivers.items()
        }
        self.routes = tuple(self._route(route, ("routes", index)) for index, route in enumerate(spec.routes))
        self.root = self._root()
        self.watchdog = self._watchdog()

    def all(self) -> tuple[Receiver, ...]:
        """Return every receiver that a route may name."""
        return tuple(self.by_name.values())

    def routing(self) -> Routing:
        """Return the route tree: the Watchdog's own route first, then the spec's, below a root that catches the rest."""
        watchdog = Route(matchers=(Matcher("alertname", "=", names.WATCHDOG),), receiver=self.watchdog, group_by=("alertname",))
        return Routing(
            receiver=self.root,
            group_by=GROUP_BY,
            group_wait_seconds=GROUP_WAIT_SECONDS,
            group_interval_seconds=GROUP_INTERVAL_SECONDS,
            repeat_interval_seconds=REPEAT_INTERVAL_SECONDS,
            routes=(watchdog, *self.routes),
        )

    def _root(self) -> str:
        if self.by_name:
            return next(iter(self.by_name))
        if not self.has_inbox:
            self.faults.add((), '"receivers" is missing: without one, and without the inbox, no alert reaches anybody', on_key=True)
        webhook = Webhook(name=INBOX_RECEIVER, url="", secret=None, bearer=None, max_alerts=0)
        self.by_name[INBOX_RECEIVER] = Receiver(name=INBOX_RECEIVER, integrations=(webhook,))
        return INBOX_RECEIVER

    def _watchdog(self) -> str:
        chosen = self.spec.stack.watchdog
        if chosen:
            self.faults.reference(("stack", "watchdog"), "receiver", chosen, self.by_name)
            return chosen
        self.by_name.setdefault(names.WATCHDOG_RECEIVER, Receiver(name=names.WATCHDOG_RECEIVER, integrations=()))
        return names.WATCHDOG_RECEIVER

    def _route(self, route: RouteSpec, path: Path) -> Route:
        for index, name in enumerate(route.to):
            self.faults.reference((*path, "to", index), "receiver", name, self.spec.receivers)
        for setting, chosen in (("mute", route.mute), ("active", route.active)):
            for index, name in enumerate(chosen):
                self.faults.reference((*path, setting, index), "mute time", name, self.spec.mute_times)
        return Route(
            matchers=(*(Matcher(label, "=", value) for label, value in route.when.items()), *(_matcher(text) for text in route.match)),
            receiver=self._combined(route.to),
            group_by=route.group_by,
            group_wait_seconds=names.seconds(route.group_wait or "0s"),
            group_interval_seconds=names.seconds(route.group_interval or "0s"),
            repeat_interval_seconds=names.seconds(route.repeat_interval or "0s"),
            continue_=route.continue_,
            mute=route.mute,
            active=route.active,
        )

    def _combined(self, to: tuple[str, ...]) -> str:
        """Return the receiver of all of `to`: one group of alerts is then told to all of them at once."""
        known = tuple(dict.fromkeys(name for name in to if name in self.by_name))
        if len(known) <= 1:
            return known[0] if known else ""
        name = names.combined_receiver(known)
        integrations = tuple(integration for part in known for integration in self.by_name[part].integrations)
        self.by_name.setdefault(name, Receiver(name=name, integrations=integrations))
        return name

    def _integrations(self, name: str, receiver: ReceiverSpec) -> tuple[Integration, ...]:  # one line for each kind
        found: list[Integration] = []
        if spec := receiver.slack:
            found.append(
                Slack(
                    webhook=SecretFile(spec.webhook.secret), channel=spec.channel, username=spec.username, send_resolved=spec.send_resolved
                )
            )
        if receiver.email:
            found.append(self._email(name, receiver))
        if pager := receiver.pagerduty:
            found.append(PagerDuty(key=SecretFile(pager.key.secret), url=pager.url or "", send_resolved=pager.send_resolved))
        if receiver.webhook:
            found.append(self._webhook(name, receiver))
        if teams := receiver.teams:
            found.append(Teams(webhook=SecretFile(teams.webhook.secret), send_resolved=teams.send_resolved))
        if discord := receiver.discord:
            found.append(
                Discord(webhook=SecretFile(discord.webhook.secret), username=discord.username, send_resolved=discord.send_resolved)
            )
        if telegram := receiver.telegram:
            found.append(Telegram(token=SecretFile(telegram.token.secret), chat_id=telegram.chat_id, send_resolved=telegram.send_resolved))
        if opsgenie := receiver.opsgenie:
            found.append(Opsgenie(key=SecretFile(opsgenie.key.secret), url=opsgenie.url or "", send_resolved=opsgenie.send_resolved))
        if not found:
            self.faults.add(
                ("receivers", name),
                "delivers to nobody; give it slack, email, pagerduty, webhook, teams, discord, telegram or opsgenie",
                on_key=True,
            )
        return tuple(found)

    def _email(self, name: str, receiver: ReceiverSpec) -> Email:
        email, smtp = receiver.email, self.spec.stack.smtp
        assert email is not None  # noqa: S101  # the caller has seen it
        if smtp is None and not self.has_inbox:
            self.faults.add(("receivers", name, "email"), "`stack.smtp` is missing: which server takes the mail", on_key=True)
        return Email(
            to=email.to,
            from_=smtp.sender if smtp else f"{self.spec.stack.name}@specwatch.invalid",
            smarthost=smtp.smarthost if smtp else "",
            username=(smtp.username or "") if smtp else "",
            password=SecretFile(smtp.password.secret) if smtp and smtp.password else None,
            require_tls=smtp.require_tls if smtp else False,
            send_resolved=email.send_resolved,
        )

    def _webhook(self, name: str, receiver: ReceiverSpec) -> Webhook:
        webhook = receiver.webhook
        assert webhook is not None  # noqa: S101  # the caller has seen it
        if webhook.url is None and not self.has_inbox:
            self.faults.add(("receivers", name, "webhook"), '"url" is missing: the inbox is off', on_key=True)
        return Webhook(
            name=name,
            url=webhook.url if isinstance(webhook.url, str) else "",
            secret=SecretFile(webhook.url.secret) if isinstance(webhook.url, SecretRef) else None,
            bearer=SecretFile(webhook.bearer.secret) if webhook.bearer else None,
            max_alerts=webhook.max_alerts,
            send_resolved=webhook.send_resolved,
        )


def _matcher(text: str) -> Matcher:
    operator = min(_OPERATORS, key=lambda sign: (text.find(sign) if sign in text else len(text), -len(sign)))
    label, _, value = text.partition(operator)
    unescaped = _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], value.strip()[1:-1])
    return Matcher(label.strip(), operator, unescaped)  # type: ignore[arg-type]  # one of _OPERATORS
