# SPDX-License-Identifier: Apache-2.0
"""`bellwire prefer` makes apps choose this distributor from the next login on, as systemd and KDE's library read it."""

import json
import os
import shutil
import subprocess

import pytest
from harness.tool import run_tool
from session import NAME

FILE = "environment.d/60-bellwire.conf"


@pytest.mark.parametrize("config", [None, "elsewhere"])
def test_there_and_back(tmp_path, config):
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / config) if config else ""}
    path = tmp_path / (config or ".config") / FILE
    for _ in range(2):
        done = run_tool("prefer", env=env)
        assert done.returncode == 0 and str(path) in done.stdout and "next login" in done.stdout, done
        name, value = path.read_text().strip().split("=")
        assert name == "UNIFIEDPUSH_DISTRIBUTOR" and NAME.endswith(f".{value}")
        assert path.stat().st_mode & 0o777 == 0o644
    assert json.loads(run_tool("prefer", "--json", env=env).stdout) == {"file": str(path), "preferred": True}
    for _ in range(2):
        done = run_tool("prefer", "--undo", env=env)
        assert done.returncode == 0 and not path.exists(), done


def test_what_cannot_be_written(tmp_path):
    (tmp_path / "environment.d").write_text("no folder")
    done = run_tool("prefer", env={"XDG_CONFIG_HOME": str(tmp_path)})
    assert done.returncode == 1 and f"{tmp_path}/{FILE} cannot be written" in done.stderr, done
    done = run_tool("prefer", env={"XDG_CONFIG_HOME": "", "HOME": ""})
    assert done.returncode == 1 and "HOME is not set" in done.stderr, done


def test_systemd_reads_it(tmp_path):
    """Its generator prints what a session of the user gets."""
    generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
    if not shutil.which(generator):
        pytest.skip("systemd's generator of environments is not here")
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    assert run_tool("prefer", env=env).returncode == 0
    done = subprocess.run([generator], capture_output=True, text=True, env={**os.environ, **env}, check=True)
    assert "UNIFIEDPUSH_DISTRIBUTOR=bellwire" in done.stdout.splitlines()
