"""Makes a Java program reach the network as Python and pip on this machine do: the same CA certificates and proxy.

A Java runtime of our own knows neither the machine's certificates nor ``HTTPS_PROXY``.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import certifi

PASSWORD = "changeit"


def proxy_options() -> list[str]:
    """Java's options for the proxies of the environment (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``)."""
    given, options = getproxies(), []
    for scheme in ("http", "https"):
        address = urlsplit(given.get(scheme, ""))
        if address.hostname:
            options += [f"-D{scheme}.proxyHost={address.hostname}", f"-D{scheme}.proxyPort={address.port or 80}"]
    if without := given.get("no"):
        hosts = "|".join(f"*{host}" if host.startswith(".") else host for host in without.replace(" ", "").split(","))
        options.append(f"-Dhttp.nonProxyHosts={hosts}")
    return options


def trust_options(store: Path) -> list[str]:
    """Java's options to trust the CA certificates that pip trusts; writes them to ``store``."""
    pem = next(path for path in _bundles() if path.is_file()).read_text(errors="ignore")
    store.write_bytes(java_key_store(_certificates(pem)))
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={PASSWORD}"]


def _bundles() -> Iterator[Path]:
    default = ssl.get_default_verify_paths()
    for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    if default.cafile:
        yield Path(default.cafile)
    yield Path("/etc/ssl/certs/ca-certificates.crt")
    yield Path(certifi.where())


def _certificates(pem: str) -> list[bytes]:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    pieces = (piece.partition(end)[0] for piece in pem.split(begin)[1:])
    return [ssl.PEM_cert_to_DER_cert(f"{begin}{piece}{end}") for piece in pieces]


def java_key_store(certificates: list[bytes]) -> bytes:
    """The certificates in Java's own file format (JKS), which every Java reads and no Java is needed to write."""
    parts = [struct.pack(">III", 0xFEEDFEED, 2, len(certificates))]
    for number, certificate in enumerate(certificates):
        parts += [struct.pack(">I", 2), _text(f"ca{number}"), struct.pack(">Q", 0)]
        parts += [_text("X.509"), struct.pack(">I", len(certificate)), certificate]
    content = b"".join(parts)
    return content + hashlib.sha1(PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()


def _text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode("ascii")
