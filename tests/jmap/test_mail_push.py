# SPDX-License-Identifier: Apache-2.0
"""The good way, with servers of every style over TLS: subscribed, verified, and a mail becomes a notice and a run."""

import time

import pytest
from harness.relay import path_of
from harness.sender import Vapid, unb64
from mail import telltale_names, words_of


@pytest.fixture
def secure(start_person):
    """Relay, push URL and mail server all with TLS, as outside of tests."""

    def start(style, **settings):
        person = start_person(is_secure=True)
        person.server(style=style, allow_http=False)
        for name, value in settings.items():
            setattr(person.servers[0], name, value)
        person.login()
        person.start()
        return person

    return start


def assert_subscription(person, jmap):
    """What RFC 8620 7.2 wants of it, and what it may not give away."""
    (subscription,) = jmap.verified()
    assert set(subscription.types) == {"EmailDelivery", "Mailbox"}
    assert subscription.url.startswith(person.relay.base + "/p/") and len(subscription.url) < 512
    assert len(unb64(subscription.keys["auth"])) == 16 and len(unb64(subscription.keys["p256dh"])) == 65
    assert not [name for name in telltale_names() if name in subscription.device.lower()], subscription.device
    assert 8 <= len(subscription.device) <= 128
    return subscription


@pytest.mark.parametrize("style", ["rfc", "stalwart", "stalwart-old", "james"])
def test_a_mail_is_shown_and_fetched(secure, style):
    person = secure(style)
    (jmap,), (login,) = person.servers, person.logins
    assert_subscription(person, jmap)
    status = person.status()
    assert status["reason"] == "" and status["user"] == "ann@localhost", status
    assert 0 <= status["round_trip_ms"] < 20000 and status["verified_ms"] > 0, status
    since = time.monotonic()
    jmap.deliver(jmap.logins[login.user], "The garden <gate>", sender=("Bob & Co", "bob@example.net"))
    notice = person.wait_mail("The garden")
    both = notice.title + "\n" + notice.text
    assert "Bob & Co" in both or "Bob &amp; Co" in both, notice
    (run,) = login.runs(1)
    assert run["login"] == "work" and run["reason"] == "push", run
    assert words_of(run["types"]) == ["EmailDelivery", "Mailbox"] or set(words_of(run["types"])) >= {"EmailDelivery"}
    assert run["accounts"] == "a1" and run["mailboxes"] == "Inbox" and run["new"] == "1", run
    (push,) = jmap.pushes()
    assert push.status == 201
    assert len(jmap.asked(since=since)) == 1, [request.calls for request in jmap.asked(since=since)]
    person.assert_once("The garden")


@pytest.mark.parametrize("style", ["rfc", "stalwart-old"])
def test_verification_before_the_answer(secure, style):
    """RFC 8620 7.2.2: the code may come before the creation's answer, and then at once once it is known whose it is."""
    person = secure(style, verify_first=True)
    (jmap,) = person.servers
    assert_subscription(person, jmap)
    assert len(jmap.pushes("PushVerification")) == 1
    jmap.deliver(jmap.logins["ann@localhost"], "early")
    person.wait_mail("early")


def test_only_the_server_may_push(secure):
    """RFC 9749: the endpoint is bound to the server's key."""
    person = secure("stalwart")
    (jmap,) = person.servers
    (subscription,) = jmap.verified()
    url = subscription.url
    assert person.relay.post(path_of(url), b"x").status == 401
    assert person.relay.post(path_of(url), b"x", headers=[Vapid().header(url)]).status == 403
    assert person.relay.post(path_of(url), b"x", headers=[jmap.pusher.vapid.header(url)]).status == 201
    person.assert_once()
    assert len(jmap.verified()) == 1


def rotated(person):
    """The subscription that is bound to the new key, when it is the only one left."""
    (jmap,) = person.servers

    def there():
        found = jmap.verified()
        return found[0] if len(found) == 1 and found[0].vapid is jmap.pusher.vapid else None

    return person.wait(there, 30, "a subscription with the new key")


def test_rotated_key(secure):
    """The server goes on with the old key for a while; the next look finds the new one, and nothing is lost."""
    person = secure("rfc")
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    (old,) = jmap.verified()
    jmap.rotate_vapid(is_forgetful=False)
    jmap.deliver(ann, "by the old key")
    person.wait_mail("by the old key")
    new = rotated(person)
    assert new.id != old.id and new.url != old.url and new.device == old.device
    assert person.relay.post(path_of(new.url), b"x", headers=[old.vapid.header(new.url)]).status == 403
    person.wait_way("push")
    jmap.deliver(ann, "by the new key")
    person.wait_mail("by the new key")
    person.assert_once("by the old key", "by the new key")


def test_rotated_key_of_a_forgetful_server(secure):
    """It drops what is bound to the old key without a word; whatever makes us look mends it."""
    person = secure("rfc")
    (jmap,) = person.servers
    ann = jmap.logins["ann@localhost"]
    jmap.rotate_vapid()
    jmap.deliver(ann, "unheard")
    person.relay.restart()  # a look that comes of the link
    rotated(person)
    person.wait_mail("unheard")
    person.assert_once("unheard")
