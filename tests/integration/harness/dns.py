# SPDX-License-Identifier: Apache-2.0
"""A name server that knows a few names, and can fall silent."""

import ipaddress
import socket
import struct
import threading

from .namespace import Inside

A, AAAA = 1, 28


class NameServer:
    """On the router, port 53 of `address`. names: {name: [address, ...]}; silent: no query is answered."""

    def __init__(self, router, address, names):
        self.names, self.is_silent, self.asked = names, False, 0
        with Inside(router):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((address, 53))
        self.socket.settimeout(0.1)
        self.is_over = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            try:
                query, sender = self.socket.recvfrom(512)
            except TimeoutError:
                continue
            self.asked += 1
            if not self.is_silent:
                self.socket.sendto(self.answer(query), sender)

    def answer(self, query):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind, _ = struct.unpack_from("!HH", query, at + 1)
        question = query[12:at + 5]
        known = self.names.get(".".join(labels).lower())
        packed = [ipaddress.ip_address(a).packed for a in known or []]
        found = [p for p in packed if len(p) == {A: 4, AAAA: 16}.get(kind)]
        records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 1, len(p)) + p for p in found)
        flags = 0x8180 | (0 if known is not None else 3)  # 3: there is no such name
        return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question + records

    def close(self):
        self.is_over = True
        self.thread.join()
        self.socket.close()
