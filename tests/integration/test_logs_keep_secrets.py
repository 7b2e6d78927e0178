# SPDX-License-Identifier: Apache-2.0
"""Not even at debug level: no UAID, token, endpoint, payload, key or invite in the log."""

import base64

from harness.relay import path_of
from harness.sender import Vapid


def test_nothing_secret_is_logged(start_relay, durable):
    relay = start_relay(durable, log_level="debug")
    sender = Vapid()
    device, channel, endpoint = relay.subscribed()
    _, guarded = device.register(key=sender.key)
    header = sender.header(guarded)
    location = relay.push(endpoint, b"the payload itself", topic="SecretTopic")["location"]
    relay.post(guarded, b"x", headers=[header])
    relay.post(guarded, b"x")
    relay.post(endpoint, b"x", "bad")
    relay.request("DELETE", location)
    again = relay.device(device.uaid)
    again.send_text("nonsense " + device.uaid)
    again.close_code()
    device.unregister(channel)
    relay.stop()
    log = relay.process.log()
    secrets = [
        device.uaid,
        path_of(endpoint)[3:],
        path_of(guarded)[3:],
        path_of(location)[3:],
        "SecretTopic",
        "payload itself",
    ]
    secrets += [base64.urlsafe_b64encode(b"the payload itself").decode()[:20], header[1].split(".")[2][:20]]
    assert len(log.splitlines()) > 5
    for secret in secrets:
        assert secret not in log and secret[:24] not in log, secret
