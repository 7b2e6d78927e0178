# SPDX-License-Identifier: Apache-2.0
"""org.freedesktop.secrets as a template of python-dbusmock: one collection, which may be locked behind a prompt.

Parameters: locked (bool), dismissed (bool: the user closes the prompt), absent (bool: the user never answers it)."""

import dbus

BUS_NAME = "org.freedesktop.secrets"
MAIN_OBJ = "/org/freedesktop/secrets"
MAIN_IFACE = "org.freedesktop.Secret.Service"
SYSTEM_BUS = False

TEST_IFACE = "org.freedesktop.Secret.Test"  # Lock(locked, dismissed, absent)
COLLECTION, ITEM, PROMPT, SESSION = (f"org.freedesktop.Secret.{n}" for n in ("Collection", "Item", "Prompt", "Session"))
LOGIN = f"{MAIN_OBJ}/collection/login"
PROMPT_PATH, SESSION_PATH, NOTHING = f"{MAIN_OBJ}/prompt/p1", f"{MAIN_OBJ}/session/s1", dbus.ObjectPath("/")


class Keeper:
    """What lies there."""

    def __init__(self, service, parameters):
        self.service = service
        self.is_locked = bool(parameters.get("locked", False))
        self.is_dismissed = bool(parameters.get("dismissed", False))
        self.is_absent = bool(parameters.get("absent", False))
        self.items = {}  # path: (attributes, secret)
        self.made = 0

    def refuse_locked(self):
        if self.is_locked:
            raise dbus.exceptions.DBusException("locked", name="org.freedesktop.Secret.Error.IsLocked")

    def find(self, wish):
        wish = {str(k): str(v) for k, v in wish.items()}.items()
        return dbus.Array([dbus.ObjectPath(p) for p, (has, _) in self.items.items() if wish <= has.items()], "o")

    def open_session(self, _, algorithm, value):
        if algorithm != "plain":
            raise dbus.exceptions.DBusException("only plain", name="org.freedesktop.DBus.Error.NotSupported")
        return dbus.String("", variant_level=1), dbus.ObjectPath(SESSION_PATH)

    def search(self, _, wish):
        found, none = self.find(wish), dbus.Array([], "o")
        return (none, found) if self.is_locked else (found, none)

    def unlock(self, _, paths):
        return (dbus.Array([], "o"), dbus.ObjectPath(PROMPT_PATH)) if self.is_locked else (paths, NOTHING)

    def secret(self, session, path):
        self.refuse_locked()
        parts = (session, dbus.ByteArray(b""), dbus.ByteArray(self.items[path][1]), "text/plain")
        return dbus.Struct(parts, signature="oayays")

    def secrets(self, _, paths, session):
        return dbus.Dictionary({p: self.secret(session, p) for p in paths}, "o(oayays)")

    def prompt(self, prompt, _):
        if self.is_absent:
            return
        self.is_locked = self.is_dismissed
        paths = dbus.Array([dbus.ObjectPath(p) for p in self.items], "o", variant_level=1)
        prompt.EmitSignal(PROMPT, "Completed", "bv", [dbus.Boolean(self.is_dismissed), paths])

    def create(self, _, properties, secret, is_replacing):
        self.refuse_locked()
        wish = {str(k): str(v) for k, v in properties[f"{ITEM}.Attributes"].items()}
        path = next((p for p, (has, _) in self.items.items() if is_replacing and has == wish), None)
        if path is None:
            self.made += 1
            path = f"{LOGIN}/{self.made}"
            values = {"Attributes": dbus.Dictionary(wish, "ss"), "Locked": False, "Label": properties[f"{ITEM}.Label"]}
            self.service.AddObject(path, ITEM, values, [
                ("GetSecret", "o", "(oayays)", lambda item, session: self.secret(session, path)),
                ("SetSecret", "(oayays)", "", lambda item, new: self.items.update({path: (wish, bytes(new[2]))})),
                ("Delete", "", "o", lambda item: self.delete(path)),
            ])  # fmt: skip
        self.items[path] = (wish, bytes(secret[2]))
        return dbus.ObjectPath(path), NOTHING

    def lock(self, _, is_locked, is_dismissed, is_absent):
        self.is_locked, self.is_dismissed, self.is_absent = bool(is_locked), bool(is_dismissed), bool(is_absent)

    def delete(self, path):
        self.refuse_locked()
        del self.items[path]
        self.service.RemoveObject(path)
        return NOTHING


def plain(method):
    """dbusmock wants functions, not methods."""
    return lambda *arguments: method(*arguments)


def load(mock, parameters):
    keeper = Keeper(mock, parameters)
    mock.AddMethods(MAIN_IFACE, [
        ("OpenSession", "sv", "vo", plain(keeper.open_session)),
        ("SearchItems", "a{ss}", "aoao", plain(keeper.search)),
        ("Unlock", "ao", "aoo", plain(keeper.unlock)),
        ("GetSecrets", "aoo", "a{o(oayays)}", plain(keeper.secrets)),
        ("ReadAlias", "s", "o", lambda service, name: dbus.ObjectPath(LOGIN) if name == "default" else NOTHING),
    ])  # fmt: skip
    mock.AddMethods(TEST_IFACE, [("Lock", "bbb", "", plain(keeper.lock))])
    mock.AddObject(SESSION_PATH, SESSION, {}, [("Close", "", "", lambda session: None)])
    mock.AddObject(PROMPT_PATH, PROMPT, {}, [("Prompt", "s", "", plain(keeper.prompt))])
    mock.AddObject(LOGIN, COLLECTION, {"Locked": keeper.is_locked, "Label": "Login"}, [
        ("SearchItems", "a{ss}", "ao", lambda collection, wish: keeper.find(wish)),
        ("CreateItem", "a{sv}(oayays)b", "oo", plain(keeper.create)),
    ])  # fmt: skip
