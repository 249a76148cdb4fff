"""The real program as systemd runs it: ready when it serves, alive, reloading on SIGHUP, stopping."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

from tests.journey.programs import free_port, programs
from tests.unit.test_issuer_api_tls import make_certificate

PATIENCE = 60.0


def heard(manager: socket.socket, words: bytes) -> bytes:
    """The next message that holds these words."""
    while words not in (message := manager.recv(1000)):
        pass
    return message


def test_notified_reloaded_and_stopped(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    with programs(tmp_path) as them, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        them.run(
            *("issuer-server", "init", "--port", str(port)),
            *("--tls-certificate", str(certificate), "--tls-key", str(key)),
        )
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        issuer = them.start("issuer", "issuer-server", "run", environment=environment)
        assert b"STATUS=0 payments in flight, 0 phones connected" in heard(manager, b"READY=1")
        first = ssl.get_server_certificate(("127.0.0.1", port))
        assert first.strip() == certificate.read_text().strip()
        heard(manager, b"WATCHDOG=1")
        make_certificate(tmp_path)
        issuer.send_signal(signal.SIGHUP)
        heard(manager, b"RELOADING=1")
        heard(manager, b"READY=1")
        issuer.expect("the TLS certificate was read again")
        assert ssl.get_server_certificate(("127.0.0.1", port)) != first
        key.write_text("half a renewal")
        issuer.send_signal(signal.SIGHUP)
        issuer.expect("the TLS certificate in use stays in use")
        issuer.send_signal(signal.SIGTERM)
        assert b"EXTEND_TIMEOUT_USEC=" in heard(manager, b"STOPPING=1")
        assert issuer.finish() == 0
