"""No rendering of anything that holds a password shows it: not for a person, a log, the journal or the audit log."""

from __future__ import annotations

import base64
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from agent.audit import logs
from agent.audit.chain import GENESIS, Entry, sealed
from agent.audit.facts import plain
from agent.values.errors import PolicyRefused, TargetFailed
from agent.values.events import Event
from agent.values.policy import Policy, Upstream
from agent.values.remark import Remark
from agent.values.secret import Secret, redacted
from agent.values.sentences import sentence
from agent.values.settings import Credentials, ProxyUrl, Scheme, Settings, Texts, proxy, settings
from agent.values.verdict import Outcome, Verdict

USER = "zoë-token-4711"

# Long and odd enough to stand nowhere by chance; '•' and '‹' are what is shown instead.
PASSWORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="•‹›"), min_size=3, max_size=12).map(
    lambda text: f"Q7{text}#x%Zq@9"
)
IN_A_WORD = PASSWORDS.filter(lambda text: not any(char.isspace() for char in text))

on_a_busy_machine = examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])


pytestmark = pytest.mark.usefixtures("logging_as_before")


def spellings(password: str) -> set[str]:
    """The password in every form in which it could have been written down."""
    both = f"{USER}:{password}"
    forms = {password, quote(password, safe=""), quote(password), repr(password)[1:-1], json.dumps(password)[1:-1]}
    forms |= {json.dumps(password, ensure_ascii=False)[1:-1], msgspec.json.encode(password).decode()[1:-1]}
    for text in (password, both):
        raw = text.encode()
        forms |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
        forms |= {raw.hex(), repr(raw)[2:-1]}
    return forms


def holders(password: str) -> list[object]:
    """One of everything in the house that can hold a password."""
    url = ProxyUrl(Scheme.HTTP, "proxy", 3128, Credentials(USER, Secret(password)))
    upstream = Upstream("office", http=url.without_credentials(), username=USER, password=Secret(password))
    text = url.reveal()
    return [
        Secret(password),
        Credentials(USER, Secret(password)),
        url,
        proxy(text),
        settings(url, text),
        Settings(http=url, all=url),
        Texts(http=text, https=f"http://{USER}:{password}@proxy"),
        upstream,
        upstream.http_with_credentials,
        Policy(upstreams={"office": upstream}),
        Verdict(Outcome.PROXY_AUTH, f"407 from {text}"),
        {"by": [url, (Secret(password),)], "and": frozenset({Secret(password)})},
    ]


def lines_of(form: logs.Form, say: Callable[[], Any]) -> str:
    stream = io.StringIO()
    logs.configure(form=form, stream=stream)
    say()
    assert stream.getvalue()
    return stream.getvalue()


def said(event: str, **fields: object) -> None:
    logs.log.error(event, **fields)


def raised_again(error: Exception, text: str) -> Exception:
    """An error that was really raised, and another raised from it."""

    def fails() -> None:
        raise error

    def fails_again() -> None:
        try:
            fails()
        except Exception as first:
            raise RuntimeError(text) from first

    with pytest.raises(RuntimeError) as caught:
        fails_again()
    return caught.value


def audited(value: object) -> str:
    facts = {"it": plain(value), "settings": plain(value), "error": plain(value)}
    entry = Entry(ts="", seq=1, boot_id="", pass_id="", event="target-failed", trigger="", facts=facts, prev=GENESIS)
    said = [sentence(event, facts) for event in Event]
    return (
        sealed(entry)[0].decode() + "".join(said) + "".join(logs.journal_fields({"event": "offline", **facts}).values())
    )


def hides(password: str, rendering: str) -> None:
    for form in spellings(password):
        assert form not in rendering
    # What a terminal would obey is shown as \x1b: that would be a spelling, too.
    assert password not in rendering.encode().decode("unicode_escape", "replace")


@on_a_busy_machine
@given(password=PASSWORDS)
def test_a_value_does_not_show_its_password(password: str) -> None:
    for holder in holders(password):
        if isinstance(holder, (Verdict, dict)):
            continue  # a verdict's evidence is a text: see below
        hides(password, f"{holder} {holder!r} {holder!s:>40} {[holder]} {(holder,)!s}")


