"""How API keys stand in the settings."""

import pytest

from shared.api_keys import ApiKey, digest_of, parse_api_keys
from shared.settings import Settings, SettingsError

ONE, TWO = digest_of("one"), digest_of("two")


def test_entries_have_commas_or_white_space_between_them() -> None:
    expected = (ApiKey("a", ONE), ApiKey("b.c-d_E", TWO))
    for text in (f"a:{ONE},b.c-d_E:{TWO}", f" a:{ONE}\n b.c-d_E:{TWO},\n"):
        assert parse_api_keys(text) == expected


def test_the_digest_is_what_sha256sum_gives() -> None:
    assert digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


BAD = {
    "a key that was not hashed": "a:my-secret-key",
    "no name": ONE,
    "an empty name": f":{ONE}",
    "a name that begins with a digit": f"1:{ONE}",
    "a digest that is too short": f"a:{ONE[1:]}",
    "capitals in the digest": f"a:{ONE.upper()}",
    "the same key twice": f"a:{ONE},b:{ONE}",
    "nothing but commas": " , ",
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_work_stops_the_start_and_is_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environ({"API_KEYS": BAD[name]})
    sentence = str(refused.value)
    assert sentence.startswith("API_KEYS: ")
    assert "secret" not in sentence and ONE not in sentence


def test_settings_do_not_show_the_keys() -> None:
    assert ONE not in repr(Settings.from_environ({"API_KEYS": f"a:{ONE}"}))
