"""Secrets and personal data are made unreadable before a line is written."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from specwatch.telemetry._jsonline import KEY_BYTES, Plain, copied, text

SECRET_KEYS: Final = frozenset(
    {
        *("password", "passwd", "pwd", "passphrase", "secret", "secrets", "token", "apikey", "authorization", "cookie", "cookies", "jwt"),
        *("privatekey", "secretkey", "accesskey", "credential", "credentials", "sessionid", "csrf", "bearer", "dsn"),
        *("cardnumber", "creditcard", "cvv", "cvc", "pin", "iban", "ssn"),
    }
)
"""Names whose values are secret. A field is one of them when its name, without case and punctuation, is one or ends in a long one."""

REDACTED: Final = "[redacted]"

_MOST_CHARACTERS: Final = 262_144
_MOST_BYTES: Final = 131_072
_MOST_NAMES: Final = 4_096
_NAME_CHARACTERS: Final = 128
_PUNCTUATION: Final = re.compile(r"[^0-9a-z]+")
# As an ending a shorter word says nothing ("shipping" is no pin).
_ENDING_CHARACTERS: Final = 5

# No repetition can meet what follows it in more than one way, or it is bounded: a text that is made for it takes no longer than others.
_CREDENTIALS: Final = (
    # scheme://user:password@host
    re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,256}(?=@)"),
    re.compile(r"(?i)(?:(?<=\bbearer )|(?<=\bbasic )|(?<=\bdigest ))[A-Za-z0-9._~+/=-]{8,}"),
    # JSON web token, then the tokens of GitHub, GitLab, Slack, Stripe, AWS and npm
    re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?"),
    re.compile(r"\b(?:gh[opsur]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{8,}|[prs]k_(?:live|test)_\w{8,})"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bnpm_\w{30,}"),
    re.compile(r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?"),
)
_ASSIGNMENT: Final = re.compile(
    r"""(?ix)
    (?P<name> passw(?:or)?d | passphrase | secret | token | api[_-]?key | access[_-]?key | private[_-]?key )
    (?P<sign> [\\"']{0,4} \s{0,4} [=:] \s{0,4} \\{0,2} )
    (?: "[^"\n]{0,1024}"? | '[^'\n]{0,1024}'? | [^\s"'&,;)}\]]{1,1024} )
    """
)
_EMAIL: Final = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}\b")
_CARD: Final = re.compile(r"(?<!\d)[2-6](?:[ -]?\d){12,18}(?!\d)", re.ASCII)
_SMALLEST_CARD: Final = 2 * 10**12
_LARGEST_CARD: Final = 7 * 10**18
_SECOND_SERIES: Final = range(2221, 2721)  # the cards that begin with 2
_TRACE_OR_UUID: Final = re.compile(r"(?i)(?:00-)?[0-9a-f]{32}(?:-[0-9a-f]{16}-[0-9a-f]{2})?|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WORD_BEFORE: Final = re.compile(r"[\w-]*\Z")
_WORD_AFTER: Final = re.compile(r"[\w-]*")
_AROUND_CHARACTERS: Final = 64
# What the rules for credentials need at least, in lower case: most texts have none of it.
_NEEDLES: Final = (
    "=",
    ":",
    "eyj",
    "kia",
    "asia",
    "gh",
    "glpat-",
    "xox",
    "k_live_",
    "k_test_",
    "npm_",
    "-----",
    "bearer ",
    "basic ",
    "digest ",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """What is made unreadable in logs: values of secret names at any depth, and secrets within texts.

    Texts are looked through for passwords in URLs and assignments, bearer and other well-known tokens, private keys, e-mail
    addresses and card numbers (13 to 19 digits that begin as cards do and whose check digit is right).

    Args:
        keys: names whose values are secret; see `SECRET_KEYS` for how they are compared.
        allow: names that are not secret although they look so, such as `token` where that is a currency.
        credentials: whether texts are looked through for passwords, tokens and keys.
        emails: whether texts are looked through for e-mail addresses.
        cards: whether texts and whole numbers are looked through for card numbers.
        patterns: further regular expressions; what they match is made unreadable.
    """

    keys: Iterable[str] = SECRET_KEYS
    allow: Iterable[str] = ()
    credentials: bool = True
    emails: bool = True
    cards: bool = True
    patterns: Iterable[str | re.Pattern[str]] = ()
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _allowed: frozenset[str] = field(init=False, repr=False, compare=False)
    _own: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)
    _known: dict[str, tuple[bool, str]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", frozenset(map(_plain, self.keys)) - {""})
        object.__setattr__(self, "_allowed", frozenset(map(_plain, self.allow)))
        object.__setattr__(self, "_own", tuple(re.compile(pattern) for pattern in self.patterns))

    def secret(self, name: object) -> bool:
        """Return whether a field of this name is made unreadable."""
        return self.name(name)[0]

    def name(self, name: object) -> tuple[bool, str]:
        """Return whether a field of this name is made unreadable, and the name without secrets in itself."""
        full = name if type(name) is str else text(name)
        known = self._known.get(full)
        if known is None:
            plain = _plain(full[-_NAME_CHARACTERS:])
            endings = (key for key in self._names if len(key) >= _ENDING_CHARACTERS)
            hidden = plain not in self._allowed and (plain in self._names or any(map(plain.endswith, endings)))
            known = (hidden, self.text(full))
            if len(self._known) < _MOST_NAMES and len(full) <= _NAME_CHARACTERS:
                self._known[full] = known
        return known

    def text(self, value: str) -> str:
        """Return `value` without the secrets in it."""
        if len(value) > _MOST_CHARACTERS:
            value = f"{value[:_MOST_CHARACTERS]}…[cut, {len(value)} characters]"
        for pattern in self._own:
            value = pattern.sub(REDACTED, value)
        if self.credentials:
            lowered = value.lower()
            for needle in _NEEDLES:
                if needle in lowered:
                    value = self._without_credentials(value)
                    break
        if self.emails and "@" in value:
            value = _EMAIL.sub(REDACTED, value)
        return _CARD.sub(_card, value) if self.cards else value

    def mapping(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return a copy of `fields` without secrets, at any depth.

        It holds nothing but what JSON has, and bounds as every line has them.
        """
        return copied(fields, _MOST_BYTES, _Copy, redaction=self)

    def _without_credentials(self, value: str) -> str:
        for pattern in _CREDENTIALS:
            value = pattern.sub(REDACTED, value)
        return _ASSIGNMENT.sub(self._assigned, value)

    def _assigned(self, match: re.Match[str]) -> str:
        before = _WORD_BEFORE.search(match.string[max(match.start() - _AROUND_CHARACTERS, 0) : match.start()])
        name = (before.group() if before else "") + match["name"]
        return match.group() if _plain(name) in self._allowed else f"{match['name']}{match['sign']}{REDACTED}"


class _Copy(Plain):
    """One copy of one record's fields, without the secrets."""

    def __init__(self, left_bytes: int, redaction: Redaction) -> None:
        super().__init__(left_bytes)
        self._redaction = redaction

    def key(self, value: object) -> str:
        return self.kept(self._redaction.name(value)[1], KEY_BYTES)

    def item(self, key: object, value: object, depth: int) -> object:
        if value is not None and self._redaction.secret(key):
            return REDACTED
        return self.value(value, depth)

    def scalar(self, value: object) -> object:
        if self._redaction.cards and type(value) is int and _SMALLEST_CARD <= value < _LARGEST_CARD and _is_card(repr(value)):
            return REDACTED
        return super().scalar(value)

    def readable(self, value: str) -> str:
        return self._redaction.text(value)


def _plain(name: str) -> str:
    return _PUNCTUATION.sub("", name.lower())


def _card(match: re.Match[str]) -> str:
    if not _is_card(re.sub("[ -]", "", match.group())):
        return match.group()
    before = _WORD_BEFORE.search(match.string[max(match.start() - _AROUND_CHARACTERS, 0) : match.start()])
    after = _WORD_AFTER.match(match.string[match.end() : match.end() + _AROUND_CHARACTERS])
    word = f"{before.group() if before else ''}{match.group()}{after.group() if after else ''}"
    return match.group() if _TRACE_OR_UUID.fullmatch(word) else REDACTED


def _is_card(digits: str) -> bool:
    """Whether the digits begin as cards do, and the last one is right (ISO/IEC 7812-1, annex B)."""
    if digits[0] == "2" and int(digits[:4]) not in _SECOND_SERIES:
        return False
    total = sum(int(digit) for digit in digits[-1::-2])
    total += sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return total % 10 == 0
