"""The settings as every dockerd can read them, wherever they are written for it.

Pure. dockerd has no proxy for all (FACTS 7), and old ones know no socks5h (FACTS 8).
Not known here: how a place spells and quotes the three texts.
"""

from __future__ import annotations

from agent.values.settings import Masked, Proxy, ProxyUrl, Settings, Texts, Unparsable, settings


def as_seen(wanted: Settings) -> Settings:
    """What dockerd reports when it runs with these settings."""
    return settings(_as_seen(wanted.http), _as_seen(wanted.https), wanted.no_proxy)


def as_written(wanted: Settings) -> Texts:
    """The three texts, with user and password."""
    return Texts(_url(wanted.http), _url(wanted.https), wanted.no_proxy_text)


def as_compared(settings: Settings) -> Texts:
    """The three texts of any settings found, valid or not: to be hashed or compared, never written."""
    return Texts(_raw(settings.http), _raw(settings.https), settings.no_proxy_text)


def _as_seen(value: Proxy | None) -> Proxy | None:
    return value.as_dockerd_sees_it() if isinstance(value, ProxyUrl) else value


def _url(value: Proxy | None) -> str:
    if value is None:
        return ""
    return value.reveal_for_dockerd() if isinstance(value, ProxyUrl) else value.reveal()


def _raw(value: Proxy | None) -> str:
    if isinstance(value, Unparsable):
        return value.text.reveal()
    if value is not None and isinstance(value.credentials, Masked):
        return str(value)
    return _url(value)
