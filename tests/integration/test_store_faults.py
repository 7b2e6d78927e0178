# SPDX-License-Identifier: Apache-2.0
"""A store that fails, answers late or not at all, one operation at a time: nothing accepted is lost, nothing
acknowledged comes again, no identity is forgotten, and all is well once the store is."""

import time

import pytest
from harness.device import Device, channel_id
from harness.process import wait_until
from harness.relay import assert_refused, path_of, run_relay
from harness.websocket import Closed

DEADLINE_SEC = 5
# what a busy machine may take for what waits for nothing
BUSY_SEC = 4.5
# the first two calls meet it
QUICK = ["unavailable:2", "lost:2", "delay-300:2"]
ACTIONS = [*QUICK, "drop:1"]


@pytest.fixture
def faulty(start_relay):
    """faulty("put=lost:2", ...): a relay whose store obeys these rules."""
    return lambda *rules: start_relay("fault:memory:?" + "&".join(rules))


def post_until_accepted(relay, endpoint, body, timeout=15):
    """As a sender does: again after a 503. How many were refused; each within the store's deadline."""
    refused = 0
    deadline = time.monotonic() + timeout
    while True:
        begin = time.monotonic()
        answer = relay.post(endpoint, body, ttl=600)
        assert time.monotonic() - begin < DEADLINE_SEC + BUSY_SEC
        if answer.status == 201:
            return refused
        assert_refused(answer, 503)
        refused += 1
        assert time.monotonic() < deadline


def reconnect(relay, uaid, timeout=15):
    """A client that comes back until it is greeted; it must never be given another identity."""
    deadline = time.monotonic() + timeout
    while True:
        device = Device(relay.port)
        device.send_json({"messageType": "hello", "use_webpush": True, "uaid": uaid})
        try:
            assert device.read_hello(timeout=10)["uaid"] == uaid
            return device
        except Closed as closed:
            assert closed.code is None, "only a bare end makes every client try again"
            assert time.monotonic() < deadline


def drain(device, count):
    """Takes messages until count different ones came; none may come twice on one socket."""
    bodies = []
    while len(set(bodies)) < count:
        bodies.append(device.take())
    return bodies


@pytest.mark.parametrize("action", ACTIONS)
def test_put(faulty, action):
    """503 with Retry-After; what was accepted comes, in order, once; a refused one at most as its outcome was unknown."""
    relay = faulty(f"put={action}@1")
    device, _, endpoint = relay.subscribed()
    refused = [post_until_accepted(relay, endpoint, b"%d" % i) for i in range(6)]
    assert sum(refused) == (0 if "delay" in action else int(action.split(":")[1]))
    bodies = drain(device, 6)
    assert [int(b) for b in sorted(set(bodies))] == list(range(6)) and bodies == sorted(bodies), bodies
    if "lost" not in action:
        assert len(bodies) == 6
    device.settle()
    device.close()
    again = relay.device(device.uaid)
    copies = again.bodies(7 + 1 - len(bodies)) if "lost" in action else []  # refused, and yet stored
    assert copies == [b"1"] * len(copies)
    again.ack(*again.waiting)
    again.expect_nothing(0.3)


@pytest.mark.parametrize("action", ACTIONS)
def test_put_to_one_who_is_away(faulty, action):
    relay = faulty(f"put={action}")
    device, _, endpoint = relay.subscribed()
    device.close()
    for i in range(4):
        post_until_accepted(relay, endpoint, b"%d" % i)
    again = relay.device(device.uaid)
    assert sorted(set(drain(again, 4))) == [b"0", b"1", b"2", b"3"]
    again.settle()
    again.close()
    relay.device(device.uaid).expect_nothing(0.3)


@pytest.mark.parametrize("action", ACTIONS)
def test_attach(faulty, action):
    """A hello never gets a wrong answer: the identity stays, and so does the queue."""
    relay = faulty(f"attach={action}")
    device, _, endpoint = relay.subscribed()
    device.close()
    relay.push(endpoint, b"kept")
    again = reconnect(relay, device.uaid)
    assert again.take() == b"kept"
    relay.push(endpoint, b"live")
    assert again.take() == b"live"


@pytest.mark.parametrize("action", ACTIONS)
def test_subscribe(faulty, action):
    """500 without an endpoint; the next try of the same channel succeeds, and its endpoint works."""
    relay = faulty(f"subscribe={action}")
    device = relay.device()
    channel = channel_id()
    refused = 0
    while (answer := device.ask_register(channel))["status"] != 200:
        assert answer["status"] == 500 and "pushEndpoint" not in answer
        refused += 1
        assert refused < 3
    assert refused == (0 if "delay" in action else int(action.split(":")[1]))
    relay.push(answer["pushEndpoint"], b"x")
    assert device.take() == b"x"
    device.close()
    assert relay.device(device.uaid).register(channel)[1] == answer["pushEndpoint"]


@pytest.mark.parametrize("action", QUICK)
def test_unsubscribe(faulty, action):
    """Never 200 for what did not happen."""
    relay = faulty(f"unsubscribe={action}")
    device, channel, endpoint = relay.subscribed()
    statuses = []
    while 200 not in statuses:
        device.send_json({"messageType": "unregister", "channelID": channel, "code": 200})
        statuses.append(device.answer("unregister")["status"])
        assert set(statuses) <= {200, 500} and len(statuses) < 4
    assert_refused(relay.post(endpoint, b"x"), 410)


