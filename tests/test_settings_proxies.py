"""Mistakes in `[server] trusted_proxies`."""

from __future__ import annotations

import pytest

from tenuto.settings.server import ServerSettings, address_mistakes


@pytest.mark.parametrize("secret", ["http://u:secret@h:1", "sk-secret-0123456789abcdef"])
def test_mistake_in_trusted_proxies_names_its_place_and_repeats_no_secret(secret: str) -> None:
    mistakes = address_mistakes(ServerSettings(trusted_proxies=("127.0.0.1", secret)))
    assert mistakes["server", "trusted_proxies"].startswith("number 2 must be an address or")
    assert "secret" not in mistakes["server", "trusted_proxies"]
