"""The issuer over TLS with a certificate and key by file, for HTTP and for the phones' WebSocket."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.issuer_bench import API_KEY
from tests.unit.issuer_house import TOKEN, SocketPhone, house


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer under test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


async def test_https_and_wss(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    async with (
        house(tmp_path, tls_certificate=certificate, tls_key=key) as home,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
    ):
        assert home.url.startswith("https://127.0.0.1:")
        async with http.get(
            f"{home.url}/v1/payments", headers={"Authorization": f"Bearer {API_KEY}"}
        ) as answer:
            assert answer.status == 200
        async with SocketPhone(http, home.url, TOKEN) as phone:
            assert phone.session
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await home.call("GET", "/healthz")  # a client that does not trust the certificate
        async with aiohttp.ClientSession() as plain:
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await plain.get(home.url.replace("https", "http") + "/healthz")
