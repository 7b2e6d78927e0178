# SPDX-License-Identifier: Apache-2.0
"""`bellwire login` edits the configuration of a person: it keeps what is theirs, and is private."""

import os
import subprocess

import pytest
from daemon import BINARY
from harness.certificates import make_certificate
from harness.process import free_port, wait_until
from harness.tool import run_tool
from secure import secure_relay

BEFORE = """\
; my laptop
[distributor]
; the old one
;relay = wss://commented.example/
pool = 2

[log]
log_level = debug

[hook door]
command = /bin/true relay = x
"""


def login(session, *words):
    return run_tool("login", *words, "--no-start", env=session.env)


def settings_of(config):
    """As the daemon reads them."""
    words = ["env", "-u", "BELLWIRE_RELAY", BINARY, "--config", config, "--print-config"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("text", ["", BEFORE, BEFORE.replace(";relay", "  relay"), BEFORE.rstrip("\n")])
def test_keeps_the_rest(session, relay, tmp_path, text):
    config = tmp_path / "of" / "mine" / "distributor.conf"
    config.parent.mkdir(parents=True)
    config.write_text(text)
    for path in ("", "second"):
        url = f"ws://127.0.0.1:{relay.port}/{path}"
        done = login(session, url, "--config", config, *(["--no-check"] if path else []))
        assert done.returncode == 0, done.stderr
        after = config.read_text()
        lines = [line for line in text.splitlines() if not line.startswith("  relay")]
        assert [line for line in lines if line not in after.splitlines()] == []
        assert after.count(f"relay = {url}\n") == 1
        assert sum(line.strip().startswith("relay =") for line in after.splitlines()) == 1
        assert config.stat().st_mode & 0o777 == 0o600
        settings_of(config)
    assert [path.name for path in config.parent.iterdir()] == ["distributor.conf"]


def test_makes_the_default_file(session):
    done = login(session, "wss://push.example/i/secret", "--no-check", "--json")
    assert done.returncode == 0, done.stderr
    path = session.directory / "config/bellwire/distributor.conf"
    assert str(path) in done.stdout
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert "secret" not in settings_of(path)


@pytest.mark.parametrize("url", ["push.example", "ftp://push.example/", "wss://", "wss://a b/", "ws://push.example/"])
def test_refuses_bad_urls(session, tmp_path, url):
    config = tmp_path / "distributor.conf"
    done = login(session, url, "--config", config)
    assert done.returncode == 2 and "URL" in done.stderr, done
    assert not config.exists()


def test_a_relay_that_cannot_be_reached_is_not_written(session, tmp_path):
    config = tmp_path / "distributor.conf"
    config.write_text(BEFORE)
    done = login(session, f"ws://127.0.0.1:{free_port()}/", "--config", config)
    assert done.returncode == 1 and "refused" in done.stderr, done
    assert config.read_text() == BEFORE


@pytest.fixture
def private_relay(tmp_path):
    instance = secure_relay(tmp_path / "private-relay", make_certificate(tmp_path, 1))
    yield instance
    instance.finish()


def lines_of(config, name):
    return [line for line in config.read_text().splitlines() if line.strip().startswith(f"{name} =")]


@pytest.mark.parametrize("text", ["", BEFORE, "pool = 2\n", "[log]\nca_file = /nowhere\n; and\ninsecure = off"])
def test_whom_to_trust_is_written(session, private_relay, tmp_path, text):
    config = tmp_path / "distributor.conf"
    config.write_text(text)
    url, trusted = private_relay.wss, f"ca_file = {private_relay.cert}"
    words = ["--config", config]
    if "/nowhere" not in text:
        done = login(session, url, *words)
        assert done.returncode == 1 and "--ca" in done.stderr, done
        assert config.read_text() == text
    done = login(session, url, *words, "--ca", os.path.relpath(private_relay.cert))
    assert done.returncode == 0, done.stderr
    assert lines_of(config, "ca_file") == [trusted] and "any certificate" not in done.stderr
    done = login(session, url, *words)  # what stands there is heeded, and stays
    assert done.returncode == 0, done.stderr
    assert lines_of(config, "ca_file") == [trusted] and "on" not in "".join(lines_of(config, "insecure"))
    done = login(session, "ws://push.example/", *words, "--insecure", "--no-check")
    assert done.returncode == 0 and "any certificate" in done.stderr, done
    assert lines_of(config, "insecure") == ["insecure = on"]
    assert lines_of(config, "relay") == ["relay = ws://push.example/"]
    kept = [line for line in text.splitlines() if "/nowhere" not in line and "insecure" not in line]
    assert [line for line in config.read_text().splitlines() if line in kept] == kept
    assert config.read_text().count("[distributor]") == 1
    assert "insecure = on" in settings_of(config)


def test_mail_logins_are_left_alone(session, tmp_path):
    config = tmp_path / "distributor.conf"
    mail = f"[jmap work]\nuser = ann@example.org\ninsecure = off\nca_file = {tmp_path}/mail.pem\n"
    (tmp_path / "mail.pem").write_text("")
    config.write_text(mail)
    done = login(session, "ws://push.example/", "--config", config, "--insecure", "--no-check")
    assert done.returncode == 0, done.stderr
    assert config.read_text() == f"[distributor]\nrelay = ws://push.example/\ninsecure = on\n\n{mail}"
    settings_of(config)


def test_certificates_that_are_none_are_refused(session, private_relay, tmp_path):
    config = tmp_path / "distributor.conf"
    (tmp_path / "empty.pem").write_text("")
    for name, words in (("empty.pem", "no certificates"), ("absent.pem", "No such file")):
        done = login(session, private_relay.wss, "--config", config, "--ca", tmp_path / name)
        assert done.returncode == 1 and words in done.stderr, done
        assert not config.exists()


def test_a_daemon_trusts_after_its_restart(session, private_relay, start_daemon):
    daemon = start_daemon(relay=None)
    done = login(session, private_relay.wss, "--ca", private_relay.cert)
    assert done.returncode == 0 and "restart" in done.stderr, done
    daemon.restart()
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    done = login(session, private_relay.wss)
    assert done.returncode == 0 and "restart" not in done.stderr, done


def test_moves_a_running_daemon(session, relay, start_daemon):
    start_daemon(relay=None)
    done = login(session, f"ws://127.0.0.1:{relay.port}/")
    assert done.returncode == 0, done.stderr
    assert run_tool("status", env=session.env).stdout
