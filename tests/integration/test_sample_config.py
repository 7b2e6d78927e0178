# SPDX-License-Identifier: Apache-2.0
"""The sample configuration is what the settings table prints, and is a valid file."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELAY = os.environ.get("BELLWIRE_RELAY", str(ROOT / "build/dev/bin/bellwire-relay"))


def test_sample_is_current():
    printed = subprocess.run([RELAY, "sample-config"], capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "deploy/relay.conf").read_text()


def test_sample_is_accepted():
    done = subprocess.run(
        [RELAY, "--config", str(ROOT / "deploy/relay.conf"), "--public-url", "https://push.example", "--check-config"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
