# SPDX-License-Identifier: Apache-2.0
"""An application server: VAPID tokens and Web Push encryption, made independently of the relay's code."""

import base64
import json
import os
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_bytes(key):
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


class Vapid:
    """A P-256 key pair and the tokens signed by it."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = public_bytes(self.private)
        self.key = b64(self.public)

    def signature(self, text):
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def sign(self, header, claims, signature=None):
        """A token; header and claims are dicts or raw bytes, signature changes the good one."""
        parts = [
            p if isinstance(p, bytes) else json.dumps(p, separators=(",", ":")).encode()
            for p in (header, claims)
        ]
        text = f"{b64(parts[0])}.{b64(parts[1])}"
        raw = self.signature(text.encode())
        return f"{text}.{b64(signature(raw) if signature else raw)}"

    def token(self, origin, ttl=12 * 3600, alg="ES256", signature=None, drop=(), **claims):
        values = {"aud": origin, "exp": int(time.time()) + ttl, "sub": "mailto:push@example.com", **claims}
        for name in drop:
            del values[name]
        return self.sign({"typ": "JWT", "alg": alg}, values, signature)

    def authorization(self, endpoint, **kw):
        return f"vapid t={self.token(origin_of(endpoint), **kw)}, k={self.key}"

    def header(self, endpoint, **kw):
        return ("Authorization", self.authorization(endpoint, **kw))


def origin_of(url):
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _hmac(key, data):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


class Subscriber:
    """The app's key pair: what a sender encrypts to, and how the app reads it."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = public_bytes(self.private)
        self.auth = os.urandom(16)

    # ---- aes128gcm, RFC 8291 ----

    def _aes128gcm_keys(self, secret, sender_public, salt):
        info = b"WebPush: info\0" + self.public + sender_public
        ikm = _hmac(_hmac(self.auth, secret), info + b"\1")
        prk = _hmac(salt, ikm)
        return (
            _hmac(prk, b"Content-Encoding: aes128gcm\0\1")[:16],
            _hmac(prk, b"Content-Encoding: nonce\0\1")[:12],
        )

    def encrypt(self, plain, pad=0, sender=None, rs=4096):
        sender = sender or ec.generate_private_key(ec.SECP256R1())
        public = public_bytes(sender)
        salt = os.urandom(16)
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)
        key, nonce = self._aes128gcm_keys(sender.exchange(ec.ECDH(), peer), public, salt)
        record = AESGCM(key).encrypt(nonce, plain + b"\2" + bytes(pad), None)
        return salt + rs.to_bytes(4, "big") + bytes([65]) + public + record

    def decrypt(self, body):
        salt, public = body[:16], body[21:86]
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        key, nonce = self._aes128gcm_keys(self.private.exchange(ec.ECDH(), peer), public, salt)
        return AESGCM(key).decrypt(nonce, body[86:], None).rstrip(b"\0")[:-1]

    # ---- aesgcm, the old draft ----

    def _aesgcm_keys(self, secret, sender_public, salt):
        ikm = _hmac(_hmac(self.auth, secret), b"Content-Encoding: auth\0\1")
        context = b"P-256\0\0A" + self.public + b"\0A" + sender_public
        prk = _hmac(salt, ikm)
        return (
            _hmac(prk, b"Content-Encoding: aesgcm\0" + context + b"\1")[:16],
            _hmac(prk, b"Content-Encoding: nonce\0" + context + b"\1")[:12],
        )

    def encrypt_aesgcm(self, plain):
        """(body, salt, dh): the last two as the senders write them."""
        sender = ec.generate_private_key(ec.SECP256R1())
        public, salt = public_bytes(sender), os.urandom(16)
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.public)
        key, nonce = self._aesgcm_keys(sender.exchange(ec.ECDH(), peer), public, salt)
        return AESGCM(key).encrypt(nonce, b"\0\0" + plain, None), b64(salt), b64(public)

    def decrypt_aesgcm(self, body, headers):
        """headers: those of the notification."""
        fields = dict(
            p.strip().split("=", 1) for k in ("encryption", "crypto_key") for p in headers[k].split(";")
        )
        public = unb64(fields["dh"])
        peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        key, nonce = self._aesgcm_keys(self.private.exchange(ec.ECDH(), peer), public, unb64(fields["salt"]))
        return AESGCM(key).decrypt(nonce, body, None)[2:]
