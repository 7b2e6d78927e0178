# SPDX-License-Identifier: Apache-2.0
"""What passes over an interface of a namespace, with the kernel's times: IP packets of one TCP port."""

import dataclasses
import socket
import struct
import threading

ETH_P_ALL, ETH_P_IP = 3, 0x0800
SO_TIMESTAMPNS = 35
OUTGOING = 4


@dataclasses.dataclass
class Packet:
    time_ns: int  # CLOCK_REALTIME
    is_from_relay: bool
    bytes: int  # with the headers of IP and TCP
    payload: int


class Wire:
    """Made inside the namespace of the relay; the port is the relay's."""

    def __init__(self, interface, port):
        self.port = port
        self.packets = []
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.settimeout(0.5)
        self.is_over = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.is_over:
            try:
                data, ancillary, _, address = self.socket.recvmsg(128, 128)
            except TimeoutError:
                continue
            if address[1] != ETH_P_IP or data[9] != socket.IPPROTO_TCP:
                continue
            head = (data[0] & 15) * 4
            ports = struct.unpack_from("!HH", data, head)
            if self.port not in ports:
                continue
            (total,) = struct.unpack_from("!H", data, 2)
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
            payload = total - head - (data[head + 12] >> 4) * 4
            self.packets.append(
                Packet(seconds * 10**9 + nanoseconds, address[2] == OUTGOING, total, payload)
            )

    def close(self):
        self.is_over = True
        self.thread.join()
        self.socket.close()
