"""Settings are read from an environment and refuse what cannot work."""

from pathlib import Path

import pytest

from shared.settings import Settings, SettingsError

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_environ({})
    assert (settings.host, settings.port, settings.engine) == ("127.0.0.1", 5000, "litert")


def test_a_value_is_read_and_an_empty_one_is_the_default() -> None:
    settings = Settings.from_environ({"PORT": "8080", "HOST": "", "UNRELATED": "x"})
    assert (settings.port, settings.host) == (8080, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("ENGINE", "torch"),
        ("REDIS_URL", "localhost"),
        ("WAIT_SECONDS", "-1"),
        ("RATE_LIMIT", "many"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "1/minute;"),
        ("TRUSTED_PROXIES", "-1"),
    ],
)
def test_a_value_that_cannot_work_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}='{value}'"):
        Settings.from_environ({variable: value})


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="REDIS_URL='rediss//…@host:1'") as refused:
        Settings.from_environ({"REDIS_URL": "rediss//:my@secret@host:1"})
    assert "secret" not in str(refused.value)


def test_rates_are_read() -> None:
    assert Settings.from_environ({"RATE_LIMIT": "10/second;2000/day"}).rate_limit == "10/second;2000/day"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name.upper()}`" in DOCUMENT.read_text("utf-8")
    assert Settings.model_fields[name].description
