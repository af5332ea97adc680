"""Pages of other origins are let in by a list, and by default not at all."""

from api.cors import Cors

PAGE = "https://page.example"


def test_by_default_nobody_is_let_in() -> None:
    assert not Cors([]).headers(PAGE, preflight=False) and not Cors([]).headers(PAGE, preflight=True)


def test_who_is_not_on_the_list_is_not_let_in() -> None:
    for origin in ["https://other.example", f"{PAGE}.evil.example", "http://page.example", "null", ""]:
        assert Cors([PAGE]).headers(origin, preflight=True) == (("Vary", "Origin"),)
    assert Cors([PAGE]).headers(None, preflight=False) == (("Vary", "Origin"),)


def test_who_is_on_the_list_may_read_the_answer_and_its_headers() -> None:
    headers = dict(Cors([PAGE, "https://other.example"]).headers(PAGE, preflight=False))
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert "Location" in headers["Access-Control-Expose-Headers"]
    # And a cache does not give this answer to the page of somebody else
    assert headers["Vary"] == "Origin"
    # And no cookie or login of the browser goes along
    assert "Access-Control-Allow-Credentials" not in headers


def test_who_asks_first_is_told_what_it_may_send() -> None:
    headers = dict(Cors([PAGE]).headers(PAGE, preflight=True))
    assert "POST" in headers["Access-Control-Allow-Methods"]
    assert {"Prefer", "Content-Type", "Idempotency-Key"} <= set(headers["Access-Control-Allow-Headers"].split(", "))