@on_a_busy_machine
@given(password=PASSWORDS)
def test_an_audit_record_and_its_sentence_do_not_show_it(password: str) -> None:
    for holder in holders(password):
        shown = audited(holder)
        hides(password, shown)
        assert USER not in shown


@pytest.mark.parametrize("form", [logs.Form.CONSOLE, logs.Form.JSON])
@on_a_busy_machine
@given(password=PASSWORDS)
def test_a_log_line_does_not_show_it(form: logs.Form, password: str) -> None:
    for holder in holders(password):
        shown = lines_of(form, partial(said, "offline", it=holder, them=[holder]))
        hides(password, shown)
        assert USER not in shown


@pytest.mark.parametrize("form", [logs.Form.CONSOLE, logs.Form.JSON])
@on_a_busy_machine
@given(password=PASSWORDS)
def test_neither_an_exception_nor_its_traceback_shows_it(form: logs.Form, password: str) -> None:
    url = f"http://{USER}:{quote(password, safe='')}@proxy:3128"
    secret = Secret(password)
    for error in (
        ValueError(f"cannot parse {url}"),
        TargetFailed("/etc/docker/daemon.json", f"{url} is not taken"),
        PolicyRefused("/config.toml", (Remark(f"url: {url}"),)),
        KeyError(secret),
        TypeError(ProxyUrl(Scheme.HTTP, "proxy", 1, Credentials(USER, secret))),
    ):
        caught = raised_again(error, f"{secret} {url}")
        shown = lines_of(form, partial(said, "failed", error=caught, exc_info=caught))
        assert "Traceback" in shown
        assert "RuntimeError" in shown
        hides(password, shown)
        if isinstance(error, (KeyError, TypeError)):  # those hold values, not texts: nothing has to be cut out
            hides(password, "".join(traceback.format_exception(error)))


@pytest.mark.parametrize("form", [logs.Form.CONSOLE, logs.Form.JSON])
@on_a_busy_machine
@given(password=IN_A_WORD)
def test_a_url_in_somebody_elses_text_loses_it_even_if_it_is_not_encoded(form: logs.Form, password: str) -> None:
    text = f"dial http://{USER}:{password}@proxy:3128: refused"

    hides(password, audited(text))
    hides(password, lines_of(form, lambda: logs.log.info(text, it=text, them=[{text: text}])))
    hides(password, lines_of(form, lambda: logging.getLogger("asyncio").warning("%s", text)))


class Unknown:
    """Of no type that anybody decided about."""

    def __init__(self, password: str) -> None:
        self.password = password

    def __repr__(self) -> str:
        return f"Unknown({self.password!r})"


@pytest.mark.parametrize("form", [logs.Form.CONSOLE, logs.Form.JSON])
@on_a_busy_machine
@given(password=PASSWORDS)
def test_a_type_that_nobody_decided_about_is_named_and_not_shown(form: logs.Form, password: str) -> None:
    shown = lines_of(
        form, lambda: logs.log.info("x", it=Unknown(password), raw=password.encode(), them=[Unknown(password)])
    )

    assert "‹Unknown›" in shown
    hides(password, shown)


@on_a_busy_machine
@given(password=PASSWORDS)
def test_no_encoder_and_no_pickle_takes_a_secret(password: str) -> None:
    secret = Secret(password)
    encoders: list[Callable[[object], object]] = [json.dumps, msgspec.json.encode, msgspec.to_builtins, pickle.dumps]
    for encode in encoders:
        with pytest.raises(TypeError) as refused:
            encode([secret])
        hides(password, str(refused.value))


@on_a_busy_machine
@given(password=PASSWORDS)
def test_a_url_for_a_person_does_not_show_it(password: str) -> None:
    for url in (f"http://{USER}:{password}@proxy:3128", f"http://{USER}:{quote(password, safe='')}@proxy:3128"):
        hides(password, redacted(url))
