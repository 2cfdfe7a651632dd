"""A Java of our own reaches the network as pip does: the same certificates, the same proxy."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import certifi
import pytest

from servers import network


def test_the_proxies_of_the_environment_become_java_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java does not read HTTPS_PROXY by itself."""
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setenv("no_proxy", "localhost, .example.org")
    assert network.proxy_options() == [
        "-Dhttps.proxyHost=proxy.example",
        "-Dhttps.proxyPort=3128",
        "-Dhttp.nonProxyHosts=localhost|*.example.org",
    ]


def test_every_certificate_of_the_bundle_is_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIP_CERT names the bundle; the store holds its certificates byte for byte, sealed with Java's checksum."""
    pem = Path(certifi.where()).read_text()
    monkeypatch.setenv("PIP_CERT", certifi.where())
    options = network.trust_options(tmp_path / "store")
    stored = (tmp_path / "store").read_bytes()
    first = pem[pem.index("-----BEGIN") : pem.index("-----END CERTIFICATE-----") + 26]
    assert ssl.PEM_cert_to_DER_cert(first.strip()) in stored
    assert int.from_bytes(stored[8:12], "big") == pem.count("-----BEGIN CERTIFICATE-----")
    seal = hashlib.sha1("changeit".encode("utf-16-be") + b"Mighty Aphrodite" + stored[:-20]).digest()
    assert stored[-20:] == seal
    assert options[0] == f"-Djavax.net.ssl.trustStore={tmp_path / 'store'}"
