"""A complete mail server that one person can run: the control plane around Postfix, Dovecot, Rspamd and nginx."""

__version__ = "3.0.0.dev0"
