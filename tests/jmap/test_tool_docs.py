# SPDX-License-Identifier: Apache-2.0
"""docs/mail.md says nothing that the programs do not know."""

import os
import pathlib
import re
import subprocess

import pytest
from daemon import BINARY
from harness.tool import run_tool

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAIL, README = (ROOT / "docs/mail.md").read_text(), (ROOT / "README.md").read_text()
SECTIONS = re.findall(r"(?:^    .+\n)+", MAIL, re.MULTILINE)
SECTIONS = ["".join(line[4:] for line in block.splitlines(True)) for block in SECTIONS if "[jmap " in block and "bellwire:" not in block]


def test_there_are_sections():
    assert len(SECTIONS) >= 6


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_are_good(tmp_path, section):
    config = tmp_path / "distributor.conf"
    config.write_text(section)
    env = {**os.environ, "HOME": "/home/ann"}
    words = ["env", "-u", "BELLWIRE_RELAY", BINARY, "--config", config, "--check-config"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_flags_are_known():
    known = set(re.findall(r"--[a-z-]+", run_tool("jmap", "--help").stdout))
    commands = [line for text in (MAIL, README) for line in text.splitlines() if "bellwire jmap" in line]
    used = set(re.findall(r"(?<!\w)--[a-z-]+", " ".join(commands))) | {"--stream", "--ca", "--secret-store", "--on-click"}
    assert used <= known, used - known
    subcommands = set(re.findall(r"bellwire jmap ([a-z]+)", MAIL + README))
    help_text = run_tool("jmap", "--help").stdout
    assert all(word in help_text for word in subcommands) and len(subcommands) >= 6


def test_words_of_the_status_are_ours():
    """The table of reasons quotes what the programs say."""
    table = MAIL.split("| it says | then |")[1].split("\n\n")[0]
    sources = "".join(path.read_text() for folder in ("jmap", "link", "ctl") for path in (ROOT / "distributor" / folder).glob("*.c"))
    sources = re.sub(r'"\s*\n\s*"', "", sources)
    for row in re.findall(r"^\| ([a-zA-Z][^|]+) \|", table, re.MULTILINE):
        forms = (row, row.replace("the certificate", "the certificate of %s"), row.removeprefix("refuses "))
        assert any(form in sources for form in forms), row
