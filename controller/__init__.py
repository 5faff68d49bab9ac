"""Serinus: ingress canary releases by account, header, cookie and weight."""

__version__ = "0.1.0"
