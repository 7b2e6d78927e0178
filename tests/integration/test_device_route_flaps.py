# SPDX-License-Identifier: Apache-2.0
"""Routes of the relay's machine that go and come back: TCP bears it, so device sockets stay."""

import pytest
from harness.device import Device
from harness.household import RouterRelay
from harness.laptop import RELAY
from harness.namespace import Inside


@pytest.fixture
def router_relay(laptop, tmp_path):
    relay = RouterRelay(laptop.router, tmp_path)
    yield relay
    relay.finish()


class FarDevice(Device):
    """On the laptop, behind the router."""

    def __init__(self, laptop, port):
        with Inside(laptop):
            super().__init__((RELAY, port))


def test_a_route_that_comes_back_costs_no_device_socket(laptop, router_relay):
    laptop.plug()
    device = FarDevice(laptop, router_relay.port)
    device.hello()
    _, endpoint = device.register()
    for number in range(3):
        # newer versions of libwebsockets end sockets without a route, once they were left in peace for a moment
        device.expect_nothing(0.6)
        laptop.router.ip("addr flush dev gw0")
        laptop.router.ip("addr add 10.0.0.1/24 dev gw0")
        router_relay.push(endpoint, b"%d" % number)
        assert device.take() == b"%d" % number
    device.settle()
    assert router_relay.metrics()["bellwire_device_hellos_total"] == 1
