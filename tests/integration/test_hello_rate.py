# SPDX-License-Identifier: Apache-2.0
"""A herd that returns at once is let in at a bounded rate; nobody is refused, everybody drains (section 10.4)."""

import time

from harness.device import Device


def test_herd(start_relay):
    relay = start_relay(hello_rate=40)
    devices = [relay.subscribed() for _ in range(20)]
    for device, _, endpoint in devices:
        device.close()
        relay.push(endpoint, b"x")
    begin = time.monotonic()
    herd = []
    for device, _, _ in devices * 4:
        socket = Device(relay.port)
        socket.send_json(
            {"messageType": "hello", "uaid": device.uaid} if len(herd) < 20 else {"messageType": "hello"}
        )
        herd.append(socket)
    for socket in herd:
        socket.read_hello(timeout=20)
    assert 1.0 < time.monotonic() - begin < 20
    for socket, (device, _, _) in zip(herd, devices):
        assert socket.uaid == device.uaid and socket.take() == b"x"


def test_waiting_device_may_ping_and_go(start_relay):
    """While it waits its WS PINGs are answered; one that goes makes room."""
    relay = start_relay(hello_rate=1)
    first = [Device(relay.port) for _ in range(4)]
    first[0].send_json({"messageType": "hello"})
    first[0].read_hello(timeout=10)  # the second's only one, so that the others wait
    for socket in first[1:]:
        socket.send_json({"messageType": "hello"})
    first[3].ping()
    first[1].close()
    first[2].reset()
    first[3].read_hello(timeout=10)
