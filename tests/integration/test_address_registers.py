# SPDX-License-Identifier: Apache-2.0
"""Registers of one address, over all its devices: beyond the burst they wait for their turn, in order and never lost."""

import collections
import json
import time

import pytest
from harness.device import Device, channel_id
from harness.process import wait_until
from harness.sender import Vapid, b64
from harness.street import ANN, BOB
from harness.websocket import TEXT, Closed, frame

MINE, OTHER = "192.0.2.7", "192.0.2.8"
OFF_THE_CURVE = b64(b"\4" + b"\1" * 64)


def start(start_relay, **flags):
    return start_relay(rate_limits="on", trusted_proxies="127.0.0.1", **flags)


def device_of(relay, address):
    device = Device(relay.port, headers=[("X-Forwarded-For", address)])
    device.hello()
    return device


def ask(device, count, **fields):
    """So many registers on their way; their channels."""
    channels = [channel_id() for _ in range(count)]
    for channel in channels:
        device.send_json({"messageType": "register", "channelID": channel, **fields})
    return channels


def answers(device, channels, status=200):
    """Those of these channels, in this order."""
    for channel in channels:
        answer = device.answer("register", 30)
        assert (answer["channelID"], answer["status"]) == (channel, status), answer


def held(relay):
    return relay.metrics()["bellwire_device_registers_held_total"]


def test_the_burst_is_that_of_all_devices(start_relay):
    relay = start(start_relay, address_registers=30, address_register_burst=4)
    devices = [device_of(relay, MINE) for _ in range(3)]
    begin = time.monotonic()
    asked = [ask(device, 2) for device in devices]
    other = device_of(relay, OTHER)
    for channels, device in zip(asked, devices):
        answers(device, channels)
    # four are there at once, and of the other two one every two seconds
    assert time.monotonic() - begin > 3
    before = held(relay)
    assert 1 <= before <= 2
    other.register()
    assert held(relay) == before
    for device in devices:
        device.expect_nothing()


def test_others_do_not_wait(start_relay):
    """While one address waits for a minute: other addresses, loopback, and what is no register."""
    relay = start(start_relay, address_registers=1, address_register_burst=2)
    mine, second = device_of(relay, MINE), device_of(relay, MINE)
    channels = ask(mine, 5)
    answers(mine, channels[:2])
    (waiting,) = ask(second, 1)
    other, local = device_of(relay, OTHER), relay.device()
    for device in (other, local):
        for _ in range(2):
            device.register()
    for _ in range(10):
        local.register()
    assert mine.ping() < 5 and second.urgency("normal")["status"] == 200
    relay.push(local.register()[1], b"flows")
    assert local.take() == b"flows"
    mine.expect_quiet()
    second.expect_quiet()
    assert waiting and relay.metrics()["bellwire_device_registers_total"] == 2 + 2 + 2 + 10 + 1


