"""Settings are read from an environment and refuse what cannot work."""

import re
from pathlib import Path

import pytest

from shared.settings import Settings, SettingsError, unknown_settings


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
        ("WAIT_SECONDS", "-1"),
        ("RATE_LIMIT", "many"),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "1/minute;"),
        ("TRUSTED_PROXIES", "-1"),
        ("CORS_ORIGINS", "*"),
        ("WEBHOOK_ALLOWED_HOSTS", "hooks.internal:8080"),
        ("WEBHOOK_ALLOWED_HOSTS", "fd00::7"),
    ],
)
def test_a_value_that_cannot_work_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{variable}='{value}': ")):
        Settings.from_environ({variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "example"),
    [
        ("RATE_LIMIT", "2 per hour", "10/second;1000/day"),
        ("REDIS_PREFIX", "my cats", "cats:"),
        ("CORS_ORIGINS", "example.org", "https://example.org,http://localhost:3000"),
    ],
)
def test_a_value_of_the_wrong_form_is_answered_with_a_valid_example(variable: str, value: str, example: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{variable}={value!r}: ") + f".* {re.escape(example)}$"):
        Settings.from_environ({variable: value})
    assert Settings.from_environ({variable: example})


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


def test_variables_with_the_prefix_win() -> None:
    # Given what conda exports, and what is meant
    settings = Settings.from_environ({"HOST": "x86_64-conda-linux-gnu", "TOPTHREE_HOST": "::1", "PORT": "8080"})
    # Then that with the prefix counts, and where there is none the other
    assert (settings.host, settings.port) == ("::1", 8080)


def test_an_empty_variable_with_the_prefix_counts_as_absent() -> None:
    assert Settings.from_environ({"PORT": "8080", "TOPTHREE_PORT": ""}).port == 8080


@pytest.mark.parametrize("variable", ["PORT", "TOPTHREE_PORT"])
def test_the_variable_that_was_set_is_named(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}='http': "):
        Settings.from_environ({"PORT": "http", variable: "http"})


@pytest.mark.parametrize("variable", ["REDIS_URL", "TOPTHREE_REDIS_URL", "REDIS_URL_FILE", "TOPTHREE_REDIS_URL_FILE"])
def test_the_variable_of_a_bad_url_is_named_without_its_value(variable: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:hunter2@host?socket_timeout=5")
    value = str(tmp_path / "url") if variable.endswith("_FILE") else "redis://:hunter2@host?socket_timeout=5"
    with pytest.raises(SettingsError, match=f"^{variable}: `socket_timeout`") as refused:
        Settings.from_environ({variable: value})
    assert "hunter2" not in str(refused.value)


def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    # Given files of secrets, with the line break that editors leave
    (tmp_path / "url").write_text("redis://:hunter2@host/3\n")
    (tmp_path / "keys").write_text(f"alice:{64 * 'a'}\nbob:{64 * 'b'}\n")
    # When variables name them
    environ = {"REDIS_URL": "redis://other", "TOPTHREE_REDIS_URL_FILE": str(tmp_path / "url")}
    settings = Settings.from_environ({**environ, "API_KEYS_FILE": str(tmp_path / "keys")})
    # Then they are read
    assert (settings.redis_url.password, settings.redis_url.database) == ("hunter2", 3)
    assert [key.name for key in settings.api_keys] == ["alice", "bob"]


def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"redis://:\xe4@host")
    for name, reason in (("missing", "No such file"), ("latin", "UTF-8"), ("", "Is a directory")):
        with pytest.raises(SettingsError, match=f"^REDIS_URL_FILE=.*cannot be read: .*{reason}"):
            Settings.from_environ({"REDIS_URL_FILE": str(tmp_path / name)})


def test_what_kubernetes_sets_for_a_service_called_topthree_does_not_count() -> None:
    # Given what is set in every container beside a service that is called topthree, or topthree-metrics
    environ = {
        "TOPTHREE_PORT": "tcp://10.0.0.1:5000",
        "TOPTHREE_PORT_5000_TCP": "tcp://10.0.0.1:5000",
        "TOPTHREE_PORT_5000_TCP_ADDR": "10.0.0.1",
        "TOPTHREE_SERVICE_HOST": "10.0.0.1",
        "TOPTHREE_SERVICE_PORT": "5000",
        "TOPTHREE_SERVICE_PORT_HTTP": "5000",
        "TOPTHREE_METRICS_PORT": "tcp://10.0.0.2:9100",
        "TOPTHREE_REDIS_SERVICE_HOST": "10.0.0.3",
        "PORT": "8080",
    }
    # Then nothing of it is a setting, and nothing is told of it
    settings = Settings.from_environ(environ)
    assert (settings.port, settings.metrics_port, unknown_settings(environ)) == (8080, None, [])


def test_a_misspelt_setting_is_told_and_what_belongs_to_others_is_not() -> None:
    others = ("URL", "API_KEY", "TEST_MODEL", "TEST_PICTURE", "FAULTS", "HOSTILE", "CONTAINER_ENGINE", "REDIS_URL_FILE")
    given = {f"TOPTHREE_{name}": "x" for name in (*others, "WORKERS", "WORKRES", "REDIS_PORT")}
    assert unknown_settings({**given, "WORKRES": "x"}) == ["TOPTHREE_REDIS_PORT", "TOPTHREE_WORKRES"]
