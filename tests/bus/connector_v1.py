# SPDX-License-Identifier: Apache-2.0
"""A version 1 app: positional arguments, answers Message with an empty return, confirms by the empty token."""

import connector
import dbus.lowlevel


class ConnectorV1(connector.Connector):
    interface = "org.unifiedpush.Connector1"

    def read(self, member, arguments):
        names = {
            "NewEndpoint": ("token", "endpoint"),
            "Message": ("token", "message", "id"),
            "Unregistered": ("token",),
        }[member]
        return dict(zip(names, map(connector.plain, arguments), strict=True))

    def empty_return(self):
        return ()

    def message_return(self, behaviour, facts):
        return ("s", "another") if behaviour == "wrong-id" else ()

    def register_message(self, token):
        message = dbus.lowlevel.MethodCallMessage(
            connector.DISTRIBUTOR, connector.DISTRIBUTOR_PATH, "org.unifiedpush.Distributor1", "Register"
        )
        message.append(self.service, token, "connector 1", signature="sss")
        return message


if __name__ == "__main__":
    connector.main(ConnectorV1, 1)
