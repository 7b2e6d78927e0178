# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of one test: its root file, and leaves good and bad for localhost."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority:
    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bellwire test authority")])
        self.file = directory / "authority.pem"
        root = self.certificate(self.name, self.key, (), is_authority=True)
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def certificate(self, subject, key, names, is_authority=False, is_expired=False, issuer=None, issuer_key=None):
        signer = issuer_key or self.key
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now - DAY if is_expired else now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            # asked for by Python from 3.13 on
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if is_authority:
            usage = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
            uses = dict.fromkeys((*usage, "encipher_only", "decipher_only"), False)
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **uses), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256())

    def leaf(self, stem="server", host="localhost", kind="good"):
        """Paths of certificate and key; kind: good, expired, self-signed, wrong-name."""
        key = ec.generate_private_key(ec.SECP256R1())
        host = "elsewhere.example" if kind == "wrong-name" else host
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = [x509.DNSName(host)]
        if kind != "wrong-name":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        own = {"issuer": subject, "issuer_key": key} if kind == "self-signed" else {}
        certificate = self.certificate(subject, key, names, is_expired=kind == "expired", **own)
        cert_path, key_path = self.directory / f"{stem}.pem", self.directory / f"{stem}-key.pem"
        cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return cert_path, key_path

    def server_context(self, kind="good", host="localhost"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.leaf("jmap", host, kind))
        return context
