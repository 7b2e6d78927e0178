# SPDX-License-Identifier: Apache-2.0
"""A namespace with a relay and the addresses of many clients: none of them is loopback."""

from . import http
from .device import Device
from .household import RouterRelay
from .laptop import RELAY, RELAY6
from .namespace import Inside, Namespace, require_namespaces

ANN, BOB, PROXY = "192.0.2.1", "192.0.2.2", "192.0.2.99"
# Two of one /64, and one of another.
ANN6, ANN6_AGAIN, BOB6 = "2001:db8:a::1", "2001:db8:a::2", "2001:db8:b::1"


class StreetRelay(RouterRelay):
    def __init__(self, street, directory, **flags):
        super().__init__(street, directory, **{"rate_limits": "on", **flags})

    def _address(self, source):
        return (RELAY6 if ":" in source else RELAY, self.device_port)

    def call(self, source, **kw):
        """A connection from that address."""
        with Inside(self.router):
            return http.Connection(self._address(source), source=source, **kw)

    def knock(self, source, **kw):
        """An upgrade from that address, whatever comes of it."""
        with Inside(self.router):
            return Device(self._address(source), source=source, **kw)

    def resident(self, source, **kw):
        """A device at that address that has said hello."""
        device = self.knock(source, **kw)
        device.hello()
        return device

    def said(self, words):
        """The lines of its log with these words."""
        return [line for line in self.process.log().splitlines() if words in line]


class Street(Namespace):
    def __init__(self):
        require_namespaces()
        super().__init__()
        self.ip(*(f"addr add {a}/32 dev lo" for a in (RELAY, ANN, BOB, PROXY)),
                *(f"addr add {a}/128 dev lo nodad" for a in (RELAY6, ANN6, ANN6_AGAIN, BOB6)))
        self.relays = []

    def relay(self, directory, **flags):
        self.relays.append(StreetRelay(self, directory, **flags))
        return self.relays[-1]

    def close(self):
        try:
            for relay in self.relays:
                relay.finish()
        finally:
            super().close()
