"""`X-Request-ID`: the client's if it is harmless, else a new one; in every answer, every log line and the job."""

import re
import secrets

HEADER = "X-Request-ID"
# What generators of ids make (UUIDs, ULIDs, trace ids of clouds), and nothing that a log could take for more.
_HARMLESS = re.compile(r"[A-Za-z0-9._:=@/+-]{1,128}")


def choose_request_id(given: str) -> str:
    """Return the id a client gave if it may be repeated in logs and headers, else a new one."""
    return given if _HARMLESS.fullmatch(given) else secrets.token_hex(16)
