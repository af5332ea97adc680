"""Settings are read from an environment and refuse what cannot work."""

import re
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
        ("WAIT_SECONDS", "-1"),
        ("RATE_LIMIT", "many"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "1/minute;"),
        ("TRUSTED_PROXIES", "-1"),
        ("CORS_ORIGINS", "*"),
    ],
)
def test_a_value_that_cannot_work_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{variable}='{value}': ")):
        Settings.from_environ({variable: value})


def test_rates_are_read() -> None:
    assert Settings.from_environ({"RATE_LIMIT": "10/second;2000/day"}).rate_limit == "10/second;2000/day"


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@host",
        ":hunter2@host",
        "redis://:hunter2/x@host",
        "redis://:2/hunter2@host",
        "redis://:hunter2@",
        "rediss//:hunter2@host:1",
    ],
)
def test_a_bad_url_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL: ") as refused:
        Settings.from_environ({"REDIS_URL": url})
    assert "hunter2" not in str(refused.value)


def test_printed_settings_hold_no_password() -> None:
    settings = Settings.from_environ({"REDIS_URL": "redis://:hunter2@host", "IMAGE_STORE_URL": "ftp://me:hunter2@host"})
    assert "hunter2" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "origins", ["null", "https://a.example/", "https://a.example, https://b.example", "https://A.b"]
)
def test_origins_are_written_as_browsers_do(origins: str) -> None:
    with pytest.raises(SettingsError, match=r"^CORS_ORIGINS="):
        Settings.from_environ({"CORS_ORIGINS": origins})


def test_origins_are_a_list_and_none_by_default() -> None:
    assert Settings.from_environ({}).allowed_origins == []
    given = Settings.from_environ({"CORS_ORIGINS": "https://a.example,http://localhost:3000"})
    assert given.allowed_origins == ["https://a.example", "http://localhost:3000"]


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert f"`{name.upper()}`" in DOCUMENT.read_text("utf-8")
    assert Settings.model_fields[name].description
