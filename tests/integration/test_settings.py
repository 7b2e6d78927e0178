# SPDX-License-Identifier: Apache-2.0
"""Settings by file, environment and flag; refusals name file, line, key and cure, before a socket opens."""

import os
import signal
import socket

import pytest
from harness.process import free_port, wait_until
from harness.relay import run_relay

GOOD = {"public-url": "http://127.0.0.1:1", "store": "memory:"}


def check(*words, env=None, **flags):
    arguments = [
        f"--{n}={v}"
        for n, v in {**GOOD, **{k.replace("_", "-"): v for k, v in flags.items()}}.items()
        if v is not None
    ]
    return run_relay("--check-config", *arguments, *words, env=env)


BAD = {
    "unknown flag": (["--lisen=127.0.0.1:1"], ["lisen"]),
    "flag without value": (["--listen"], ["listen"]),
    "listen without port": (["--listen=127.0.0.1"], ["listen"]),
    "listen with a bad port": (["--listen=127.0.0.1:70000"], ["listen"]),
    "public_url missing": (["--public-url="], ["public_url"]),
    "public_url no URL": (["--public-url=push.example"], ["public_url", "https://"]),
    "public_url ftp": (["--public-url=ftp://push.example"], ["public_url", "https://"]),
    "public_url plain": (["--public-url=http://push.example"], ["public_url", "insecure"]),
    "public_url too long": (["--public-url=https://push.example/" + "x" * 480], ["public_url"]),
    "unknown store": (["--store=mysql://x"], ["store"]),
    "empty store": (["--store="], ["store"]),
    "number": (["--workers=two"], ["workers"]),
    "number too small": (["--workers=0"], ["workers", "1"]),
    "body limit below the standard": (["--body-limit=4095"], ["body_limit", "4096"]),
    "missing ttl": (["--missing-ttl=never"], ["missing_ttl", "reject"]),
    "choice": (["--registration=closed"], ["registration", "open", "invite"]),
    "switch": (["--rate-limits=perhaps"], ["rate_limits"]),
    "time": (["--drain-seconds=soon"], ["drain_seconds"]),
    "tls listener without certificate": (["--listen=tls:127.0.0.1:1"], ["tls_cert"]),
    "certificate without key": (["--tls-cert=/dev/null"], ["tls_key"]),
    "proxy": (["--trusted-proxies=300.0.0.0/8"], ["trusted_proxies"]),
    "admin where devices come": (["--admin-listen=127.0.0.1:9", "--listen=127.0.0.1:9"], ["admin_listen", "own"]),
    "admin over TLS": (["--admin-listen=tls:127.0.0.1:1"], ["admin_listen"]),
    "log level": (["--log-level=loud"], ["log_level", "debug"]),
    "password file": (["--redis-password-file=/nonexistent"], ["redis_password_file", "/nonexistent"]),
    "configuration file": (["--config=/nonexistent.conf"], ["/nonexistent.conf"]),
}


@pytest.mark.parametrize("words, texts", BAD.values(), ids=BAD.keys())
def test_refused_with_status_2(tmp_path, words, texts):
    """By --check-config, and at a real start, which then has made nothing."""
    kept = [f"--{n}={v}" for n, v in GOOD.items() if not any(w.startswith(f"--{n}=") for w in words)]
    for first in (["--check-config"], []):
        state = tmp_path / "state"
        done = run_relay(*first, *kept, f"--state-dir={state}", *words)
        assert done.returncode == 2, done
        assert all(text in done.stderr for text in texts), done.stderr
        assert not state.exists()


def test_file_with_line_numbers(tmp_path):
    """Every problem of a file is named with its line."""
    path = tmp_path / "relay.conf"
    path.write_text(
        "# comment\n[relay]\nlisten = 127.0.0.1:1\nlisten_to = x\n\n[limits]\nqueue_messages = many\n"
    )
    done = check(f"--config={path}")
    assert done.returncode == 2
    assert "relay.conf:4" in done.stderr and "listen_to" in done.stderr
    assert "relay.conf:7" in done.stderr and "queue_messages" in done.stderr


def test_sources_and_their_order(tmp_path):
    """Defaults, file, environment, flags; later wins; --print-config shows what is in force and is itself a good file."""
    path = tmp_path / "relay.conf"
    path.write_text(
        "body_limit = 5000\nhello_rate = 10\ndrain_seconds = 1m\npublic_url = https://file.example\n"
    )
    env = {"BELLWIRE_HELLO_RATE": "20", "BELLWIRE_DRAIN_SECONDS": "2m", "BELLWIRE_STORE": "memory:"}
    done = run_relay("--print-config", f"--config={path}", "--drain-seconds=3m", env=env)
    assert done.returncode == 0, done.stderr
    values = dict(
        line.split(" = ", 1) for line in done.stdout.splitlines() if " = " in line and line[0] not in "#;["
    )
    assert (values["body_limit"], values["hello_rate"], values["store"]) == ("5000", "20", "memory:")
    assert values["drain_seconds"] in ("180", "3m", "180s")
    assert values["public_url"] == "https://file.example"
    path.write_text(done.stdout)
    again = run_relay("--print-config", f"--config={path}")
    assert again.returncode == 0 and again.stdout == done.stdout


