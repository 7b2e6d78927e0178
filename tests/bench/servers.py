# SPDX-License-Identifier: Apache-2.0
"""Starts and stops what is measured: the relay, the bare server, a private Redis."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

START_LIMIT_SEC = 20
STOP_LIMIT_SEC = 30


class BenchError(Exception):
    """A row cannot be measured; the text says why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, limit_sec, what):
    end = time.monotonic() + limit_sec
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {limit_sec} s")
        time.sleep(0.002)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_healthy(port):
    """GET /health says 200, over plain HTTP."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def children_of(pid):
    """Processes that pid has started, read from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    found.append(int(entry.name))
    return found


def private_bytes(pid):
    """Memory that the process shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines
               if line.startswith(("Private_Clean:", "Private_Dirty:")))


def cpu_seconds(pid):
    """CPU time of all threads, in ns resolution (stat has ticks of 10 ms)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Server:
    """A running process on a port; `pids` are those whose CPU time counts, its own first."""

    def __init__(self, command, port, log_path, is_ready):
        self.command, self.port, self.log_path = [str(part) for part in command], port, log_path
        self.is_ready = is_ready
        self.process = None
        self.extra_pids = []

    @property
    def pids(self):
        return [self.process.pid, *self.extra_pids]

    def start(self):
        begin = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def ready():
            if self.process.poll() is not None:
                lines = self.log_path.read_text(errors="replace").strip().splitlines()
                raise BenchError(f"{Path(self.command[0]).name} ended at start: {lines[-1] if lines else '?'}")
            return self.is_ready(self.port)

        wait_until(ready, START_LIMIT_SEC, f"start of {Path(self.command[0]).name}")
        return time.monotonic() - begin

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_LIMIT_SEC)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Bench:
    """What all rows share: programs, working folder, number of rounds, running servers."""

    def __init__(self, programs, work, runs, files):
        self.programs, self.work, self.runs, self.files = programs, work, runs, files
        self.running = []

    def folder(self):
        return Path(tempfile.mkdtemp(dir=self.work))

    def _started(self, server):
        self.running.append(server)
        server.start_sec = server.start()
        return server

    def bare(self, tls=None):
        port = free_port()
        command = [self.programs / "bellwire-bare", port, *(tls or [])]
        return self._started(Server(command, port, self.folder() / "log", is_listening))

    def redis(self):
        port, folder = free_port(), self.folder()
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder,
                   "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                   "--maxmemory-policy", "noeviction", "--protected-mode", "no"]
        return self._started(Server(command, port, folder / "log", is_listening))

    def relay(self, store, *, folder=None, tls=None, workers=1):
        """store: memory, sqlite or redis. A folder used before brings back what it kept."""
        folder = folder or self.folder()
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        port = free_port()
        redis = self.redis() if store == "redis" else None
        urls = {"memory": "memory:", "sqlite": f"sqlite:{folder}/relay.db"}
        url = f"redis://127.0.0.1:{redis.port}/0" if redis else urls[store]
        command = [self.programs / "bellwire-relay", "--listen", f"127.0.0.1:{port}",
                   "--public-url", f"http://127.0.0.1:{port}", "--store", url,
                   "--state-dir", folder / "state", "--rate-limits", "off", "--hello-rate", 100000,
                   "--max-connections", 60000, "--drain-seconds", 0, "--log-level", "warn"]
        if tls:
            tls_port = free_port()
            command += ["--listen", f"tls:127.0.0.1:{tls_port}", "--tls-cert", tls[0], "--tls-key", tls[1]]
        if workers > 1:
            command += ["--workers", workers]
        server = self._started(Server(command, port, folder / "log", is_healthy))
        server.tls_port = tls_port if tls else None
        server.folder = folder
        server.redis = redis
        if redis:
            server.extra_pids.append(redis.process.pid)
        if workers > 1:
            server.extra_pids += children_of(server.process.pid)
        return server

    @contextlib.contextmanager
    def using(self, server):
        """Stops the server (and its Redis) afterwards."""
        try:
            yield server
        finally:
            for used in (server, getattr(server, "redis", None)):
                if used:
                    used.stop()
                    self.running.remove(used)

    def stop_all(self):
        for server in self.running:
            server.stop(signal.SIGKILL)

    def certificate(self):
        """A self-signed P-256 certificate: [certificate, key]."""
        folder = self.folder()
        paths = [str(folder / "cert.pem"), str(folder / "key.pem")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", paths[0], "-keyout", paths[1]],
                       check=True, capture_output=True)
        os.chmod(paths[1], 0o600)
        return paths

    def loadgen_command(self, scenario, server, **options):
        command = [self.programs / "bellwire-loadgen", scenario,
                   "--port", options.pop("port", server.port)]
        for pid in server.pids:
            command += ["--pid", pid]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            command += [flag] if value is True else [flag, value]
        return [str(part) for part in command]

    def loadgen(self, scenario, server, **options):
        """Runs one scenario to its end and returns what it printed."""
        ran = subprocess.run(self.loadgen_command(scenario, server, **options), capture_output=True, text=True)
        if ran.returncode != 0:
            raise BenchError(f"{scenario}: {ran.stderr.strip()}")
        return json.loads(ran.stdout)

    @contextlib.contextmanager
    def loadgen_running(self, scenario, server, **options):
        """The scenario as a process that has printed its first line; ends with its stdin."""
        process = subprocess.Popen(self.loadgen_command(scenario, server, **options), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            first = process.stdout.readline()
            if not first:
                raise BenchError(f"{scenario}: {process.stderr.read().strip()}")
            process.first = json.loads(first)
            yield process
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_LIMIT_SEC)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def probe(self):
        ran = subprocess.run([self.programs / "bellwire-probe", self.folder()], capture_output=True, text=True,
                             check=True)
        return json.loads(ran.stdout)
