# SPDX-License-Identifier: Apache-2.0
"""What the tool prints: one JSON value a line with --json, and no success when it could not be written."""

import json
import os
import subprocess

import pytest
from harness.process import wait_until
from harness.tool import TOOL
from session import SUCCEEDED

SERVICE = "org.example.App"
# in an order that works; the last ones disturb
EVERY = [
    ["status"],
    ["register", "door"],
    ["apps"],
    ["log"],
    ["keys", "door"],
    ["block", "door"],
    ["unblock", "door"],
    ["test"],
    ["vapid", "new"],
    ["jmap", "list"],
    ["reconnect"],
    ["unregister", "door"],
    ["pause"],
    ["resume"],
]


@pytest.fixture
def served(daemon, caller, session):
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    app = session.app(SERVICE).start()
    assert caller.register(SERVICE, "token", description='"quoted" \\ and ☎ \u2028') == SUCCEEDED
    daemon.push(app.wait("NewEndpoint")[0]["endpoint"])
    app.wait("Message")
    return daemon


def words_of(daemon, words):
    return [*words, "--state-dir", daemon.state_dir] if words[0] == "keys" else words


def test_every_command_prints_json(served):
    for words in EVERY:
        done = served.tool(*words_of(served, words), "--json")
        assert done.returncode == 0, done
        lines = done.stdout.splitlines()
        assert lines or words == ["jmap", "list"], done
        for line in lines:
            assert isinstance(json.loads(line), (dict, list)), line
        assert done.stdout.endswith("\n") or not done.stdout


def run_into(daemon, out, words):
    env = {**os.environ, **daemon.session.env}
    arguments = [TOOL, *map(str, words_of(daemon, words))]
    return subprocess.run(arguments, stdout=out, stderr=subprocess.PIPE, text=True, env=env, timeout=40, check=False)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_full_disk(served, flags):
    """Said once, and no success."""
    for words in [["--help"], *EVERY]:
        if words == ["jmap", "list"]:
            continue  # may have nothing to say
        with open("/dev/full", "w", encoding="utf-8") as out:
            done = run_into(served, out, words + (flags if words != ["--help"] else []))
        assert done.returncode == 1, (words, done)
        assert done.stderr.count("standard output cannot be written: No space left on device") == 1, (words, done)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_reader_that_has_enough(served, flags):
    """As for other tools: no word about it."""
    for words in EVERY:
        reader, writer = os.pipe()
        os.close(reader)
        done = run_into(served, writer, words + flags)
        os.close(writer)
        assert done.returncode == 0 and "standard output" not in done.stderr, (words, done)


def test_no_output_at_all(served):
    arguments = ["sh", "-c", 'exec "$@" >&-', "sh", TOOL, "status"]
    env = {**os.environ, **served.session.env}
    done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, env=env, timeout=40, check=False)
    assert done.returncode == 1 and "standard output cannot be written" in done.stderr, done
