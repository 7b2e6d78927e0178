# SPDX-License-Identifier: Apache-2.0
"""What a mail server does to a push before it is posted: RFC 8291 encryption and the forms servers give it."""

import os

from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from harness.sender import b64, public_bytes, unb64

RECORD_SIZE = 4096
TAG_BYTES = 16


def _hmac(key, data):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac.finalize()


def _nonce(base, number):
    return (int.from_bytes(base, "big") ^ number).to_bytes(12, "big")


def check_keys(keys):
    """The point and the secret of a subscription's keys; ValueError says what is wrong."""
    point, auth = unb64(keys["p256dh"]), unb64(keys["auth"])
    if len(auth) != 16:
        raise ValueError("auth is not 16 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point), point, auth


def public_point(public):
    return public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def raw_keys(keys):
    """Of keys as James wants them, the point as a DER SubjectPublicKeyInfo: the usual ones."""
    public = serialization.load_der_public_key(unb64(keys["p256dh"]))
    return {**keys, "p256dh": b64(public_point(public))}


def encrypt(keys, plaintext, multiple=1):
    """aes128gcm; padded so that text, delimiter and padding fill a multiple. Long texts take several records."""
    public, point, auth = check_keys(keys)
    private = ec.generate_private_key(ec.SECP256R1())
    own, salt = public_bytes(private), os.urandom(16)
    ikm = _hmac(_hmac(auth, private.exchange(ec.ECDH(), public)), b"WebPush: info\0" + point + own + b"\1")
    prk = _hmac(salt, ikm)
    key = _hmac(prk, b"Content-Encoding: aes128gcm\0\1")[:16]
    base = _hmac(prk, b"Content-Encoding: nonce\0\1")[:12]
    room = RECORD_SIZE - TAG_BYTES - 1
    pieces = [plaintext[at : at + room] for at in range(0, len(plaintext), room)] or [b""]
    body = salt + RECORD_SIZE.to_bytes(4, "big") + bytes([len(own)]) + own
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1
        record = piece + (b"\2" if is_last else b"\1")
        if is_last:
            record += bytes(min(-len(record) % multiple, RECORD_SIZE - TAG_BYTES - len(record)))
        body += AESGCM(key).encrypt(_nonce(base, number), record, None)
    return body


def other_keys():
    """Keys that nobody who subscribed has: what a mixed up server would encrypt to."""
    return {"p256dh": b64(public_bytes(ec.generate_private_key(ec.SECP256R1()))), "auth": b64(os.urandom(16))}
