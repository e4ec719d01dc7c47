"""Where a server is and the key for it, refused where the key could be read on its way.

A key comes from an environment variable alone, and never goes over plain HTTP to another machine.
"""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from instructmining.errors import UserError

_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Address:
    """A server that was checked.

    Attributes:
        url: without a slash at its end.
        key: for the header `Authorization`; empty for none. In no text of the object.
        local: it is on this machine.
    """

    url: str
    key: str = field(default="", repr=False)
    local: bool = False

    @property
    def encrypted(self) -> bool:
        """Whether the server is spoken to over TLS."""
        return self.url.startswith("https:")


def address_of(url: str, key_variable: str | None, option: str, setting: str) -> Address:
    """The address, with the key that the environment holds for it.

    Args:
        url: http or https.
        key_variable: environment variable that holds the key; None: the server asks for none.
        option: what gave the URL, for messages.
        setting: what gave the variable, for messages.

    Raises:
        UserError: not such a URL, no key in the environment, or a key over plain HTTP.
    """
    local = check_url(url, option, key_variable)
    key = os.environ.get(key_variable, "") if key_variable else ""
    if key_variable and not key and not local:
        raise UserError(
            f"the environment variable {key_variable} holds no key for the endpoint ({setting} "
            "names another)"
        )
    address = Address(url.rstrip("/"), key, local)
    if key and not local and not address.encrypted:
        raise UserError(f"{option} would get the key over plain http: use https")
    return address


def check_url(url: str, option: str, key_variable: str | None = None) -> bool:
    """Whether a server's URL names this machine.

    Raises:
        UserError: it is not http or https, or holds what belongs into the environment.
    """
    try:
        place = urlsplit(url)
        _ = place.port  # read only to have it checked
    except ValueError:  # brackets without their other half; a port that is not a number
        raise UserError(f"{option} is not an http or https URL") from None
    if place.scheme not in ("http", "https") or not place.hostname:
        raise UserError(f"{option} is not an http or https URL")
    if place.username or place.password or place.query:
        variable = f"variable {key_variable}" if key_variable else "and name its variable"
        raise UserError(
            f"{option} holds a user, password or query: give the key in the environment {variable}"
        )
    return place.hostname in _LOCAL
