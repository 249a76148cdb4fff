"""Certificates by file: renewed without a restart, and what is wrong with them said in words."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from issuer_server.operations.operating_settings import MetricsSettings
from issuer_server.tls import ServerTls
from protocol.errors import InputError
from tests.unit.issuer_house import house
from tests.unit.test_issuer_api_tls import make_certificate


def served(url: str) -> str:
    """The certificate that a new connection is shown."""
    host, port = url.removeprefix("https://").split(":")
    return ssl.get_server_certificate((host, int(port)))


async def test_a_renewed_certificate_is_served_to_new_connections(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    beyond = MetricsSettings(host="0.0.0.0", port=0)
    async with house(tmp_path, tls_certificate=certificate, tls_key=key, metrics=beyond) as home:
        tls, metrics = home.issuer.tls, home.issuer.operator_url
        assert tls is not None
        assert metrics is not None
        assert metrics.startswith("https://"), "beyond this machine nothing goes in the clear"
        first = await asyncio.to_thread(served, home.url)
        assert first.strip() == certificate.read_text().strip()
        old_end = tls.ends_at
        make_certificate(tmp_path)
        key.write_text("half a renewal")
        with pytest.raises(InputError, match="cannot be used"):
            tls.reload()
        assert await asyncio.to_thread(served, home.url) == first, "what was in use stays in use"
        make_certificate(tmp_path)
        tls.reload()
        for url in (home.url, metrics.replace("0.0.0.0", "127.0.0.1")):
            assert (await asyncio.to_thread(served, url)).strip() == certificate.read_text().strip() != first
        assert tls.ends_at >= old_end


def test_what_is_wrong_with_the_files_is_said(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other")
    with pytest.raises(InputError, match="is not that of"):
        ServerTls(other, key)
    with pytest.raises(InputError, match=r"cannot read the TLS certificate .*none.pem: No such file"):
        ServerTls(tmp_path / "none.pem", key)
    with pytest.raises(InputError, match="cannot read the TLS key"):
        ServerTls(certificate, tmp_path / "none.pem")
    with pytest.raises(InputError, match="both must be PEM"):
        ServerTls(key, key)
