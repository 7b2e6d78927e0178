# SPDX-License-Identifier: Apache-2.0
"""`key add`: new push URLs are made with the new key, old ones stay good."""

import signal

from harness.process import wait_until
from harness.relay import path_of, run_relay


def test_rotation(start_relay, tmp_path):
    relay = start_relay(f"sqlite:{tmp_path}/relay.db")
    device, _, old = relay.subscribed()
    location = relay.push(old, b"1")["location"]
    assert device.take() == b"1"
    device.settle()
    listed = run_relay("key", "list", "--state-dir", relay.state_dir)
    assert listed.returncode == 0 and len(listed.stdout.strip().splitlines()) >= 1
    assert run_relay("key", "add", "--state-dir", relay.state_dir).returncode == 0
    relay.process.signal(signal.SIGHUP)
    wait_until(lambda: "keys=2" in relay.process.log(), 5, "the new key")
    _, new = device.register()
    assert new != old
    for url in (old, new):
        relay.push(url, b"x")
        assert device.take() == b"x"
    assert relay.request("DELETE", location).status == 404
    relay.restart()
    device = relay.device(device.uaid)
    relay.push(old, b"still")
    assert device.take() == b"still"
    assert len(run_relay("key", "list", "--state-dir", relay.state_dir).stdout.strip().splitlines()) > len(
        listed.stdout.strip().splitlines()
    )
    secret_lines = (relay.state_dir / "keys").read_text().split()
    shown = run_relay("key", "list", "--state-dir", relay.state_dir).stdout
    assert not any(word in shown for word in secret_lines if len(word) > 40)
    assert (relay.state_dir / "keys").stat().st_mode & 0o777 == 0o600


def test_foreign_keys_open_nothing(start_relay):
    """A relay with other keys answers 404."""
    _, _, endpoint = start_relay().subscribed()
    assert start_relay().post(path_of(endpoint), b"x").status == 404
