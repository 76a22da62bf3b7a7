"""Where messages arrive while there is no Slack or mail account yet.

One program that answers as Slack, PagerDuty, Teams, Discord, Telegram, Opsgenie, a webhook and a mail server would,
keeps what it accepted in SQLite, and shows it on a page and as JSON. The package imports nothing else of its parent, so
that it also runs under the plain name ``inbox`` in its own container; it needs flask, gunicorn and aiosmtpd.
"""
