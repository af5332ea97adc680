"""How client and server authenticate each other if Redis is reached over TLS.

Imports only the standard library, as redis_url.py.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
TRUTH: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
VERIFICATIONS = ("required", "optional", "none")


@dataclass(frozen=True)
class Tls:
    """Options for authenticating server and client by certificates; the files are local paths."""

    ssl_cert_reqs: str = "required"
    ssl_check_hostname: bool = True
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    def check_files(self) -> None:
        """Read the certificates and the key.

        Raises:
            ValueError: names the option whose file cannot be read or is invalid.
        """
        context = ssl.create_default_context()
        if self.ssl_ca_certs:
            _use("ssl_ca_certs", self.ssl_ca_certs, lambda: context.load_verify_locations(self.ssl_ca_certs))
        certfile = self.ssl_certfile
        if certfile:
            # Pass an empty password: otherwise OpenSSL prompts for that of an encrypted key on the terminal.
            _use("ssl_certfile", certfile, lambda: context.load_cert_chain(certfile, self.ssl_keyfile, lambda: ""))


def parse_tls(options: Mapping[str, str]) -> Tls:
    """Parse the options of a `rediss://` URL.

    Raises:
        ValueError: names the option that is invalid, or whose file cannot be read.
    """
    verification = options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if verification not in VERIFICATIONS:
        raise ValueError(f"`ssl_cert_reqs` must be one of {', '.join(VERIFICATIONS)}")
    check_hostname = TRUTH.get(options.get("ssl_check_hostname", "true").lower())
    if check_hostname is None:
        raise ValueError("`ssl_check_hostname` must be true or false")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("`ssl_keyfile` needs the certificate of the key in `ssl_certfile`")
    files = {name: options.get(name) for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
    # OpenSSL cannot check the host name without checking the certificate.
    tls = Tls(verification, check_hostname and verification != "none", **files)
    tls.check_files()
    return tls


def _use(option: str, file: str, load: Any) -> None:
    try:
        load()
    except FileNotFoundError:
        raise ValueError(f"`{option}`: there is no file {file}, or its key file is missing") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it cannot be read"
        raise ValueError(f"`{option}`: {file} cannot be used: {reason}") from None
