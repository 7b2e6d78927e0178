# SPDX-License-Identifier: Apache-2.0
"""`bellwire-distributor --check-config` with what people get wrong: file, line, key, and what would do."""

import os
import subprocess

import pytest
from daemon import BINARY


def check(tmp_path, text, **env):
    path = tmp_path / "distributor.conf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BELLWIRE_")}
    environment.update({"HOME": str(tmp_path), **env})
    words = [BINARY, "--config", path, "--check-config"]
    return subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)


@pytest.mark.parametrize(
    "text,said",
    [
        ("relay = push.example\n", "1: relay: is no URL; give one like wss://push.example/"),
        ('relay = "wss://push.example/"\n', "1: relay: is no URL; give one like wss://push.example/, without quotes"),
        ("relay = wss://push.example/ ; mine\n", "with nothing behind it"),
        ("relay = http://push.example/\n", "1: relay: is not encrypted; use wss://, or set insecure for a test"),
        ("[distributor]\nrely = x\n", "2: rely: unknown setting; did you mean relay?"),
        ("relay wss://push.example/\n", "1: relay wss: unknown setting; did you mean relay?"),
        ("relay = wss://a.example/\nrelay = wss://b.example/\n", "2: relay was set before at "),
        ("[distributor\nrelay = x\n", '1: must be "name = value", "[section]" or a comment'),
        ("pool = many\n", "1: pool = many: must be 0 to 64"),
        ("thrift = low\n", "1: thrift = low: must be one of reliable, balanced, thrifty"),
        ("notice_after = 15 minutes\n", "must be 0 to 86400 seconds (m, h, d may follow)"),
        ("ca_file = /nonexistent\n", "1: ca_file: cannot be read: No such file or directory"),
        ("ca_file = ~/absent.pem\n", "1: ca_file: cannot be read: No such file or directory"),
        ("[hook]\ncommand = true\n", "2: [hook] command: there is no such section; there are [hook NAME] and [jmap NAME]"),
        ("[hooks mail]\ncommand = true\n", "2: [hooks mail] command: there is no such section"),
        ("[mail]\non_change = true\n", "2: [mail] on_change: there is no such section"),
        ("[hook a b]\ncommand = true\n", "2: [hook a b]: a hook's name may hold letters, digits, - and _ only"),
        ("[hook mail]\nCommand = true\n", "2: Command: hooks have no such key; did you mean command?"),
        ("[hook mail]\ncommand =\n", "[hook mail] does nothing: give it a command or a notify_title"),
        ("[hook mail]\ncommand = a && b\n", "is run without a shell"),
        ("[hook mail]\nnotify_title = {subject}\n", "may hold {title} {text}"),
        ("[hook mail]\ncommand = true\ntimeout = 0\n", "3: timeout = 0: must be 1 to 604800 seconds"),
        ("[jmap work]\npassword = x\nuser = a@b.example\n", "2: password: mail logins have no such key; did you mean password_command?"),
        (b"pool = \x00\n", "1: has a control character"),
    ],
)
def test_mistakes(tmp_path, text, said):
    done = check(tmp_path, text)
    assert done.returncode == 2 and done.stdout == "", done
    assert said in done.stderr and "distributor.conf" in done.stderr, done


def test_all_at_once(tmp_path):
    done = check(tmp_path, "pool = 65\nrely = x\n[hook a]\ncommand = |\n[jmap b]\nuser = c\n")
    assert done.returncode == 2
    for line in (1, 2, 4, 6):
        assert f"distributor.conf:{line}: " in done.stderr, done


@pytest.mark.parametrize("text", ["", "\ufeffrelay = wss://push.example/\n", "pool = 3\r\n[log]\r\nlog_level = info\r\n"])
def test_no_mistakes(tmp_path, text):
    done = check(tmp_path, text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is good\n", "")


@pytest.mark.parametrize("command", ["nosuchprogram x", "/nonexistent/program"])
def test_programs_that_are_not_there(tmp_path, command):
    """They may come; so it is said, and no more."""
    done = check(tmp_path, f"[hook mail]\ncommand = {command}\n[hook other]\ncommand = true\n")
    assert done.returncode == 0 and done.stdout == "the configuration is good\n"
    assert f"[hook mail]: there is no program {command.split()[0]} here" in done.stderr
    assert done.stderr.count("\n") == 1


def test_home(tmp_path):
    """No shell has seen the file, and ~/ is the home all the same."""
    (tmp_path / "ca.pem").write_text("")
    text = "state_dir = ~/kept\nca_file = ~/ca.pem\n"
    assert check(tmp_path, text).returncode == 0
    path = tmp_path / "distributor.conf"
    words = [BINARY, "--config", path, "--print-config"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("BELLWIRE_RELAY", None)
    printed = subprocess.run(words, capture_output=True, text=True, env=environment, check=True).stdout
    assert f"state_dir = {tmp_path}/kept\n" in printed and f"ca_file = {tmp_path}/ca.pem\n" in printed


@pytest.mark.parametrize(
    "words,said",
    [
        (["--config", "/nonexistent"], "/nonexistent: cannot be read: No such file or directory"),
        (["--config", "/"], "/: cannot be read: Is a directory"),
        (["--frobnicate"], "--frobnicate: unknown flag; see --help"),
        (["--relay"], "--relay: needs a value: --relay URL"),
        (["nonsense"], 'what is "nonsense"? See --help'),
    ],
)
def test_words(words, said):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and said in done.stderr and done.stdout == "", done
