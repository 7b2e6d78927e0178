# SPDX-License-Identifier: Apache-2.0
"""A laptop in a namespace: eth0 and eth1 lead to a router, which owns the relay's addresses."""

from harness.line import Line
from harness.namespace import Namespace, require_namespaces

RELAY, RELAY6 = "198.51.100.5", "2001:db8:ffff::5"


class Laptop(Namespace):
    def __init__(self, has_line=False):
        """has_line: what passes over eth0 passes through self.line, too."""
        require_namespaces()
        super().__init__()
        self.router = Namespace()
        self.line = None
        self.router.ip(f"addr add {RELAY}/32 dev lo", f"addr add {RELAY6}/128 dev lo nodad")
        for number in (0, 1):
            if has_line and number == 0:
                self.line = Line(self, "eth0", self.router, "gw0")
            else:
                self.join(f"eth{number}", self.router, f"gw{number}")
            self.router.ip(f"addr add 10.0.{number}.1/24 dev gw{number}",
                           f"addr add 10.0.{number}.9/24 dev gw{number}",
                           f"addr add 2001:db8:{number}::1/64 dev gw{number} nodad")

    def plug(self, number=0, metric=100, host=2):
        """An address and a default route on ethN, as DHCP would give them."""
        self.host = host
        self.ip(f"addr add 10.0.{number}.{host}/24 dev eth{number}",
                f"route add default via 10.0.{number}.1 dev eth{number} metric {metric}")

    def plug6(self, number=0, metric=100):
        self.ip(f"addr add 2001:db8:{number}::2/64 dev eth{number} nodad",
                f"route add ::/0 via 2001:db8:{number}::1 dev eth{number} metric {metric}")

    def unplug(self, number=0):
        """As DHCP does it when a lease ends: the default route goes with the address, and nobody tells."""
        self.ip(f"addr flush dev eth{number} scope global")

    def close(self):
        if self.line:
            self.line.close()
        super().close()
        self.router.close()
