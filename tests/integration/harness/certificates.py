# SPDX-License-Identifier: Apache-2.0
"""Self-signed certificates, and TLS contexts that trust them."""

import datetime
import ipaddress
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(directory, serial, days=30, names=("localhost", "127.0.0.1"), begin_days=-1):
    """Writes cert.pem and key.pem; their paths. Names that begin with a digit are IPv4 addresses. Good from begin_days
    on until `days`, both from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    names = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now + datetime.timedelta(days=begin_days))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = directory / "cert.pem", directory / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key_path.chmod(0o600)
    return cert_path, key_path


def trusting(cert_path, protocols=("http/1.1",)):
    context = ssl.create_default_context(cafile=str(cert_path))
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def serial_of(sock):
    return x509.load_der_x509_certificate(sock.getpeercert(binary_form=True)).serial_number
