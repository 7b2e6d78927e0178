# SPDX-License-Identifier: Apache-2.0
"""Network namespaces joined by veth pairs. They end with the process that holds them."""

import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Inside:
    """This thread is in the namespace meanwhile: sockets and children that it makes belong there."""

    def __init__(self, namespace):
        self.namespace = namespace

    def __enter__(self):
        self.home = open("/proc/thread-self/ns/net")
        self._enter(open(f"/proc/{self.namespace.holder.pid}/ns/net"))

    def __exit__(self, *_):
        self._enter(self.home)

    @staticmethod
    def _enter(file):
        with file:
            if libc.setns(file.fileno(), CLONE_NEWNET) < 0:
                raise OSError(ctypes.get_errno(), "setns")


def require_namespaces():
    """Skips where namespaces may not be made, or their links."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    probe = subprocess.run(
        ["unshare", "-n", "ip", "link", "add", "eth0", "type", "veth", "peer", "eth1"], capture_output=True
    )
    if probe.returncode != 0:
        pytest.skip("no network namespaces here: " + probe.stderr.decode(errors="replace").strip())


class Namespace:
    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.holder.stdout.readline()  # it is in there now
        self.ip("link set lo up")
        self.detect_duplicates(False)

    def command(self, *argv):
        return ["nsenter", "-t", str(self.holder.pid), "-n", *argv]

    def ip(self, *lines):
        """Runs each line as `ip` would, all in one go."""
        batch = "\n".join(lines) + "\n"
        done = subprocess.run(self.command("ip", "-batch", "-"), input=batch.encode(), capture_output=True)
        assert done.returncode == 0, (lines, done.stderr.decode())

    def output(self, *argv):
        return subprocess.run(self.command(*argv), check=True, capture_output=True).stdout.decode()

    def detect_duplicates(self, is_wanted, interface="default"):
        """Whether new IPv6 addresses are tentative for a second; of `default`, for links made later."""
        self.output("sh", "-c", f"echo {int(is_wanted)} >/proc/sys/net/ipv6/conf/{interface}/dad_transmits")

    def join(self, name, other, other_name):
        """A cable: `name` here, `other_name` in the other namespace; both up."""
        self.ip(f"link add name {name} type veth peer name {other_name} netns {other.holder.pid}",
                f"link set {name} up")
        other.ip(f"link set {other_name} up")

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(10)
        self.holder.stdout.close()