def test_order_is_kept(start_relay):
    """Also of unregisters, which wait behind the registers of their device and cost nothing themselves."""
    relay = start(start_relay, address_registers=120, address_register_burst=3)
    device = device_of(relay, MINE)
    kinds = ["register"] * 5 + ["unregister"] * 3 + ["register", "unregister"] * 5
    sent = []
    for kind in kinds:
        channel = channel_id() if kind == "register" else sent[len(sent) // 2][1]
        device.send_json({"messageType": kind, "channelID": channel})
        sent.append((kind, channel))
    for kind, channel in sent:
        answer = device.read_json(30)
        assert (answer["messageType"], answer["channelID"], answer["status"]) == (kind, channel, 200)
    assert held(relay) >= 1


def test_devices_of_an_address_take_turns(start_relay):
    """One that asks for hundreds does not keep its neighbours waiting behind all of them."""
    relay = start(start_relay, address_registers=120, address_register_burst=2)
    greedy, modest = device_of(relay, MINE), device_of(relay, MINE)
    first = ask(greedy, 200)
    answers(greedy, first[:2])
    answers(modest, ask(modest, 3))
    came = collections.Counter()
    greedy.send_frame(9, b"end")
    while (frame := greedy.read_frame())[0] != 10:
        came[json.loads(frame[1])["messageType"]] += 1
    assert came["register"] < 100, "the modest one waited behind the greedy one"


def test_a_key_costs_whether_it_is_good_or_not(start_relay):
    """Its check is what costs the relay; what has not even the form of a key is refused for nothing."""
    relay = start(start_relay, address_registers=1, address_register_burst=4)
    device = device_of(relay, MINE)
    good = Vapid().key
    answers(device, ask(device, 2, key=OFF_THE_CURVE), 400)
    answers(device, ask(device, 20, key="!"), 400)
    answers(device, ask(device, 1, key=good))
    answers(device, ask(device, 1, key=OFF_THE_CURVE), 400)
    assert held(relay) == 0
    ask(device, 1, key=OFF_THE_CURVE)
    wait_until(lambda: held(relay) == 1, 10, "one that waits")
    device.expect_quiet()
    another = device_of(relay, MINE)  # where nothing waits, the free refusals still come
    answers(another, ask(another, 5, key="!"), 400)


def test_an_ipv6_64_is_one_address(start_relay):
    relay = start(start_relay, address_registers=1, address_register_burst=3)
    one, two = device_of(relay, "2001:db8:c::1"), device_of(relay, "2001:db8:c::2")
    other = device_of(relay, "2001:db8:d::1")
    answers(one, ask(one, 2))
    answers(two, ask(two, 1))
    ask(one, 1)
    ask(two, 1)
    wait_until(lambda: held(relay) == 2, 10, "both waiting")
    answers(other, ask(other, 3))
    one.expect_quiet()
    two.expect_quiet()
    lines = [line for line in relay.process.log().splitlines() if "setting=address_registers" in line]
    assert len(lines) == 1 and "address=2001:db8:c::/64" in lines[0]


def test_the_address_of_the_socket_counts_too(start_on_street):
    """Without a proxy; a bucket outlives the sockets, so that coming back brings no new burst."""
    relay = start_on_street(address_registers=1, address_register_burst=2)
    for _ in range(2):
        with relay.resident(ANN) as device:
            device.register()
    with relay.resident(ANN) as device, relay.resident(BOB) as neighbour:
        ask(device, 1)
        wait_until(lambda: held(relay) == 1, 10, "one that waits")
        neighbour.register()
        device.expect_quiet()


def test_those_that_leave_take_their_place_along(start_relay):
    """Whoever is behind them goes on; of what they asked for nothing is stored."""
    relay = start(start_relay, address_registers=60, address_register_burst=1)
    first = device_of(relay, MINE)
    answers(first, ask(first, 1))
    leaving = [device_of(relay, MINE) for _ in range(30)]
    for device in leaving:
        ask(device, 3)
    wait_until(lambda: held(relay) >= 20, 10, "devices in line")
    staying = device_of(relay, MINE)
    channels = ask(staying, 2)
    for number, device in enumerate(leaving):
        device.reset() if number % 2 else device.close()
    answers(staying, channels)
    wait_until(lambda: relay.metrics()["bellwire_device_sockets"] == 2, 10, "the ends to be seen")
    assert relay.metrics()["bellwire_device_registers_total"] < 60, "the others took no turns"
    answers(first, ask(first, 1))


def flood(device, count):
    """So many registers in one go; whether the relay has borne it."""
    text = '{"messageType":"register","channelID":"%s"}'
    try:
        device.send(b"".join(frame(TEXT, text % channel_id()) for _ in range(count)))
        device.ping()
        return True
    except (Closed, OSError):
        return False


def test_what_waits_of_one_address_is_bounded(start_relay):
    """Those that flood are sent away, not who asks for a few, nor other addresses; and it passes."""
    relay = start(start_relay, address_registers=1, address_register_burst=1)
    modest = device_of(relay, MINE)
    answers(modest, ask(modest, 1))
    floods = [device_of(relay, MINE) for _ in range(24)]
    borne = [flood(device, 3000) for device in floods]
    # 21 times 3000 fit; from the next on they are over the bound
    assert borne == [True] * 21 + [False] * 3
    ask(modest, 60)
    other = device_of(relay, OTHER)
    other.register()
    assert modest.ping() < 10 and flood(other, 3000)
    for device in floods:
        device.close()
    wait_until(lambda: relay.metrics()["bellwire_device_sockets"] == 2, 30, "the ends to be seen")
    assert flood(modest, 1000), "their places are free again"


def test_both_rates_of_a_device(start_relay):
    """Its own, 256 and then ten a second, holds as ever, whichever of the two has less left."""
    relay = start(start_relay, address_registers=1800, address_register_burst=200)
    device, neighbour = device_of(relay, MINE), device_of(relay, MINE)
    begin = time.monotonic()
    channels = ask(device, 290)
    answers(device, channels[:1])
    answers(neighbour, ask(neighbour, 30))
    answers(device, channels[1:])
    # of 34 beyond the 256 the last come in the fourth second
    assert time.monotonic() - begin > 2
    assert held(relay) >= 1


@pytest.mark.parametrize("flags", [{"address_registers": 0}, {"rate_limits": "off"}], ids=["0", "rate_limits off"])
def test_no_limit(start_relay, flags):
    relay = start_relay(**{"rate_limits": "on", "trusted_proxies": "127.0.0.1", "address_register_burst": 1, **flags})
    device = device_of(relay, MINE)
    answers(device, ask(device, 200))
    assert held(relay) == 0
