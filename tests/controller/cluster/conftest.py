import os

import pytest


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client loads the host's certificates, 30 ms each; these servers have none to check."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
