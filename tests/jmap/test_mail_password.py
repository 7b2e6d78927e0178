# SPDX-License-Identifier: Apache-2.0
"""Passwords that are wrong, change or expire, and accounts that are locked: said once, no hammering, mended by itself."""

import pytest
from mail import PASSWORD, count_for

HAMMERING = 4  # more requests than that in a few seconds are no patience


def ann(person):
    return person.servers[0].logins["ann@localhost"]


def refused(jmap, status=401):
    return [request for request in list(jmap.requests) if request.status == status]


def test_wrong_password(person):
    """From the start. What the user does about it is heeded at once."""
    (jmap,), (login,) = person.servers, person.logins
    login.set_password("not the password")
    person.start(is_verified=False)
    person.wait_reason("password")
    status = person.status()
    assert status["way"] == "none", status
    (notice,) = person.desktop.wait("password")
    assert "work" in notice or "ann@localhost" in notice, notice
    assert count_for(5, lambda: len(jmap.requests)) <= HAMMERING
    assert len(refused(jmap)) <= HAMMERING and not jmap.asked()
    assert len(person.trouble()) == 1, person.trouble()
    login.set_password(PASSWORD)
    done = person.tool("jmap", "test", "work")
    assert done.returncode == 0, done
    person.wait_verified()
    person.desktop.wait_withdrawn(notice)
    assert person.status()["reason"] == ""
    person.assert_once()


def test_password_changed_meanwhile(person):
    """password_command gives the new one: nobody notices."""
    (jmap,), (login,) = person.servers, person.logins
    person.start()
    asked = login.password_was_asked()
    ann(person).password = "other"
    login.set_password("other")
    jmap.deliver(ann(person), "for the new password")
    person.wait_mail("for the new password")
    assert len(refused(jmap)) == 1 and login.password_was_asked() == asked + 1
    person.assert_once("for the new password")
    assert person.trouble() == [] and len(refused(jmap)) == 1


def test_password_changed_and_nobody_told_us(person):
    """Pushes go on; they do not lead to attempts at each. The mail of that time is shown in the end."""
    (jmap,), (login,) = person.servers, person.logins
    person.start()
    ann(person).password = "other"
    for number in range(20):
        jmap.deliver(ann(person), f"number {number}.")
    person.wait_reason("password")
    (notice,) = person.desktop.wait("password")

    def pushed():
        jmap.deliver(ann(person), "one more", is_quiet=True)
        jmap.announce(ann(person).own, ("EmailDelivery",))
        return len(refused(jmap))

    for _ in range(10):
        pushed()
    assert count_for(4, lambda: len(refused(jmap))) <= HAMMERING
    login.set_password("other")
    assert person.tool("jmap", "test", "work").returncode == 0
    person.desktop.wait_withdrawn(notice)
    person.desktop.wait("30")  # so many are new: a summary
    person.assert_once()
    assert len(person.desktop.about("password")) == 1


def test_password_is_tried_again_after_hours(start_person):
    """The user mends the file and does nothing else."""
    person = start_person(has_clock=True)
    (jmap,) = [person.server()]
    login = person.login()
    person.start()
    ann(person).password = "other"
    jmap.deliver(ann(person), "for whoever knows it")
    person.wait_reason("password")
    person.clock.advance(5 * 3600)
    assert len(refused(jmap)) <= HAMMERING
    login.set_password("other")
    person.clock.advance(2 * 3600)
    person.wait_mail("for whoever knows it")
    person.wait_way("push")
    person.assert_once("for whoever knows it")


def test_bearer_token_expires(person):
    """OAuth: the command gives a fresh one when the server refuses the old."""
    (jmap,), (login,) = person.servers, person.logins
    login.keys["auth"] = "bearer"
    ann(person).bearer = "first.token"
    login.set_password("first.token")
    person.start()
    assert all(r.headers["Authorization"].startswith("Bearer ") for r in jmap.asked())
    for number in range(3):
        ann(person).bearer = f"token.{number}"
        login.set_password(f"token.{number}")
        jmap.deliver(ann(person), f"token number {number}")
        person.wait_mail(f"token number {number}")
    assert len(refused(jmap)) == 3
    assert person.trouble() == []


def test_locked_later(person):
    """403: the account, not the password; it comes back when the server lets us in again."""
    (jmap,), (login,) = person.servers, person.logins
    person.start()
    ann(person).is_locked = True
    jmap.deliver(ann(person), "behind the lock")
    person.wait_reason("lock", "forbid", "refuse", "may not", "403")
    person.wait(lambda: len(person.trouble()) == 1, 20, "a notice")
    for _ in range(10):
        jmap.announce(ann(person).own, ("EmailDelivery",))
    assert count_for(4, lambda: len(refused(jmap, 403))) <= HAMMERING and len(person.trouble()) == 1
    ann(person).is_locked = False
    assert person.tool("jmap", "test", "work").returncode == 0
    person.wait_mail("behind the lock")
    person.desktop.wait_withdrawn(person.trouble()[0])
    person.assert_once("behind the lock")
    assert person.status()["reason"] == ""


@pytest.mark.parametrize("kind", ["missing", "fails", "empty"])
def test_password_command_that_does_not_work(start_person, kind):
    """Tried again for a while (a keyring may come with the session), then said; it comes right by itself."""
    person = start_person(has_clock=True)
    jmap = person.server()
    login = person.login()
    scripts = {
        "fails": "#!/bin/sh\necho 'gpg: decryption failed: No secret key' >&2\nexit 2\n",
        "empty": "#!/bin/sh\nexit 0\n",
    }
    if kind == "missing":
        login.script.unlink()
    else:
        login.script.write_text(scripts[kind])
    person.start(is_verified=False)
    person.wait_reason("password_command")
    assert not jmap.requests or not any(r.headers.get("Authorization") for r in jmap.requests)
    if kind == "fails":
        assert "gpg: decryption failed" in person.status()["reason"]
    (notice,) = person.pass_time(person.trouble, 300, "a notice", step=5)
    login.script.write_text(f"#!/bin/sh\ncat {login.file}\n")
    login.script.chmod(0o700)
    person.pass_time(lambda: jmap.verified(), 600, "a login", step=10)
    person.wait_verified()
    person.desktop.wait_withdrawn(notice)
    assert len(person.trouble()) == 1


def test_password_command_that_waits_for_its_user(person):
    """A question on the screen takes its time; nothing else waits for it, and the daemon can end meanwhile."""
    (jmap,), (login,) = person.servers, person.logins
    gate = person.directory / "typed"
    login.script.write_text(f"#!/bin/sh\nwhile ! test -e {gate}; do sleep 0.05; done\ncat {login.file}\n")
    person.start(is_verified=False)
    person.wait_reason("waits for the password")
    person.restart()
    person.wait_reason("waits for the password")
    assert not jmap.requests and not person.trouble()
    gate.touch()
    person.wait_verified()
    person.assert_once()
