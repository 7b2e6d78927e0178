# SPDX-License-Identifier: Apache-2.0
"""A cable between two namespaces whose every frame passes through here: it loses some, stalls, goes silent, or has a
NAT in it that forgets idle flows. It needs nothing of the kernel but packet sockets."""

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time

from .namespace import Inside, Namespace

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_VNET_HDR = 15  # checksums and segments that a network card would make stay unmade on the way
PACKET_IGNORE_OUTGOING = 23
VNET_BYTES, ETHERNET_BYTES = 10, 14
SYN = 0x02


class Line(Namespace):
    """`name` in one namespace, `other_name` in the other, joined by this one."""

    def __init__(self, namespace, name, other, other_name):
        super().__init__()
        self.output("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
        self.join("inner", namespace, name)
        self.join("outer", other, other_name)
        self.loss = 0.0
        self.is_silent = self.is_silent_outward = False
        self.nat = None
        self.random = random.Random(20)
        self.lost = 0  # frames, by whatever reason
        self.passed = 0
        self.said = 0  # of those with something to say over TCP, from the first end
        self.resume = threading.Event()
        self.resume.set()
        self.end_reader, self.end_writer = os.pipe()
        with Inside(self):
            self.sockets = [self._open("inner"), self._open("outer")]
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    @staticmethod
    def _open(interface):
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        one.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        one.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        one.bind((interface, ETH_P_ALL))
        return one

    def _run(self):
        inner, outer = self.sockets
        while True:
            ready, _, _ = select.select([inner, outer, self.end_reader], [], [])
            if self.end_reader in ready:
                return
            for one in ready:
                with contextlib.suppress(OSError):  # an end that is down neither gives nor takes
                    self._carry(one, outer if one is inner else inner)

    def _carry(self, source, sink):
        frame = source.recv(70000)
        self.resume.wait()
        if self._is_lost(frame, source is self.sockets[0]):
            self.lost += 1
            return
        sink.send(frame)
        self.passed += 1
        self.said += source is self.sockets[0] and tcp_bytes(frame[VNET_BYTES:]) > 0

    def _is_lost(self, frame, is_outward):
        if self.is_silent or (is_outward and self.is_silent_outward) or self.random.random() < self.loss:
            return True
        return self.nat is not None and not self.nat.lets_through(frame[VNET_BYTES:], is_outward)

    # ---- what a test does to it ----

    def stall(self):
        """What comes from now on waits, until `go_on`."""
        self.resume.clear()

    def go_on(self):
        self.resume.set()

    def carrier(self, is_there):
        """Both ends see the cable pulled, or put back."""
        for end in ("inner", "outer"):
            self.ip(f"link set {end} {'up' if is_there else 'down'}")

    def close(self):
        self.resume.set()
        os.write(self.end_writer, b"x")
        self.thread.join()
        for one in self.sockets:
            one.close()
        os.close(self.end_reader)
        os.close(self.end_writer)
        super().close()


def tcp_start(frame):
    """Where the TCP header of an IPv4 packet begins, else None."""
    if frame[12:14] != b"\x08\x00" or frame[ETHERNET_BYTES + 9] != socket.IPPROTO_TCP:
        return None
    return ETHERNET_BYTES + (frame[ETHERNET_BYTES] & 15) * 4


def tcp_bytes(frame):
    """How much a segment carries; 0 also for what is none."""
    start = tcp_start(frame)
    if start is None:
        return 0
    (total,) = struct.unpack_from("!H", frame, ETHERNET_BYTES + 2)
    return ETHERNET_BYTES + total - start - (frame[start + 12] >> 4) * 4


class Nat:
    """Forgets TCP flows that were silent for `idle` seconds of `now()`; what belongs to none is swallowed."""

    def __init__(self, idle, now=time.monotonic):
        self.idle = idle
        self.now = now
        self.flows = {}  # (inner address and port, outer address and port): last seen
        self.newest = None  # flow
        self.swallowed = 0
        self.is_newest_dead = False  # something was sent over it, and swallowed

    def lets_through(self, frame, is_outward):
        header = tcp_start(frame)
        if header is None:
            return True  # ARP and the like
        source, target = frame[ETHERNET_BYTES + 12:][:4], frame[ETHERNET_BYTES + 16:][:4]
        source_port, target_port = struct.unpack_from("!HH", frame, header)
        flow = (source, source_port), (target, target_port)
        flow = flow if is_outward else flow[::-1]
        seen = self.flows.get(flow)
        if seen is not None and self.now() - seen >= self.idle:
            del self.flows[flow]
            seen = None
        is_opening = is_outward and frame[header + 13] & SYN
        if seen is None and not is_opening:
            self.swallowed += 1
            self.is_newest_dead |= is_outward and flow == self.newest
            return False
        if seen is None:
            self.newest, self.is_newest_dead = flow, False
        self.flows[flow] = self.now()
        return True
