# SPDX-License-Identifier: Apache-2.0
"""A link of the distributor under test: the program link_driver, whose events are awaited."""

import json
import os
import pathlib
import subprocess
import threading
import time

from . import relay as relay_module
from .process import wait_until
from .tool import check_sanitizers

DRIVER = os.environ.get("BELLWIRE_LINK_DRIVER") or str(
    pathlib.Path(relay_module.BINARY).with_name("link_driver")
)
NO_PROXY = {name: "" for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")}


def learned(path, *keys, seconds=1600):
    """Writes a file of heartbeats, as if these networks had borne so long a silence; the driver's word for it."""
    now = int(time.time())
    networks = [{"key": key, "cur": seconds, "good": seconds, "used_at": now} for key in keys]
    path.write_text(json.dumps({"v": 1, "networks": networks}))
    return f"heartbeats={path}"


class Link:
    def __init__(self, url, *arguments, env=None, namespace=None):
        """With a namespace it runs there, and looks at its real network."""
        program = [DRIVER]
        if namespace is not None:
            program = namespace.command(str(pathlib.Path(DRIVER).with_name("link_net_driver")))
            arguments += ("network",)
        self.child = subprocess.Popen(
            [*program, url, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **NO_PROXY, **(env or {})},
        )
        self.events = []
        self.taken = 0
        self.log = []
        self.came = threading.Condition()
        self.threads = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for thread in self.threads:
            thread.start()

    def _read_out(self):
        for line in self.child.stdout:
            event = json.loads(line)
            with self.came:
                self.events.append((time.monotonic(), event))
                self.came.notify_all()

    def _read_err(self):
        for line in self.child.stderr:
            with self.came:
                self.log.append(line.rstrip("\n"))
                self.came.notify_all()

    def do(self, what, **fields):
        self.child.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self.child.stdin.flush()

    def hint(self, which, number=0):
        self.do("hint", text=which, number=number)

    def await_event(self, kind, timeout=20, **fields):
        """The next event of this kind with these fields; those before it are passed over."""
        deadline = time.monotonic() + timeout
        with self.came:
            while True:
                while self.taken < len(self.events):
                    at, event = self.events[self.taken]
                    self.taken += 1
                    if event["event"] == kind and all(event.get(k) == v for k, v in fields.items()):
                        return {**event, "at": at}
                left = deadline - time.monotonic()
                assert left > 0, f"no {kind} {fields}: {self.events} {self.log}"
                self.came.wait(left)

    def await_state(self, state, timeout=20):
        return self.await_event("entered", timeout, state=state)

    def await_log(self, words, timeout=20):
        deadline = time.monotonic() + timeout
        with self.came:
            while True:
                for line in self.log:
                    if words in line:
                        return line
                left = deadline - time.monotonic()
                assert left > 0, f"no {words!r}: {self.log}"
                self.came.wait(left)

    def up(self, timeout=20):
        """Waits for the greeting."""
        return self.await_event("greeted", timeout)

    def status(self):
        self.do("status")
        return self.await_event("status")

    def await_status(self, condition, what, timeout=20):
        """The first status for which the condition holds."""

        def there():
            status = self.status()
            return status if condition(status) else None

        return wait_until(there, timeout, what)

    def await_pong(self):
        return self.await_status(lambda status: status["round_trip_ms"] >= 0, "an answer to a ping")

    def await_silence(self):
        """Until the relay was heard so long ago that a hint is worth a ping."""
        return self.await_status(lambda status: status["last_heard_ms"] > 320, "silence")

    def count(self, kind, **fields):
        with self.came:
            return sum(
                e["event"] == kind and all(e.get(k) == v for k, v in fields.items())
                for _, e in self.events
            )

    def cpu_seconds(self):
        with open(f"/proc/{self.child.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def switches(self):
        """Voluntary context switches: how often it was woken."""
        with open(f"/proc/{self.child.pid}/status") as f:
            for line in f:
                if line.startswith("voluntary_ctxt_switches"):
                    return int(line.split()[1])

    def switches_at_rest(self, seconds=2.0, limit=60.0):
        """The same, once nothing has woken it for so long."""
        end = time.monotonic() + limit
        while True:
            before = self.switches()
            time.sleep(seconds)
            if self.switches() == before:
                return before
            assert time.monotonic() < end, "it is woken again and again"

    def quit(self):
        """Ends it cleanly, and looks at what the sanitizers said."""
        if self.child.poll() is None:
            self.child.stdin.close()
        try:
            status = self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise
        finally:
            for thread in self.threads:
                thread.join()
        check_sanitizers("\n".join(self.log))
        assert status == 0, (status, self.log)
