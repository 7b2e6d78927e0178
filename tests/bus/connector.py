# SPDX-License-Identifier: Apache-2.0
"""What the two test connectors share: a program that owns a bus name, answers calls as told, and logs them."""

import argparse
import json
import os
import sys
import time

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
from gi.repository import GLib

PATH = "/org/unifiedpush/Connector"
DISTRIBUTOR = "org.unifiedpush.Distributor.bellwire"
DISTRIBUTOR_PATH = "/org/unifiedpush/Distributor"
BEHAVIOURS = ("id", "wrong-id", "empty", "no-body", "error", "hang", "exit")


def arguments_of(version, words=None):
    parser = argparse.ArgumentParser(description=f"UnifiedPush connector, version {version}")
    parser.add_argument("--service", required=True, help='the bus name to own, or "unique"')
    parser.add_argument("--log", required=True, help="JSON lines of what happened")
    parser.add_argument("--behaviour", choices=BEHAVIOURS, default="id", help="how Message is answered")
    parser.add_argument("--slow", type=float, default=0, help="seconds before Message is answered")
    parser.add_argument("--gate", metavar="FILE", help="Message is answered once it is there")
    parser.add_argument("--exit-after", type=float, help="seconds without a call")
    parser.add_argument("--exit-at-once", action="store_true")
    parser.add_argument("--nameless", action="store_true", help="never take the name")
    parser.add_argument("--unexported", action="store_true", help="own the name, export nothing")
    parser.add_argument("--register", metavar="TOKEN", help="blocking, from the main thread, before the loop")
    parser.add_argument("--leave", action="store_true", help="do not wait for the answer to --register, exit")
    parser.add_argument("--vapid")
    parser.add_argument("--root", help="live in this root directory from the connection on")
    return parser.parse_args(words)


class Connector:
    """version 1 or 2 is the subclass: how arguments are read, how Message is answered, how Register is called."""

    interface = None

    def __init__(self, options):
        self.options = options
        self.loop = None
        self.timer = None
        self.calls = 0
        self.bus = dbus.bus.BusConnection(os.environ["DBUS_SESSION_BUS_ADDRESS"])
        if options.root:
            os.chroot(options.root)
        self.service = self.bus.get_unique_name() if options.service == "unique" else options.service

    def log(self, event, **facts):
        line = json.dumps({"event": event, "time": time.monotonic(), "pid": os.getpid(), **facts}) + "\n"
        os.write(self.log_fd, line.encode())

    def run(self):
        options = self.options
        self.log("started", unique=self.bus.get_unique_name())
        if options.exit_at_once:
            sys.exit(1)  # with 0 the bus would take it for one that went into the background
        if not options.unexported:
            self.bus._register_object_path(PATH, self.on_message)
        if not options.nameless and options.service != "unique":
            answer = self.bus.request_name(options.service, dbus.bus.NAME_FLAG_DO_NOT_QUEUE)
            if answer != dbus.bus.REQUEST_NAME_REPLY_PRIMARY_OWNER:
                sys.exit(f"the name {options.service} is taken")
        self.log("ready")
        if options.register:
            self.register_first()
        self.restart_timer()
        self.loop = GLib.MainLoop()
        self.loop.run()

    def register_first(self):
        if self.options.leave:
            self.bus.send_message(self.register_message(self.options.register))
            self.bus.flush()
            os._exit(0)
        answer = self.bus.send_message_with_reply_and_block(self.register_message(self.options.register), 25)
        self.log("answer", arguments=plain(answer.get_args_list()))

    def restart_timer(self):
        if self.options.exit_after is not None:
            if self.timer:
                GLib.source_remove(self.timer)
            self.timer = GLib.timeout_add(int(self.options.exit_after * 1000), self.loop_quit)

    def loop_quit(self):
        self.log("left")
        self.loop.quit()
        return False

    def on_message(self, connection, message):
        if message.get_interface() != self.interface:
            return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED
        self.restart_timer()
        member = message.get_member()
        facts = self.read(member, message.get_args_list(byte_arrays=True))
        self.log(member, no_reply=message.get_no_reply(), **facts)
        if member != "Message":
            self.send_return(message, *self.empty_return())
        elif self.options.slow:
            GLib.timeout_add(int(self.options.slow * 1000), self.answer_once, message, facts)
        elif self.options.gate:
            GLib.timeout_add(20, self.answer_behind_gate, message, facts)
        else:
            self.answer(message, facts)
        return dbus.lowlevel.HANDLER_RESULT_HANDLED

    def answer_once(self, message, facts):
        self.answer(message, facts)
        self.log("Answered")
        return False

    def answer_behind_gate(self, message, facts):
        return self.answer_once(message, facts) if os.path.exists(self.options.gate) else True

    def answer(self, message, facts):
        behaviour = self.options.behaviour
        if behaviour == "exit":
            os._exit(3)
        elif behaviour == "error":
            self.bus.send_message(
                dbus.lowlevel.ErrorMessage(message, "org.example.Error.Refused", "not this one")
            )
        elif behaviour == "no-body":
            self.send_return(message)
        elif behaviour != "hang":
            self.send_return(message, *self.message_return(behaviour, facts))

    def send_return(self, message, *signature_and_values):
        if message.get_no_reply():
            return
        reply = dbus.lowlevel.MethodReturnMessage(message)
        if signature_and_values:
            reply.append(*signature_and_values[1:], signature=signature_and_values[0])
        self.bus.send_message(reply)


def plain(value):
    """D-Bus values as JSON can hold them; bytes as hexadecimal."""
    if isinstance(value, (bytes, dbus.ByteArray)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (bool, dbus.Boolean)):
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)


def main(kind, version):
    options = arguments_of(version)
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    log_fd = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    kind.log_fd = log_fd
    kind(options).run()
