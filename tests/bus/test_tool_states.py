# SPDX-License-Identifier: Apache-2.0
"""What the tool says of a daemon in each state: what is wrong, and what to do about it."""

import pytest
from harness.process import wait_until
from harness.tool import run_tool


def refused(daemon, words, *sentences):
    """It fails, says all of these, and prints nothing else."""
    done = daemon.tool(*words)
    assert done.returncode == 1 and done.stdout == "", done
    for sentence in sentences:
        assert sentence in done.stderr, done
    assert done.stderr.startswith("bellwire: ") and done.stderr.count("\n") == 1, done


@pytest.fixture
def unset(start_daemon):
    """No relay is set."""
    return start_daemon(relay=None)


@pytest.fixture
def up(daemon):
    wait_until(lambda: daemon.status()["state"] == "up", 20, "the link")
    return daemon


@pytest.mark.parametrize("words", [["register", "door"], ["reconnect"], ["test"]])
def test_no_relay_is_set(unset, words):
    refused(unset, words, "no relay is set; run: bellwire login URL")


def test_status_without_a_relay(unset):
    done = unset.tool("status")
    assert done.returncode == 3 and done.stdout.startswith("not connected: no relay is set; run: bellwire login URL\n")
    assert "never" not in done.stdout, done.stdout


def test_paused(up):
    assert up.tool("pause").returncode == 0
    refused(up, ["reconnect"], "paused by the user; run: bellwire resume")
    done = up.tool("status")
    assert done.returncode == 3 and "paused by the user; run: bellwire resume" in done.stdout
    assert up.tool("resume").returncode == 0
    assert up.tool("reconnect").returncode == 0


def test_a_distributor_of_another_version(session):
    """It does not know what it is asked for."""
    session.app("org.bellwire.Distributor", unexported=True).start()
    for words in (["status"], ["pause"], ["listen"]):
        done = run_tool(*words, env=session.env)
        assert done.returncode == 1 and "of another version; restart it: systemctl --user restart" in done.stderr, done


@pytest.mark.parametrize("command", ["unregister", "block", "unblock"])
@pytest.mark.parametrize("word", ["99", "stranger", "0", "4294967295"])
def test_what_is_not_registered(up, command, word):
    refused(up, [command, word], word, "see: bellwire apps")


def test_listening_to_what_is_not_registered(up):
    refused(up, ["listen", "stranger"], "nothing is registered as stranger", "bellwire register")


@pytest.mark.parametrize("name", ["", "7", "1234567890", "two words", "a/b", "ä", "x" * 65])
def test_names_that_are_none(up, name):
    """A number is that of a registration, so it cannot be a name, too."""
    refused(up, ["register", name], "a name is 1 to 64 letters")


def test_a_name_with_a_number_in_it(up):
    assert up.tool("register", "7th").returncode == 0
    assert up.tool("unregister", "7th").stdout == "unregistered\n"


def test_a_hook_is_not_unregistered(start_daemon, session):
    config = session.directory / "hooks.conf"
    config.write_text("[hook door]\ncommand = true\n")
    daemon = start_daemon(config=config)
    wait_until(lambda: daemon.status()["registrations"] == 1, 20, "the hook")
    refused(daemon, ["unregister", "door"], "goes when its section leaves the configuration")
    assert daemon.status()["registrations"] == 1
