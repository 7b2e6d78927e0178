# SPDX-License-Identifier: Apache-2.0
"""Measures the distributor on a laptop in a network namespace, with the real relay behind a router; see device.sh."""

import http.client
import json
import os
import pathlib
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "build/bench/bin"
os.environ.pop("BELLWIRE_RELAY", None)  # a setting of the programs that are measured
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tests/bus")]

from harness.laptop import RELAY, Laptop  # noqa: E402
from harness.namespace import Inside  # noqa: E402
from harness.power import DISCHARGING, start_upower  # noqa: E402
from harness.process import Process, free_port, wait_until  # noqa: E402
from harness.system_bus import SystemBus  # noqa: E402
from process import WakeupLog, private_bytes, timers  # noqa: E402
from session import Session  # noqa: E402
from table import explanation, markdown, rows  # noqa: E402
from wire import Wire  # noqa: E402

APPS, MESSAGES, HEARTBEAT_SEC = 50, 1000, 900
SETTLE_SEC = 12  # what is written some seconds after the last change is written by then


class Apps:
    """The apps' program, its lines read in a thread."""

    def __init__(self, session, mode=str(APPS)):
        self.endpoints = {}
        self.messages = queue.Queue()  # (app, nanoseconds); of the caller too
        self.process = subprocess.Popen(
            [PROGRAMS / "bellwire-bench-apps", mode], env={**os.environ, **session.env}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            kind, number, value = line.split()
            if kind == "endpoint":
                self.endpoints[int(number)] = value
            else:
                self.messages.put((int(number), int(value)))

    def ask(self, number):
        """That app registers again; the caller calls it."""
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Setup:
    """Laptop, router, relay, both buses, daemon and apps."""

    def __init__(self, directory):
        self.directory = directory
        self.parts = []
        (directory / "session").mkdir()
        (directory / "system").mkdir()
        self.laptop = self._part(Laptop(), "close")
        self.laptop.plug()
        self.tls_port, self.port = free_port(), free_port()
        self.start_relay()
        with Inside(self.laptop.router):
            self.wire = self._part(Wire("gw0", self.tls_port), "close")
        self.system = self._part(SystemBus(directory / "system"), "close")
        start_upower(self.system, True, state=DISCHARGING)
        self.session = self._part(Session(directory / "session"), "finish")
        self.session.env["DBUS_SYSTEM_BUS_ADDRESS"] = self.system.address
        self.session.env |= {"SSL_CERT_DIR": str(self.trust()), "SSL_CERT_FILE": "/nonexistent"}
        self.state_dir = directory / "state"
        self.daemon = None
        self.start_daemon()
        self.apps = self._part(Apps(self.session), "close")
        wait_until(lambda: len(self.apps.endpoints) == APPS, 60, "the endpoints")

    def _part(self, part, end):
        self.parts.append(getattr(part, end))
        return part

    def close(self):
        for end in reversed(self.parts):
            end()

    def start_relay(self):
        certificate, key = self.directory / "cert.pem", self.directory / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=relay", "-addext", f"subjectAltName=IP:{RELAY}", "-out", certificate, "-keyout", key],
            check=True, capture_output=True,
        )
        key.chmod(0o600)
        (self.directory / "relay").mkdir(mode=0o700)
        words = [
            PROGRAMS / "bellwire-relay", "--listen", f"tls:{RELAY}:{self.tls_port}", "--listen", f"127.0.0.1:{self.port}",
            "--tls-cert", certificate, "--tls-key", key, "--public-url", f"https://{RELAY}:{self.tls_port}",
            "--store", f"sqlite:{self.directory}/relay.db", "--state-dir", self.directory / "relay",
            "--rate-limits", "off", "--log-level", "warn",
        ]
        with Inside(self.laptop.router):
            relay = self._part(Process(words, self.directory / "relay.log"), "terminate")
            wait_until(lambda: self.health() == 200 or not relay.is_running(), 20, "the relay")
        assert relay.is_running(), relay.log()

    def trust(self):
        """The system's folder of certificates, as Debian has it, and the relay's."""
        folder = self.directory / "certs"
        folder.mkdir()
        for path in pathlib.Path("/etc/ssl/certs").glob("*.[0-9]"):
            (folder / path.name).symlink_to(path.resolve())
        shutil.copy(self.directory / "cert.pem", folder)
        subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
        return folder

    def health(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/health")
            return connection.getresponse().status
        except OSError:
            return None

    def start_daemon(self):
        words = [
            PROGRAMS / "bellwire-distributor", "--relay", f"wss://{RELAY}:{self.tls_port}/",
            "--state-dir", self.state_dir,
        ]
        with Inside(self.laptop):
            self.daemon = self._part(Process(words, self.directory / "daemon.log", self.session.env), "terminate")
        wait_until(lambda: self.status().get("state") == "up", 30, f"the link\n{self.daemon.log()}")

    def status(self):
        done = subprocess.run([PROGRAMS / "bellwire", "status", "--json"], env={**os.environ, **self.session.env},
                              capture_output=True, text=True, check=False)
        return json.loads(done.stdout or "{}")

    def learn_heartbeat(self):
        """As if this network had been found to bear so much silence."""
        key = self.status()["network"]
        self.daemon.terminate()
        entry = {"key": key, "cur": HEARTBEAT_SEC, "good": HEARTBEAT_SEC, "used_at": int(time.time())}
        (self.state_dir / "heartbeats.json").write_text(json.dumps({"v": 1, "networks": [entry]}))
        self.start_daemon()
        assert self.status()["heartbeat_ms"] == HEARTBEAT_SEC * 1000, self.status()


def percentiles(values_ns):
    values = sorted(values_ns)
    return {"p50_ms": statistics.median(values) / 1e6, "p99_ms": values[len(values) * 99 // 100] / 1e6,
            "max_ms": values[-1] / 1e6}


def measure_latency(setup):
    """One message at a time: the POST, the packet of the relay's frame, the call at the app; and a call between two
    programs on the same bus, which tells what else this machine does."""
    posted, framed, called = [], [], []
    caller = Apps(setup.session, "--call")
    with Inside(setup.laptop.router):
        sender = http.client.HTTPConnection("127.0.0.1", setup.port)
        sender.connect()
    for number in range(MESSAGES):
        path = setup.apps.endpoints[number % APPS].partition(f":{setup.tls_port}")[2]
        seen = len(setup.wire.packets)
        before_ns = time.time_ns()
        sender.request("POST", path, os.urandom(200), {"TTL": "60"})
        answer = sender.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        app, arrived_ns = setup.apps.messages.get(timeout=20)
        assert app == number % APPS
        time.sleep(0.01)  # the sniffer has it by then, too
        frames = [p for p in setup.wire.packets[seen:] if p.is_from_relay and p.payload and p.time_ns < arrived_ns]
        posted.append(arrived_ns - before_ns)
        framed.append(arrived_ns - frames[-1].time_ns)
        caller.ask(number % APPS)
        called.append(setup.apps.messages.get(timeout=20)[1] - caller.messages.get(timeout=20)[1])
    caller.close()
    return percentiles(posted), percentiles(framed), percentiles(called)


def measure_exchange(setup):
    """Bytes of a ping and its answer. An app that registers after a minute of silence makes the link ask."""
    seen = len(setup.wire.packets)
    setup.apps.ask(0)
    wait_until(lambda: len(setup.wire.packets) >= seen + 2, 20, "the ping")
    time.sleep(3)  # with the last acknowledgement
    return sum(p.bytes for p in setup.wire.packets[seen:])


def measure_idle(setup, minutes):
    pid, seen = setup.daemon.pid, len(setup.wire.packets)
    log = WakeupLog(pid)
    time.sleep(minutes * 60)
    log.finish()
    packets = setup.wire.packets[seen:]
    print(f"-- wake-ups by thread: {log.by_thread}", file=sys.stderr)
    return packets, log


def count_exchanges(packets):
    """Pings of the device: data from it, more than two seconds after the last."""
    times = [p.time_ns for p in packets if p.payload and not p.is_from_relay]
    return sum(1 for before, now in zip([0, *times], times) if now - before > 2 * 10**9)


def measure(minutes, directory):
    setup = Setup(directory)
    try:
        setup.learn_heartbeat()
        print("-- latency", file=sys.stderr)
        post_to_app, frame_to_app, bus_alone = measure_latency(setup)
        time.sleep(SETTLE_SEC)
        print(f"-- idle for {minutes:g} min", file=sys.stderr)
        packets, log = measure_idle(setup, minutes)
        armed = timers(setup.daemon.pid)
        if minutes <= 1:
            time.sleep(61 - minutes * 60)
        exchange = measure_exchange(setup)
        memory = private_bytes(setup.daemon.pid)
    finally:
        setup.close()
    exchanges = count_exchanges(packets)
    rest = max(0, sum(p.bytes for p in packets) - exchanges * exchange)
    beside = log.beside([p.time_ns for p in packets])
    return {
        "apps": APPS, "messages": MESSAGES, "heartbeat_s": HEARTBEAT_SEC, "idle_min": minutes,
        "idle_bytes": rest, "exchange_bytes": exchange, "exchanges_hour": 3600 / HEARTBEAT_SEC,
        "bytes_hour": rest * 60 / minutes + exchange * 3600 / HEARTBEAT_SEC,
        "wakeups_beside": beside, "wakeups_all": len(log.times_ns), "wakeups_hour": beside * 60 / minutes,
        "timers": armed, "private_bytes": memory, "post_to_app": post_to_app, "frame_to_app": frame_to_app,
        "bus_alone": bus_alone,
    }


def main():
    os.nice(int(os.environ.get("BENCH_NICE", "0")))  # children have it, too
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    directory = pathlib.Path(tempfile.mkdtemp(prefix="device-", dir=ROOT / "build/bench"))
    try:
        found = measure(minutes, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(markdown(found))
    print()
    print(explanation(found))
    results = ROOT / "tests/bench/results"
    results.mkdir(parents=True, exist_ok=True)
    (results / time.strftime("device-%Y%m%d-%H%M%S.json")).write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if any(passed is False for *_, passed in rows(found)) else 0)


if __name__ == "__main__":
    main()
