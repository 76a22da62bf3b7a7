"""The secrets: who reads which one, and the one-shot script that hands them out under compose.

Each component sees its own secrets only, in a volume of its own, as files that its user alone can read. What is missing on
the first start is made (passwords), leads to the inbox (accounts that the user does not have yet), or stops the start.
"""

import shlex
from typing import Final, Literal

from msgspec import Struct

from specwatch import names
from specwatch.render._users import user
from specwatch.stack import Secret, Stack
from specwatch.topology import Topology

SCRIPT: Final = "init/secrets.sh"

# For keys that are no address: as long as PagerDuty's, and plainly nobody's.
_PLACEHOLDER: Final = "0" * 32

_FUNCTIONS: Final = r"""
set -eu
umask 077

# A folder that was missing has just been made by Docker, for root: give it to the person who owns this script.
if [ -z "$(ls -A "$secrets")" ]; then chown "$(stat -c %u:%g "$0")" "$secrets"; fi
chmod 0700 "$secrets"
owner=$(stat -c %u:%g "$secrets")
missing=

# forget COMPONENT NAME...: removes every file from the component's volume that is not one of its secrets any more.
forget() {
  component=$1
  shift
  for file in "$volumes/$component"/* "$volumes/$component"/.*.new; do
    wanted=
    for name; do [ "$file" != "$volumes/$component/$name" ] || wanted=yes; done
    [ -n "$wanted" ] || rm -f "$file"
  done
}

# give COMPONENT UID NAME FALLBACK [TEXT]: copies the secret into the component's volume, without the newline that editors end a file
# with: not every component takes it away, and in a header it is a fault.
give() {
  source=$secrets/$3
  text=
  [ ! -e "$source" ] || text=$(cat "$source")
  if [ -z "$text" ] && [ "$4" = password ]; then
    LC_ALL=C tr -dc A-Za-z0-9 < /dev/urandom | head -c 32 > "$secrets/.$3.new"
    chown "$owner" "$secrets/.$3.new"
    mv "$secrets/.$3.new" "$source"
    text=$(cat "$source")
    printf 'secrets/%s made: a random password for %s\n' "$3" "$1"
  fi
  fresh=$volumes/$1/.$3.new
  rm -f "$fresh"
  if [ -n "$text" ]; then
    printf %s "$text" > "$fresh"
  elif [ "$4" = inbox ]; then
    printf %s "$5" > "$fresh"
    printf 'secrets/%s is not there: until it is, %s sends to the inbox\n' "$3" "$1"
  else
    printf 'secrets/%s is missing or empty: put what %s needs into this file (mode 0600) and start again\n' "$3" "$1" >&2
    missing=yes
    return
  fi
  chmod 0400 "$fresh"
  chown "$2" "$fresh"
  mv -f "$fresh" "$volumes/$1/$3"
}
"""


class SecretCopy(Struct, frozen=True, kw_only=True):
    """One secret for one component.

    `uid` is the user that reads it; `fallback` is "password" (made once, kept with the user's secrets), "inbox" (`text` stands in, in
    the component's copy alone) or "none" (the user must supply it).
    """

    name: str
    component: str
    uid: int
    fallback: Literal["password", "inbox", "none"]
    text: str = ""


def plan(stack: Stack, topology: Topology) -> tuple[SecretCopy, ...]:
    """Return every copy that is to be made, ordered as the stack's components are; both runtimes carry it out."""
    return tuple(
        _copy(stack, topology, secret, component)
        for component in stack.components
        for secret in stack.secrets
        if component in secret.components
    )


def render(stack: Stack, topology: Topology) -> dict[str, str]:
    """Return the script of the one-shot `secrets` service; its arguments are the folders of the secrets and of the volumes."""
    copies = plan(stack, topology)
    if not copies:
        return {}
    lines = ["#!/bin/sh", *(f"# {line}" for line in names.header(stack).splitlines()), "secrets=$1", "volumes=$2", _FUNCTIONS]
    for component in dict.fromkeys(copy.component for copy in copies):
        own = [copy for copy in copies if copy.component == component]
        lines.append(shlex.join(["forget", component, *(copy.name for copy in own)]))
        lines += [shlex.join(["give", component, str(copy.uid), copy.name, copy.fallback, copy.text]) for copy in own]
    lines.append('[ -z "$missing" ]\n')
    return {SCRIPT: "\n".join(lines)}


def _copy(stack: Stack, topology: Topology, secret: Secret, component: str) -> SecretCopy:
    uid = int(user(stack, component).partition(":")[0])
    if secret.fallback != "inbox":
        return SecretCopy(name=secret.name, component=component, uid=uid, fallback=secret.fallback)
    if not stack.has("inbox"):
        return SecretCopy(name=secret.name, component=component, uid=uid, fallback="none")
    text = topology.url("inbox", secret.inbox_path.lstrip("/")) if secret.inbox_path else _PLACEHOLDER
    return SecretCopy(name=secret.name, component=component, uid=uid, fallback="inbox", text=text)