@pytest.mark.parametrize("action", ACTIONS)
def test_ack(faulty, action):
    """Acknowledged is acknowledged: the relay brings it to the store when that can, even if the device has gone."""
    relay = faulty(f"ack={action}")
    device, _, endpoint = relay.subscribed()
    for i in range(4):
        relay.push(endpoint, b"%d" % i)
    for message in device.notifications(4):
        device.ack(message)
    assert device.ping() < BUSY_SEC
    device.close()
    wait_until(lambda: relay.metrics()["bellwire_messages_queued"] == 0, 15, "the acknowledgements at the store")
    again = relay.device(device.uaid)
    again.expect_nothing(0.3)
    relay.push(endpoint, b"next")
    assert again.take() == b"next"


@pytest.mark.parametrize("action", ["unavailable:2", "lost:2"])
def test_ack_then_a_new_socket(faulty, action):
    """The device is back before the store has its acknowledgements."""
    relay = faulty(f"ack={action}")
    device, _, endpoint = relay.subscribed()
    relay.push(endpoint, b"1")
    assert device.take() == b"1"
    device.ping()
    device.close()
    again = relay.device(device.uaid)
    again.expect_nothing(0.3)


@pytest.mark.parametrize("action", ACTIONS)
def test_fetch(faulty, action):
    """The queue comes by itself, in order, on the same socket."""
    relay = faulty(f"fetch={action}@1")
    device, _, endpoint = relay.subscribed()
    device.close()
    for i in range(100):
        relay.push(endpoint, b"%d" % i)
    again = relay.device(device.uaid)
    assert [int(again.take(timeout=15)) for _ in range(100)] == list(range(100))
    again.expect_nothing(0.3)


@pytest.mark.parametrize("action", QUICK)
def test_lookup(faulty, action):
    """Whether a bad request is 400 or 404 cannot be told: 503, so that no sender gives a subscription up."""
    relay = faulty(f"lookup={action}")
    _, _, endpoint = relay.subscribed()
    statuses = [relay.post(endpoint, b"x", ttl="bad").status for _ in range(3)]
    expected = [400] * 3
    if "delay" not in action:
        expected[: int(action.split(":")[1])] = [503] * int(action.split(":")[1])
    assert statuses == expected
    relay.push(endpoint, b"x")


@pytest.mark.parametrize("action", QUICK)
def test_cancel(faulty, action):
    relay = faulty(f"cancel={action}")
    device, _, endpoint = relay.subscribed()
    device.close()
    message = relay.push(endpoint, b"x")["location"]
    statuses = []
    while not {204, 404} & set(statuses):
        statuses.append(relay.request("DELETE", path_of(message)).status)
        assert set(statuses) <= {204, 404, 503} and len(statuses) < 4
    assert (404 in statuses) <= ("lost" in action), "done the first time, then gone"
    relay.device(device.uaid).expect_nothing(0.3)


@pytest.mark.parametrize("operation", ["detach", "set_urgency", "settle_missed"])
@pytest.mark.parametrize("action", QUICK)
def test_what_no_one_waits_for(faulty, operation, action):
    """No one notices."""
    relay = faulty(f"{operation}={action}")
    device, _, endpoint = relay.subscribed()
    for _ in range(3):
        device.urgency("normal")
        relay.push(endpoint, b"held back", urgency="low")
        relay.push(endpoint, b"now", urgency="normal")
        assert device.take() == b"now"
        device.urgency("very-low")
        assert device.take() == b"held back"
        device.close()
        device = relay.device(device.uaid)
        relay.push(endpoint, b"x")
        assert device.take() == b"x"


def test_remove_invited(faulty):
    """A revoked invite's devices go as soon as the store lets them."""
    relay = faulty("remove_invited=unavailable:1")
    flags = ("--state-dir", relay.state_dir, "--public-url", relay.base)
    added = run_relay("invite", "add", "guest", *flags)
    path = "/i/" + added.stdout.split()[0].rsplit("/", 1)[1]
    device = Device(relay.port, path)
    device.hello()
    _, endpoint = device.register()
    assert run_relay("invite", "revoke", "guest", *flags).returncode == 0
    wait_until(lambda: relay.post(endpoint, b"x").status in (404, 410), 15, "the end of the device")
    assert relay.process.log().count("not removed yet") == 1


@pytest.mark.parametrize("inner", ["memory:", "sqlite:{}/relay.db", "redis"])
def test_everything_fails_for_a_while(start_relay, start_redis, tmp_path, inner):
    """Each call fails for a while, in the middle of everything."""
    inner = start_redis().url if inner == "redis" else inner.format(tmp_path)
    relay = start_relay(f"fault:{inner}?all=unavailable:40@30&all=lost:20&all=delay-20")
    uaids = {}
    for _ in range(4):
        device = None
        while device is None:
            try:
                device = relay.device()
                _, endpoint = device.register()
            except (AssertionError, Closed):
                device = None
        uaids[device.uaid] = endpoint
        device.close()
    for endpoint in uaids.values():
        for i in range(10):
            post_until_accepted(relay, endpoint, b"%d" % i)
    for uaid in uaids:
        device = reconnect(relay, uaid)
        assert len(set(drain(device, 10))) == 10
        device.settle()
        device.close()
    for uaid in uaids:
        relay.device(uaid).expect_nothing()
    assert relay.get("/health").status == 200
