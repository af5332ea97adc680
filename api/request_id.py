"""`X-Request-ID`: the client's if it is valid, else a new one; in every response, every log line and the job."""

import re
import secrets

HEADER = "X-Request-ID"
# Allows all common ids (UUIDs, ULIDs, cloud trace ids) and no character that could forge log lines or headers.
_HARMLESS = re.compile(r"[A-Za-z0-9._:=@/+-]{1,128}")


def choose_request_id(given: str) -> str:
    """Return the client's id if it is safe in logs and headers, else a new one."""
    return given if _HARMLESS.fullmatch(given) else secrets.token_hex(16)
