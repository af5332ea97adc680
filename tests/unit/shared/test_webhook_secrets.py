"""Secrets of webhooks: how they are written, and one for each key."""

import base64

import pytest

from shared.webhook_secrets import parse_webhook_secrets, secret_of, spelled

SECRET = bytes(range(32))
TEXT = "whsec_" + base64.b64encode(SECRET).decode()
OTHER = "whsec_" + base64.b64encode(b"x" * 24).decode()


@pytest.mark.parametrize("text", [f"{TEXT} {OTHER}", f"{TEXT},{OTHER}", f" {TEXT}, {OTHER}\n"])
def test_two_secrets_may_be_given(text: str) -> None:
    assert parse_webhook_secrets(text) == (SECRET, b"x" * 24)


def test_a_secret_is_written_as_it_was_read() -> None:
    assert [spelled(secret) for secret in parse_webhook_secrets(TEXT)] == [TEXT]


@pytest.mark.parametrize(
    "text",
    [
        *("  ", f"{TEXT} {TEXT} {TEXT}", TEXT.removeprefix("whsec_"), "whsec_", "whsec_%%%", TEXT + "!"),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)
def test_others_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"secret") as refused:
        parse_webhook_secrets(text)
    assert text.strip() in ("", "whsec_") or text not in str(refused.value)


def test_each_key_has_a_secret_of_its_own() -> None:
    assert secret_of(SECRET, "") == SECRET
    assert len({secret_of(SECRET, ""), secret_of(SECRET, "alice"), secret_of(SECRET, "bob")}) == 3
    assert secret_of(SECRET, "alice") == secret_of(SECRET, "alice") != secret_of(b"x" * 32, "alice")
