# SPDX-License-Identifier: Apache-2.0
"""Trouble on request: what an HTTP answer or a method of the JMAP server becomes, and how often."""

import dataclasses
import threading


@dataclasses.dataclass
class Fault:
    """where: "session", "api", "events", or a method name ("Email/changes"), whose fault is `error`."""

    where: str
    times: int = 1  # -1: until cleared
    status: int = 0  # 0: the answer is a good one, unless body or cut says otherwise
    retry_after: str = ""
    delay: float = 0.0  # seconds before the answer
    body: bytes = b""  # instead of the JSON
    huge: int = 0  # so many bytes of an endless JSON string
    cut: bool = False  # the connection ends in the middle of the answer
    error: str = ""  # a method's error type
    methods: tuple = ()  # of "api": only requests that call one of them


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.list = []
        self.taken = 0

    def add(self, where, **more):
        fault = Fault(where, **more)
        with self.lock:
            self.list.append(fault)
        return fault

    def clear(self):
        with self.lock:
            self.list.clear()

    def take(self, where, methods=()):
        """The first fault that fits, used up by one."""
        with self.lock:
            for fault in self.list:
                if fault.where == where and (not fault.methods or set(fault.methods) & set(methods)):
                    self.taken += 1
                    fault.times -= 1
                    if fault.times == 0:
                        self.list.remove(fault)
                    return fault
        return None
