# SPDX-License-Identifier: Apache-2.0
"""Sockets from systemd: the port stays open over a restart; readiness is told."""

import socket

from harness.process import Process
from harness.relay import Relay, assert_accepted


def activated(relay, listening, env=None):
    """Starts it as systemd does: the socket is descriptor 3, LISTEN_PID its own."""
    script = 'exec 3<&"$0"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
    arguments = ["/bin/bash", "-c", script, str(listening.fileno()), *relay.arguments()]
    relay.starts += 1
    relay.process = Process(
        arguments, relay.directory / f"relay-{relay.starts}.log", env, (listening.fileno(),)
    )


def test_restart_without_a_closed_port(tmp_path):
    """A sender that connects while no relay runs waits a moment and is served."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    relay = Relay(f"sqlite:{tmp_path}/relay.db", tmp_path, start=False, port=port)
    relay.flags["listen"] = None
    try:
        activated(relay, listening)
        relay.wait_ready()
        device, _, endpoint = relay.subscribed()
        device.close()
        relay.stop()
        early = relay.connect()
        early.send_request("POST", "/p/" + endpoint.rsplit("/", 1)[1], [("TTL", "60")], b"early")
        activated(relay, listening)
        assert_accepted(early.read_response())
        assert relay.device(device.uaid).bodies(1) == [b"early"]
    finally:
        relay.finish()
        listening.close()


def test_readiness_notification(tmp_path):
    """sd_notify READY=1 comes when /health answers 200."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(20)
        relay = Relay("memory:", tmp_path, start=False)
        try:
            relay.start(wait=False, env={"NOTIFY_SOCKET": path})
            assert "READY=1" in notify.recv(4096).decode()
            assert relay.get("/health").status == 200
        finally:
            relay.finish()
