# SPDX-License-Identifier: Apache-2.0
"""A laptop in a namespace: eth0 and eth1 lead to a router, which owns the relay's addresses."""

from harness.namespace import Namespace, require_namespaces

RELAY, RELAY6 = "198.51.100.5", "2001:db8:ffff::5"


class Laptop(Namespace):
    def __init__(self):
        require_namespaces()
        super().__init__()
        self.router = Namespace()
        self.router.ip(f"addr add {RELAY}/32 dev lo", f"addr add {RELAY6}/128 dev lo nodad")
        for number in (0, 1):
            self.join(f"eth{number}", self.router, f"gw{number}")
            self.router.ip(f"addr add 10.0.{number}.1/24 dev gw{number}",
                           f"addr add 10.0.{number}.9/24 dev gw{number}",
                           f"addr add 2001:db8:{number}::1/64 dev gw{number} nodad")

    def plug(self, number=0, metric=100):
        """An address and a default route on ethN, as DHCP would give them."""
        self.ip(f"addr add 10.0.{number}.2/24 dev eth{number}",
                f"route add default via 10.0.{number}.1 dev eth{number} metric {metric}")

    def plug6(self, number=0, metric=100):
        self.ip(f"addr add 2001:db8:{number}::2/64 dev eth{number} nodad",
                f"route add ::/0 via 2001:db8:{number}::1 dev eth{number} metric {metric}")

    def close(self):
        super().close()
        self.router.close()
