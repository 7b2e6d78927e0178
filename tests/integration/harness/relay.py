# SPDX-License-Identifier: Apache-2.0
"""A bellwire-relay process: started on a free port, watched, ended, restarted."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import urllib.parse

from . import http
from .device import Device
from .process import Process, free_port, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("BELLWIRE_RELAY") or str(REPOSITORY / "build/dev/bin/bellwire-relay")


def run_relay(*arguments, timeout=20, env=None):
    """Runs the program to its end: a command of it, or a start that must fail."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        check=False,
    )


class Relay:
    """flags is a dict: body_limit=5000 becomes --body-limit 5000, a list repeats the flag, None leaves out."""

    def __init__(self, store="memory:", directory=None, start=True, **flags):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="bellwire-"))
        self.state_dir = self.directory / "state"
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        self.port = flags.pop("port", None) or free_port()
        self.admin_port = free_port()
        self.store = store
        self.flags = {
            "listen": f"127.0.0.1:{self.port}",
            "public_url": f"http://127.0.0.1:{self.port}",
            "store": store,
            "state_dir": self.state_dir,
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "rate_limits": "off",
            "drain_seconds": 0,
        }
        self.flags.update(flags)
        self.base = self.flags["public_url"]
        if isinstance(self.base, list):
            self.base = self.base[0]
        self.process = None
        self.starts = 0
        if start:
            self.start()

    def arguments(self):
        result = [BINARY]
        for name, value in self.flags.items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if item is not None:
                    result += [f"--{name.replace('_', '-')}", str(item)]
        return result

    def start(self, wait=True, env=None, pass_fds=()):
        self.starts += 1
        self.process = Process(self.arguments(), self.directory / f"relay-{self.starts}.log", env, pass_fds)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        workers = int(self.flags.get("workers", 1))

        def ready():
            assert self.process.is_running(), f"the relay ended at start:\n{self.process.log()[-4000:]}"
            try:
                # each connection goes to one of the workers, as the kernel pleases
                tries = 1 if workers == 1 else 8 * workers
                return all(self.get("/health").status == 200 for _ in range(tries))
            except OSError:
                return False

        wait_until(ready, timeout, "health of the relay")

    def stop(self, timeout=20):
        """A graceful end: status 0, and nothing from the sanitizers."""
        self.process.end_well(timeout)

    def kill(self):
        self.process.kill()
        self.process.assert_no_sanitizer_report()

    def restart(self):
        self.stop()
        return self.start()

    def finish(self):
        """The end of a scenario: still running unless the scenario ended it, then a clean exit."""
        if self.process is None:
            return
        if self.process.child.returncode is None:
            assert self.process.is_running(), f"the relay died\n{self.process.log()[-12000:]}"
            self.process.signal(signal.SIGCONT)
            self.stop()
        self.process.assert_no_sanitizer_report()

    # ---- talking to it ----

    def connect(self, timeout=10):
        return http.Connection(self.port, timeout)

    def request(self, method, target, headers=(), body=b"", **kw):
        return http.request(self.port, method, path_of(target), headers, body, **kw)

    def get(self, target):
        return self.request("GET", target)

    def post(self, endpoint, body=b"", ttl=60, headers=(), **kw):
        """A push; ttl=None leaves the header out, urgency= and topic= add theirs."""
        lines = [] if ttl is None else [("TTL", str(ttl))]
        lines += [(name.capitalize(), kw.pop(name)) for name in ("urgency", "topic") if name in kw]
        return self.request("POST", endpoint, lines + list(headers), body, **kw)

    def push(self, endpoint, body=b"", ttl=60, **kw):
        """A push that must be accepted, with the exact form of success."""
        answer = self.post(endpoint, body, ttl, **kw)
        assert_accepted(answer, self.base)
        return answer

    def device(self, uaid=None, **kw):
        """A connected device that has said hello."""
        device = Device(self.port, **kw)
        device.hello(uaid)
        return device

    def subscribed(self, key=None, **kw):
        """A fresh device with one subscription: (device, channel, endpoint)."""
        device = self.device(**kw)
        channel, endpoint = device.register(key=key)
        return device, channel, endpoint

    def metrics(self):
        answer = http.request(self.admin_port, "GET", "/metrics")
        assert answer.status == 200
        result = {}
        for line in answer.body.decode().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{[^}]*\})? (-?[0-9.e+]+)", line)
            if found:
                result[found[1]] = result.get(found[1], 0) + float(found[2])
        return result


def path_of(target):
    if "://" not in target:
        return target
    parts = urllib.parse.urlsplit(target)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def assert_accepted(answer, base="http"):
    assert answer.status == 201, answer
    assert answer["location"].startswith(f"{base}/m/") or base == "http", answer
    assert answer["ttl"].isdigit(), answer
    assert answer["content-length"] == "0" and answer.body == b"", answer
    assert "link" not in answer and "preference-applied" not in answer, answer


def assert_refused(answer, status, errno=None, **headers):
    """An error answer: its status, a JSON body in autopush's shape, and the headers it must have."""
    assert answer.status == status, answer
    assert answer["content-type"].startswith("application/json"), answer
    assert int(answer["content-length"]) == len(answer.body) < 1024, answer
    body = answer.json()
    assert body["code"] == status and isinstance(body["errno"], int), body
    assert isinstance(body["error"], str) and body["message"], body
    if errno is not None:
        assert body["errno"] == errno, body
    if status in (429, 503):
        assert re.fullmatch(r"[1-9][0-9]*", answer["retry-after"]), answer
    for name, value in headers.items():
        assert answer.get(name.replace("_", "-")) == value, answer
