# SPDX-License-Identifier: Apache-2.0
"""The link's certificates: names are checked although it connects to an address; refusals are plain sentences."""

import datetime
import ipaddress
import ssl

import pytest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

UAID = "0123456789abcdef0123456789abcdef"


def make(directory, names, begin_days=-2, end_days=9, signer=None):
    """(certificate file, key file, (name, key)); self-signed without a signer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "CA")])
    now = datetime.datetime.utcnow()
    issuer, issuer_key = signer or (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begin_days))
        .not_valid_after(now + datetime.timedelta(days=end_days))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        alternatives = [
            x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    label = "-".join(names) or "ca"
    cert_file, key_file = directory / f"{label}.pem", directory / f"{label}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_file, key_file, (subject, key)


@pytest.fixture
def authority(tmp_path):
    cert_file, _, signer = make(tmp_path, [])
    return cert_file, signer


def tls_relay(fake_relay, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[0], files[1])
    return fake_relay(ssl=context)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate_is_taken(fake_relay, start_link, tmp_path, authority, host):
    relay = tls_relay(fake_relay, make(tmp_path, [host], signer=authority[1]))
    link = start_link(f"wss://{host}:{relay.port}/", f"ca={authority[0]}")
    relay.peer().greet(UAID)
    link.up()


@pytest.mark.parametrize(
    "names, begin, end, words",
    [
        (["other.example"], -2, 9, "is not for localhost, but for other.example"),
        (["127.0.0.1"], -2, 9, "is not for localhost"),  # the address connected to does not count
        (["localhost"], -9, -2, "of localhost expired at 20"),
        (["localhost"], 2, 9, "is not valid before 20"),
    ],
)
def test_a_bad_certificate_is_explained(fake_relay, start_link, tmp_path, authority, names, begin, end, words):
    relay = tls_relay(fake_relay, make(tmp_path, names, begin, end, signer=authority[1]))
    link = start_link(f"wss://localhost:{relay.port}/", f"ca={authority[0]}")
    event = link.await_state("waiting")
    assert words in event["reason"] and event["next_ms"] > 29000, event
    assert relay.peers.empty()


def test_an_unknown_authority_and_a_self_signed_one(fake_relay, start_link, tmp_path, authority):
    relay = tls_relay(fake_relay, make(tmp_path, ["localhost"], signer=authority[1]))
    link = start_link(f"wss://localhost:{relay.port}/")
    assert "authority that is not trusted" in link.await_state("waiting")["reason"]
    relay = tls_relay(fake_relay, make(tmp_path, ["localhost"]))
    link = start_link(f"wss://localhost:{relay.port}/")
    assert "self-signed" in link.await_state("waiting")["reason"]
    link = start_link(f"wss://localhost:{relay.port}/", "insecure")
    relay.peer().greet(UAID)
    link.up()


def test_a_ca_file_stands_instead_of_the_systems(fake_relay, start_link, tmp_path, authority):
    relay = tls_relay(fake_relay, make(tmp_path, ["localhost"], signer=authority[1]))
    url, system = f"wss://localhost:{relay.port}/", {"SSL_CERT_FILE": str(authority[0])}
    link = start_link(url, env=system)
    relay.peer().greet(UAID)
    link.up()
    other, _, _ = make(tmp_path, ["other.example"])
    link = start_link(url, f"ca={other}", env=system)
    assert "authority that is not trusted" in link.await_state("waiting")["reason"]


def test_on_a_network_where_it_never_worked_a_login_page_is_suspected(
    fake_relay, start_link, tmp_path, authority
):
    relay = tls_relay(fake_relay, make(tmp_path, ["portal.example"], signer=authority[1]))
    link = start_link(f"wss://localhost:{relay.port}/", f"ca={authority[0]}", "network")
    assert "wants a login" in link.await_state("waiting")["reason"]
    link.do("network", connectivity=2)
    link.hint("network")  # what NetworkManager thinks of the same path has changed
    assert "this network wants a login in a browser first" in link.await_state("waiting")["reason"]


def test_plain_words_instead_of_tls(fake_relay, start_link):
    relay = fake_relay()
    link = start_link(f"wss://localhost:{relay.port}/")
    assert "cannot connect to localhost" in link.await_state("waiting")["reason"]


def test_a_clock_that_was_set_is_a_reason_to_try(fake_relay, start_link, tmp_path, authority):
    relay = tls_relay(fake_relay, make(tmp_path, ["localhost"], 2, 9, signer=authority[1]))
    link = start_link(f"wss://localhost:{relay.port}/", f"ca={authority[0]}")
    link.await_state("waiting")
    link.hint("clock")
    link.await_state("waiting")  # anew
