# SPDX-License-Identifier: Apache-2.0
"""Certificates that prove nothing: no password is sent, the reason is plain, and it is said once."""

import pytest
from harness.process import free_port
from mail import PASSWORD


def assert_refused(person, *words):
    (jmap,), (login,) = person.servers, person.logins
    person.wait_reason(*words)
    status = person.status()
    assert status["way"] == "none" and "localhost" in status["server"] + status["reason"], status
    assert jmap.requests == []
    person.wait(lambda: 0 < person.status()["again_ms"] <= 300 * 1000, 20, "another attempt")  # it may be a login page's
    person.assert_no_secret(PASSWORD)


@pytest.mark.parametrize(
    "kind, words",
    [
        ("self-signed", ("self-signed",)),
        ("expired", ("expired",)),
        ("wrong-name", ("not for localhost",)),
    ],
)
def test_bad_certificate(start_person, kind, words):
    person = start_person()
    person.server(certificate=kind)
    person.login()
    person.start(is_verified=False)
    assert_refused(person, *words)
    assert "certificate" in person.status()["reason"].lower()


def test_authority_that_is_not_known(start_person):
    person = start_person()
    person.server()
    person.login(ca_file=None)
    person.start(is_verified=False)
    assert_refused(person, "authority that is not trusted")


def test_no_tls_at_all(start_person):
    """Where TLS is expected somebody speaks plain text."""
    person = start_person()
    jmap = person.server(is_tls=False)
    person.login(session_url=f"https://localhost:{jmap.port}/.well-known/jmap")
    person.start(is_verified=False)
    assert_refused(person, "no TLS")


def test_nobody_there(start_person):
    person = start_person()
    jmap = person.server()
    port = free_port()
    person.login(session_url=f"https://localhost:{port}/.well-known/jmap")
    person.start(is_verified=False)
    person.wait_reason("refused", "unreachable", "cannot be reached", "connect")
    person.wait(lambda: person.status()["again_ms"] > 0, 20, "another attempt")
    assert jmap.requests == []


@pytest.mark.parametrize("is_trusted", [True, False])
def test_redirect_to_another_host(start_person, is_trusted):
    """RFC 8620 2.2: followed, and the other host gets the password only when its certificate is good."""
    person = start_person()
    first, second = person.server(), person.server()
    first.redirect_to = f"https://127.0.0.1:{second.port}/jmap/session"
    both = person.directory / "both.pem"
    both.write_bytes(first.ca_file.read_bytes() + (second.ca_file.read_bytes() if is_trusted else b""))
    login = person.login(server=first, ca_file=both)
    if is_trusted:
        login.server = second  # where it ends
        second.origin = f"https://127.0.0.1:{second.port}"
        login.keys["session_url"] = first.well_known
        person.start()
        assert not first.asked()
        person.assert_once()
    else:
        person.start(is_verified=False)
        person.wait_reason("authority that is not trusted")
        assert second.requests == []


def test_good_again(start_person):
    """The operator renews the certificate: it comes right at the next attempt."""
    person = start_person()
    jmap = person.server(certificate="expired")
    person.login()
    person.start(is_verified=False)
    person.wait_reason("expired")
    jmap.http.context = jmap.authority.server_context("good")
    assert person.tool("jmap", "test", "work").returncode == 0
    person.wait_verified()
    person.assert_once()