def test_secrets_are_not_printed(tmp_path):
    done = run_relay(
        "--print-config",
        "--public-url=http://127.0.0.1:1",
        "--redis-password=hush",
        "--store=redis://u:hush@127.0.0.1/0",
    )
    assert done.returncode == 0 and "hush" not in done.stdout
    assert (
        run_relay(
            "--print-config", "--public-url=http://127.0.0.1:1", env={"BELLWIRE_REDIS_PASSWORD": "hush"}
        ).stdout.count("hush")
        == 0
    )


def test_sample_help_version(tmp_path):
    """The sample file is a good one; help is on standard output."""
    sample = run_relay("sample-config")
    assert sample.returncode == 0
    path = tmp_path / "relay.conf"
    path.write_text(sample.stdout)
    assert check(f"--config={path}").returncode == 0
    shown = run_relay("--help")
    assert shown.returncode == 0 and "--public-url" in shown.stdout and shown.stderr == ""
    assert run_relay("--version").stdout.startswith("bellwire-relay ")
    assert run_relay("frobnicate").returncode == 2


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_relay(
            f"--listen=127.0.0.1:{port}",
            f"--public-url=http://127.0.0.1:{port}",
            "--store=memory:",
            f"--state-dir={tmp_path}/s",
        )
    assert done.returncode not in (0, 2) and str(port) in done.stderr and "use" in done.stderr


STORES = {
    "no such folder": "sqlite:{}/nowhere/relay.db",
    "a folder": "sqlite:{}",
    "not a database": "sqlite:{}/garbage.db",
}


@pytest.mark.parametrize("store", STORES.values(), ids=STORES.keys())
def test_store_that_cannot_be_opened(tmp_path, store):
    """Says which and why; what it cannot read it does not touch."""
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is no database, and must stay as it is" * 50)
    garbage.chmod(0o600)
    before = garbage.read_bytes()
    port = free_port()
    url = store.format(tmp_path)
    done = run_relay(
        f"--listen=127.0.0.1:{port}",
        f"--public-url=http://127.0.0.1:{port}",
        f"--store={url}",
        f"--state-dir={tmp_path}/s",
    )
    assert done.returncode != 0 and url.split(":", 1)[1] in done.stderr, done
    assert garbage.read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_key_file_that_others_can_read(start_relay, mode):
    """Refused, and the cure is named."""
    relay = start_relay()
    relay.stop()
    keys = relay.state_dir / "keys"
    assert keys.stat().st_mode & 0o777 == 0o600
    keys.chmod(mode)
    done = run_relay(*relay.arguments()[1:])
    assert done.returncode != 0 and str(keys) in done.stderr and "600" in done.stderr
    keys.chmod(0o600)


@pytest.mark.parametrize("content", ["", "garbage\n", "1 \n", "\0" * 100])
def test_broken_key_file(start_relay, content):
    """Refused and left alone: made anew, every push URL would be dead."""
    relay = start_relay()
    relay.stop()
    keys = relay.state_dir / "keys"
    keys.write_text(content)
    done = run_relay(*relay.arguments()[1:])
    assert done.returncode != 0 and str(keys) in done.stderr
    assert keys.read_text() == content


def test_database_is_private(start_relay, tmp_path):
    relay = start_relay(f"sqlite:{tmp_path}/relay.db")
    for path in [p for p in os.listdir(tmp_path) if p.startswith("relay.db")]:
        assert os.stat(tmp_path / path).st_mode & 0o077 == 0, path
    assert relay.state_dir.stat().st_mode & 0o077 == 0


def test_log_level_on_sighup(start_relay, tmp_path):
    """Of the settings, only the log's are read again."""
    path = tmp_path / "relay.conf"
    path.write_text("log_level = info\n")
    relay = start_relay(config=path)
    relay.device()
    assert "debug" not in relay.process.log().lower()
    path.write_text("log_level = debug\nlog_format = json\n")
    relay.process.signal(signal.SIGHUP)
    wait_until(lambda: '"reloaded' in relay.process.log(), 5, "reload in the new format")
    path.write_text("log_level = nonsense\n")
    relay.process.signal(signal.SIGHUP)
    wait_until(lambda: "old ones stay" in relay.process.log(), 5, "the refusal")
    assert relay.get("/health").status == 200
