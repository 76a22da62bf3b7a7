#!/bin/sh
# Made by specwatch from spec.yaml: edit that file and run `specwatch generate`, not this one.
secrets=$1
volumes=$2

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

forget alertmanager slack_webhook
give alertmanager 65534 slack_webhook inbox http://inbox:8025/slack/inbox
forget grafana grafana_admin_password
give grafana 472 grafana_admin_password password ''
[ -z "$missing" ]
