# SPDX-License-Identifier: Apache-2.0
"""The monitor's driver: commands in, JSON lines out."""

import json
import os
import queue
import subprocess
import threading
import time

DRIVER = os.environ.get("BELLWIRE_MONITOR_DRIVER", "monitor_driver")


class Monitor:
    def __init__(
        self, prefix=(), sysfs="/nonexistent", system_bus="unix:path=/nonexistent/bus", is_metered=False
    ):
        """is_metered: the network is, before anything is asked about power."""
        environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=system_bus)
        words = [*prefix, DRIVER, str(sysfs), *(["metered"] if is_metered else [])]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment)
        self.pid = self.process.pid
        self.answers, self.events, self.log = queue.Queue(), queue.Queue(), []
        self.threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_log)]
        for thread in self.threads:
            thread.start()
        assert self.answers.get(timeout=10) == {"ready": True}

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            is_event = message.keys() & {"slept_ms", "changed_power", "lost"}
            (self.events if is_event else self.answers).put(message)

    def _read_log(self):
        for line in self.process.stderr:
            self.log.append(line.decode(errors="replace").rstrip())

    def ask(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()
        return self.answers.get(timeout=10)

    def path(self, address):
        return self.ask("path " + address)

    def expect(self, news, within=10.0):
        """The next event is this news; returns how many seconds it took."""
        begin = time.monotonic()
        try:
            event = self.events.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no {news} within {within} s") from None
        assert event.get("news") == news, event
        return time.monotonic() - begin

    def expect_power(self, within=10.0, **wanted):
        try:
            event = self.events.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"no power within {within} s, wanted {wanted}") from None
        assert "changed_power" in event, event
        power = event["changed_power"]
        assert {key: power[key] for key in wanted} == wanted
        return power

    def quiet(self, seconds=1.5):
        """Nothing is told for so long."""
        try:
            event = self.events.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"unexpected: {event}; log: " + "\n".join(self.log[-20:]))

    def settle(self, seconds=0.7, limit=10.0):
        """Forgets events until there is none for a while; returns how many there were."""
        end, count = time.monotonic() + limit, 0
        while time.monotonic() < end:
            try:
                self.events.get(timeout=seconds)
                count += 1
            except queue.Empty:
                return count
        raise AssertionError("events without end")

    def until(self, condition, within=20.0):
        """Waits until condition() holds, looking again each 20 ms."""
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, "in vain; log: " + "\n".join(self.log[-20:])
            threading.Event().wait(0.02)

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        assert status == 0, "\n".join(self.log)
