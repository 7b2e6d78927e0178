# SPDX-License-Identifier: Apache-2.0
"""The tool `bellwire`: commands run to their end, and listeners whose lines are awaited."""

import json
import os
import pathlib
import queue
import subprocess
import threading
import time

from . import relay as relay_module
from .process import SANITIZER_MARKS

TOOL = os.environ.get("BELLWIRE_TOOL") or str(pathlib.Path(relay_module.BINARY).with_name("bellwire"))


def check_sanitizers(text):
    for mark in SANITIZER_MARKS:
        assert mark not in text, text


def run_tool(*arguments, text=None, timeout=40, env=None):
    """Runs a command to its end; text is its standard input."""
    done = subprocess.run(
        [TOOL, *map(str, arguments)],
        input=text or "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    check_sanitizers(done.stderr)
    return done


class Listener:
    """A `bellwire listen` under way."""

    def __init__(self, relay_url, *arguments, env=None):
        self.child = subprocess.Popen(
            [TOOL, "listen", "--relay", relay_url, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines = queue.Queue()
        self.notes = []
        self.note_came = threading.Condition()
        self.threads = [threading.Thread(target=self._read_out), threading.Thread(target=self._read_err)]
        for thread in self.threads:
            thread.start()

    def _read_out(self):
        for line in self.child.stdout:
            self.lines.put(line)

    def _read_err(self):
        for line in self.child.stderr:
            with self.note_came:
                self.notes.append(line.rstrip("\n"))
                self.note_came.notify_all()

    def line(self, timeout=15):
        """The next line, as an object."""
        try:
            return json.loads(self.lines.get(timeout=timeout))
        except queue.Empty:
            raise AssertionError(f"no line within {timeout} s; notes: {self.notes}") from None

    def has_line(self):
        return not self.lines.empty()

    def note(self, words, timeout=15):
        """The first note on standard error that holds these words."""
        deadline = time.monotonic() + timeout
        with self.note_came:
            while True:
                for note in self.notes:
                    if words in note:
                        return note
                left = deadline - time.monotonic()
                assert left > 0, f"no note with {words!r}: {self.notes}"
                self.note_came.wait(left)

    def wait(self, timeout=15):
        """Its exit status, once it ends by itself."""
        status = self.child.wait(timeout)
        for thread in self.threads:
            thread.join()
        check_sanitizers("\n".join(self.notes))
        return status

    def stop(self, timeout=15):
        """Its exit status after SIGTERM."""
        if self.child.poll() is None:
            self.child.terminate()
        return self.wait(timeout)
