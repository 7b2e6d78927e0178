# SPDX-License-Identifier: Apache-2.0
"""A bellwire-distributor process with a home of its own, and what its hooks wrote down."""

import json
import os
import pathlib

from . import relay as relay_module
from .process import Process, wait_until
from .tool import run_tool

BINARY = os.environ.get("BELLWIRE_DISTRIBUTOR") or str(
    pathlib.Path(relay_module.BINARY).with_name("bellwire-distributor")
)

# Appends what a run was given to the file of its first argument, then goes on with the rest as a script.
RECORD = """\
import json, os, sys
line = {k[9:].lower(): v for k, v in os.environ.items() if k.startswith("BELLWIRE_")}
line.update(input=sys.stdin.buffer.read().decode(errors="replace"), pid=os.getpid())
with open(sys.argv[1], "a") as out:
    out.write(json.dumps(line) + "\\n")
if len(sys.argv) > 2:
    os.execvp("sh", ["sh", "-c", " ".join(sys.argv[2:])])
"""


class Distributor:
    """@record in the config is a command that writes down its run, @DIR this directory. Without a bus unless
    env names one."""

    def __init__(self, relay, directory, /, config="", env=None, **flags):
        self.relay = relay
        self.directory = pathlib.Path(directory)
        self.records = self.directory / "runs"
        self.config_path = self.directory / "distributor.conf"
        self.state_dir = self.directory / "state"
        (self.directory / "record.py").write_text(RECORD)
        self.configure(config)
        self.env = {"HOME": str(self.directory), **(env or {})}
        has_bus = "DBUS_SESSION_BUS_ADDRESS" in self.env
        self.flags = {
            "relay": f"ws://127.0.0.1:{relay.port}/",
            "state_dir": self.state_dir,
            "no_bus": None if has_bus else "on",
            **flags,
        }
        self.starts = 0
        self.process = None
        self.start()

    def configure(self, config):
        record = f"/usr/bin/python3 -S {self.directory}/record.py {self.records}"
        self.config_path.write_text(config.replace("@record", record).replace("@DIR", str(self.directory)))

    def start(self):
        self.starts += 1
        words = [BINARY, "--config", self.config_path]
        for name, value in self.flags.items():
            if value is not None:
                words += [f"--{name.replace('_', '-')}", value]
        self.process = self.launch(words, self.directory / f"distributor-{self.starts}.log")
        self.wait_log("ready state_dir=")
        return self

    def launch(self, words, log):
        return Process(words, log, self.env)

    def stop(self):
        self.process.end_well()

    def kill(self):
        self.process.kill()
        self.process.assert_no_sanitizer_report()

    def finish(self):
        if self.process.child.returncode is None:
            assert self.process.is_running(), f"it died\n{self.process.log()[-8000:]}"
            self.stop()
        self.process.assert_no_sanitizer_report()

    def wait_log(self, text, timeout=20):
        wait_until(
            lambda: text in self.process.log() or not self.process.is_running(), timeout, f'"{text}" in the log'
        )
        assert text in self.process.log(), self.process.log()[-4000:]

    def keys(self, name):
        """What a sender to this hook needs: endpoint, p256dh, auth."""

        def found():
            done = run_tool("keys", name, "--state-dir", self.state_dir)
            return json.loads(done.stdout) if done.returncode == 0 else None

        return wait_until(found, 20, f"the push URL of {name}\n{self.process.log()[-2000:]}")

    def send(self, name, *flags, message="hi"):
        """An encrypted message to a hook, accepted by the relay."""
        done = run_tool("send", "-", "--message", message, *flags, text=json.dumps(self.keys(name)))
        assert done.returncode == 0, done.stderr

    def runs(self, count=0, timeout=30):
        """What the runs wrote down, once there are so many."""

        def found():
            lines = self.records.read_text().splitlines(keepends=True) if self.records.exists() else []
            return [json.loads(line) for line in lines if line.endswith("\n")]

        if count:
            wait_until(lambda: len(found()) >= count, timeout, f"{count} runs, not {found()}")
        return found()

    def wait_delivered(self, timeout=30):
        """Until the relay has nothing more for it."""
        wait_until(lambda: self.relay.metrics()["bellwire_messages_queued"] == 0, timeout, "an empty queue")
