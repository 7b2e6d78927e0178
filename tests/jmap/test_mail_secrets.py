# SPDX-License-Identifier: Apache-2.0
"""Passwords: in no log, no process list, no state file but the private one; odd characters are sent as they are."""

import base64

import pytest

ODD = "s3cret \"quo'te\\ $HOME %20 äö€:tail"


def forms(user, password):
    """How it might be written down by mistake."""
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    return password, basic, base64.b64encode(password.encode()).decode()


def test_the_password_is_nowhere(start_person):
    """Through a whole life: wrong, right, pushes, moves, an end."""
    person = start_person()
    jmap = person.server()
    ann = jmap.logins["ann@localhost"]
    ann.password = ODD
    login = person.login(password="Wr0ng-" + ODD)
    person.start(is_verified=False)
    person.wait_reason("password")
    login.set_password(ODD)
    outputs = []
    for words in (("jmap", "test", "work"), ("jmap", "list"), ("status",), ("log",), ("apps",)):
        done = person.tool(*words)
        outputs += [done.stdout, done.stderr]
    person.wait_verified()
    jmap.deliver(ann, "one")
    person.wait_mail("one")
    secrets = [*forms("ann@localhost", ODD), *forms("ann@localhost", "Wr0ng-" + ODD)]
    person.assert_no_secret(*secrets, extra=outputs)
    assert all(secret not in str(run) for run in login.runs(1) for secret in secrets)
    (subscription,) = jmap.verified()
    person.assert_no_secret(subscription.code)
    person.restart()
    person.wait_way("push")
    person.daemon.stop()
    person.assert_no_secret(*secrets)


@pytest.mark.parametrize("password", [ODD, " leading and trailing ", "x" * 1000], ids=["odd", "blanks", "long"])
def test_odd_passwords(start_person, password):
    person = start_person()
    jmap = person.server()
    jmap.logins["ann@localhost"].password = password
    person.login(password=password)
    person.start()
    person.assert_once()


def test_endpoints_are_not_logged(person):
    """Nor the URL of the push, nor a mail's text."""
    (jmap,) = person.servers
    person.start()
    (subscription,) = jmap.verified()
    jmap.deliver(jmap.logins["ann@localhost"], "a private subject", preview="a private preview")
    person.wait_mail("a private subject")
    person.assert_once()
    token = subscription.url.rsplit("/", 1)[1]
    log = person.daemon.process.log()
    assert token not in log and subscription.keys["auth"] not in log
    assert "a private preview" not in log and "a private subject" not in log
