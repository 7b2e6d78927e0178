# SPDX-License-Identifier: Apache-2.0
"""Too much of one sender gets 429 with an honest Retry-After, and others do not feel it."""

import time

from harness.relay import assert_accepted, assert_refused
from harness.sender import Vapid


def burst(relay, endpoint, count, **kw):
    return [relay.post(endpoint, b"x", **kw) for _ in range(count)]


def test_by_push_url(start_relay):
    """Case 53: the first ten are free, then the burst, then 429; Retry-After tells the truth."""
    relay = start_relay(rate_limits="on", endpoint_rate=20, endpoint_burst=2)
    device, _, endpoint = relay.subscribed()
    _, other = device.register()
    for answer in burst(relay, endpoint, 12):
        assert_accepted(answer)
    answer = relay.post(endpoint, b"x")
    assert_refused(answer, 429, 201)
    assert 1 <= int(answer["retry-after"]) <= 3
    assert_accepted(relay.post(other, b"x"))
    time.sleep(int(answer["retry-after"]))  # what the answer asks for
    assert_accepted(relay.post(endpoint, b"x"))
    device.bodies(14)
    device.expect_nothing()


def test_a_trusted_proxy_itself_is_not_limited(start_relay):
    relay = start_relay(rate_limits="on", address_rate=1, address_burst=2, trusted_proxies="127.0.0.1 192.0.2.7")
    _, endpoint = relay.device().register()
    for address, status in (("192.0.2.7", 201), ("192.0.2.8", 429)):
        answers = burst(relay, endpoint, 20, headers=[("X-Forwarded-For", address)])
        assert answers[-1].status == status, address


def test_refused_requests_cost_nothing(start_relay):
    """A bad request does not use up the rate; a limited one is not stored."""
    relay = start_relay(rate_limits="on", endpoint_rate=1, endpoint_burst=1)
    _, _, endpoint = relay.subscribed()
    for _ in range(30):
        assert_refused(relay.post(endpoint, b"x", "bad"), 400)
    for answer in burst(relay, endpoint, 11):
        assert_accepted(answer)
    assert_refused(relay.post(endpoint, b"x"), 429)


def test_by_sender_key(start_relay):
    """Over all its subscriptions."""
    relay = start_relay(rate_limits="on", sender_rate=60, sender_burst=3)
    sender, other = Vapid(), Vapid()
    device = relay.device()
    first, second = [device.register(key=sender.key)[1] for _ in range(2)]
    third = device.register(key=other.key)[1]
    statuses = []
    for _ in range(20):
        for url, vapid in ((first, sender), (second, sender), (third, other)):
            statuses.append((url, relay.post(url, b"x", headers=[vapid.header(url)]).status))
    mine = [s for url, s in statuses if url != third]
    assert mine[:20] == [201] * 20, "the first ten of each are exempt"
    assert 429 in mine[20:]


def test_by_address_behind_a_trusted_proxy(start_relay):
    """The address is the one the proxy names; without trust the header means nothing."""
    relay = start_relay(rate_limits="on", address_rate=1, address_burst=2, trusted_proxies="127.0.0.1")
    device = relay.device()
    urls = [device.register()[1] for _ in range(2)]

    def statuses(address, url, count=14):
        return [a.status for a in burst(relay, url, count, headers=[("X-Forwarded-For", address)])]

    assert statuses("192.0.2.1", urls[0]) == [201] * 12 + [429] * 2
    assert statuses("192.0.2.2", urls[0], 2) == [201] * 2
    assert statuses("198.51.100.9, 192.0.2.1", urls[0], 1) == [
        429
    ], "the last hop counts, a client can write the others"
    assert statuses("2001:db8::1", urls[0], 2) == [201, 201]
    assert statuses("2001:db8::2", urls[0], 1) == [429], "one /64 is one address"
    assert statuses("garbage", urls[0], 1)[0] in (201, 429, 400)
    untrusting = start_relay(rate_limits="on", address_rate=1, address_burst=2)
    _, _, endpoint = untrusting.subscribed()
    answers = burst(untrusting, endpoint, 20, headers=[("X-Forwarded-For", "192.0.2.1")])
    assert [a.status for a in answers] == [201] * 20


def checked(relay):
    return relay.metrics()["bellwire_vapid_verified_total"]


def test_bad_signatures_use_up_the_address(start_relay):
    """A flood of them soon costs the relay nothing; everyone else, and what is known, is not hurt."""
    relay = start_relay(rate_limits="on", address_rate=1, address_burst=5, trusted_proxies="127.0.0.1")
    sender = Vapid()
    device = relay.device()
    channel, url = device.register(key=sender.key)
    _, fresh = device.register(key=sender.key)

    def post(address, url, authorization, ttl=60):
        headers = [("X-Forwarded-For", address), authorization]
        return relay.post(url, b"x", ttl, headers=headers)

    def bad(url):
        return sender.header(url, signature=lambda s: s[:-1] + bytes([s[-1] ^ 1]))

    known = sender.header(url)
    assert_accepted(post("192.0.2.2", url, known))
    before = checked(relay)
    answers = [post("192.0.2.1", url, bad(url)) for _ in range(60)]
    for answer in answers[:15]:  # its burst, and ten for the first messages of the URL
        assert_refused(answer, 403, 109)
    limited = [answer for answer in answers if answer.status == 429]
    # a minute brings one more, should this take so long
    assert len(limited) >= 40 and checked(relay) - before <= 20
    for answer in limited:
        assert_refused(answer, 429, 201)
        assert 1 <= int(answer["retry-after"]) <= 60
    # what needs no check has its place in the order as ever, and so have the first ten messages of a URL
    assert_accepted(post("192.0.2.1", url, known))
    assert_refused(post("192.0.2.1", url, known, "bad"), 400)
    assert_refused(relay.post(url, b"x", headers=[("X-Forwarded-For", "192.0.2.1")]), 401)
    for _ in range(10):
        assert_accepted(post("192.0.2.1", fresh, sender.header(fresh)))
    assert_accepted(post("192.0.2.2", url, sender.header(url)))
    device.unregister(channel)
    assert_refused(post("192.0.2.1", url, bad(url)), 410)


def test_message_with_a_new_token_counts_once(start_relay):
    """For its address, whether the token is new each time or always the same."""
    relay = start_relay(rate_limits="on", address_rate=1, address_burst=20, trusted_proxies="127.0.0.1")
    sender = Vapid()
    _, url = relay.device().register(key=sender.key)
    proxied = ("X-Forwarded-For", "192.0.2.1")
    answers = [relay.post(url, b"x", headers=[proxied, sender.header(url)]) for _ in range(26)]
    statuses = [answer.status for answer in answers]
    # the check of the first ten counts, though the messages do not
    assert statuses[:20] == [201] * 20 and 429 in statuses[20:]


def test_bad_signatures_without_limits(start_relay):
    relay = start_relay(rate_limits="off", address_rate=1, address_burst=1, trusted_proxies="127.0.0.1")
    sender = Vapid()
    _, url = relay.device().register(key=sender.key)
    bad = sender.header(url, signature=lambda s: bytes(64))
    answers = burst(relay, url, 30, headers=[("X-Forwarded-For", "192.0.2.1"), bad])
    assert [a.status for a in answers] == [403] * 30
