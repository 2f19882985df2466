from __future__ import annotations

from tenuto.settings.server import ServerSettings, address_mistakes


def test_mistake_in_trusted_proxies_does_not_repeat_a_password() -> None:
    mistakes = address_mistakes(ServerSettings(trusted_proxies=("http://u:secret@h:1",)))
    assert "secret" not in mistakes["server", "trusted_proxies"]


def test_mistake_in_trusted_proxies_names_the_entry() -> None:
    mistakes = address_mistakes(ServerSettings(trusted_proxies=("everything",)))
    assert mistakes["server", "trusted_proxies"].startswith("'everything' must be")
