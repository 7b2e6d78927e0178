# SPDX-License-Identifier: Apache-2.0
"""The clocks of one program under test: hours pass in it, or are slept through, while here it is a moment."""

import os
import pathlib
import socket
import struct
import time

from . import relay as relay_module
from .process import ASAN_OPTIONS

LIBRARY = os.environ.get("BELLWIRE_SHIFT_CLOCK") or str(
    pathlib.Path(relay_module.BINARY).with_name("shift_clock.so")
)


class Clock:
    """A program that is started anew goes on with the same time."""

    def __init__(self):
        self.boot = self.mono = self.wall = 0.0  # what the program's clocks are ahead of ours, in seconds
        self.socket = self.theirs = None

    def begin(self):
        """For the next program: the words before its command, and the descriptor it needs."""
        self.close()
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        milliseconds = " ".join(str(round(s * 1000)) for s in (self.boot, self.mono, self.wall))
        shift = f"SHIFT_CLOCK={self.theirs.fileno()} {milliseconds}"
        # the sanitizers want to come first, and do no harm if they do not
        options = os.environ.get("ASAN_OPTIONS", ASAN_OPTIONS) + ":verify_asan_link_order=0"
        return ["env", f"LD_PRELOAD={LIBRARY}", shift, f"ASAN_OPTIONS={options}"], (self.theirs.fileno(),)

    def begun(self):
        self.theirs.close()

    def now(self):
        """The program's boot clock, as seconds since some moment."""
        return time.monotonic() + self.boot

    def _shift(self, boot, mono, wall):
        self.boot, self.mono, self.wall = self.boot + boot, self.mono + mono, self.wall + wall
        self.socket.send(struct.pack("=3q", *(round(s * 1000) for s in (boot, mono, wall))))
        assert self.socket.recv(1) == b"\0", "the program ended"

    def advance(self, seconds):
        """Time passes; returns when the program knows."""
        self._shift(seconds, seconds, seconds)

    def sleep(self, seconds):
        """The machine slept and is awake again."""
        self._shift(seconds, 0, seconds)

    def set_wall(self, seconds):
        """Somebody set the clock ahead, or back."""
        self._shift(0, 0, seconds)

    def pass_unwatched(self, seconds):
        """Time passes while the program does not run."""
        self.boot, self.mono, self.wall = self.boot + seconds, self.mono + seconds, self.wall + seconds

    def close(self):
        if self.socket:
            self.socket.close()
