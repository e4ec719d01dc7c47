"""A key never goes where others can read it, and a URL that holds a secret is refused."""

import pytest

from instructmining.errors import UserError
from instructmining.served.address import Address, address_of, check_url


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("A_KEY", "s3cret")
    monkeypatch.delenv("NO_KEY", raising=False)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("https://api.example.org/v1", False),
        ("http://localhost:8000/v1", True),
        ("http://127.0.0.1/v1/", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost.example.org/v1", False),
        ("http://127.0.0.1.example.org/v1", False),
        ("https://例え.jp/v1", False),
    ],
)
def test_a_machine_is_this_one_by_its_whole_name_only(url, local):
    assert check_url(url, "--endpoint") is local


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.org",
        "ftp://example.org",
        "https://",
        "http:///v1",
        "https://[::1/v1",
        "https://example.org:port/v1",
        "file:///etc/passwd",
    ],
)
def test_what_is_not_an_http_url_is_refused_by_the_name_of_its_option(url):
    with pytest.raises(UserError, match="--endpoint is not an http or https URL"):
        check_url(url, "--endpoint")


@pytest.mark.parametrize(
    "url",
    ["https://me@example.org/v1", "https://me:pw@example.org/v1", "https://example.org/v1?key=pw"],
)
def test_a_url_with_a_secret_is_refused_and_the_secret_is_not_repeated(url):
    with pytest.raises(UserError, match="give the key in the environment variable A_KEY") as raised:
        check_url(url, "--endpoint", "A_KEY")
    assert "pw" not in str(raised.value)


def test_a_key_goes_over_tls_or_stays_here():
    address = address_of("https://api.example.org/v1/", "A_KEY", "--endpoint", "judge.key_variable")
    assert address == Address("https://api.example.org/v1", "s3cret", local=False)
    assert address.encrypted
    assert address_of("http://localhost:8000", "A_KEY", "--endpoint", "x").key == "s3cret"
    with pytest.raises(UserError, match="--endpoint would get the key over plain http: use https"):
        address_of("http://api.example.org/v1", "A_KEY", "--endpoint", "judge.key_variable")


def test_a_missing_key_is_named_with_the_setting_that_names_another():
    with pytest.raises(UserError, match=r"NO_KEY holds no key .*\(judge.key_variable names"):
        address_of("https://api.example.org", "NO_KEY", "--endpoint", "judge.key_variable")
    assert address_of("http://localhost", "NO_KEY", "--endpoint", "x").key == ""


def test_a_server_without_a_key_may_be_anywhere():
    assert address_of("http://cluster-node:8000/v1", None, "--endpoint", "x").key == ""


def test_a_printed_address_holds_no_key():
    assert "s3cret" not in repr(address_of("https://a.example", "A_KEY", "--endpoint", "x"))
