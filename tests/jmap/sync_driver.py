# SPDX-License-Identifier: Apache-2.0
"""The program mail_driver: what is new in an account, and on a session bus the notices of it."""

import json
import os

from harness.scripted import Scripted

BINARY = os.environ["MAIL_DRIVER"]


class Sync(Scripted):
    def __init__(self, directory, jmap, account="a1", saved=None, env=None, **keys):
        keys = {
            "user": "ann@localhost", "session_url": jmap.well_known, "ca_file": jmap.ca_file,
            "password_command": "echo secret", "on_change": "true", **keys,
        }  # fmt: skip
        self.jmap, self.directory = jmap, directory
        config = directory / "config"
        config.write_text("[jmap work]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))
        words = [BINARY, config, account, directory]
        if saved is not None:
            (directory / "saved").write_text(json.dumps(saved))
            words.append(directory / "saved")
        super().__init__(words, directory / "driver.log", {"HOME": str(directory), **(env or {})})
        self.expect("connected")

    def word(self, word, timeout=30):
        return self.take(lambda line: line.startswith(word + " "), word, timeout)[len(word) + 1 :]

    def done(self):
        return json.loads(self.word("done"))

    def run(self):
        self.send("run")
        return self.done()

    def new(self):
        """Subjects of a run that goes well."""
        result = self.run()
        assert result["outcome"] == "ok", result
        return [mail["subject"] for mail in result["mails"]]

    def saved(self):
        self.send("save")
        return json.loads(self.word("saved"))

    def settled(self):
        return sorted(line.split()[1] for line in self.take_all() if line.startswith("settled "))
