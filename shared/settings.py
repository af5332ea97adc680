"""Every setting of the service, read once from an environment mapping."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from redis.connection import parse_url

from shared.api_keys import ApiKey, parse_api_keys

MEBIBYTE = 1024 * 1024
LogFormat = Literal["auto", "json", "text"]
RATE = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
# As browsers write it: no path, no wildcard.
ORIGIN = r"https?://[a-z0-9.:\[\]-]+"
BAD_REDIS_URL = (
    "it cannot be read as a URL with a host; in a password all but letters, digits, `-` and `_` is written as %XX"
)


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


class Settings(BaseModel):
    """The settings; a field `max_image_bytes` is read from the variable `MAX_IMAGE_BYTES`.

    What may hold a password has `repr=False`: it is never printed, nor in an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address the API listens on, and a worker with its metrics."
    )
    port: int = Field(5000, ge=1, le=65535, description="Port the API listens on.")
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        pattern="^(redis|rediss|unix)://",
        repr=False,
        description="The Redis-protocol server; `rediss://` for TLS.",
    )
    redis_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9_.:-]{0,64}$",
        description="What every key in Redis begins with, such as `cats:`; services on one Redis need different ones.",
    )
    image_store_url: str = Field(
        "redis:",
        min_length=1,
        repr=False,
        description="Where pictures wait: `redis:` or any fsspec URL such as `file:///data`.",
    )
    model_dir: str = Field(
        "models/mobilenet_v2", min_length=1, description="The prepared model folder a worker loads (see `make model`)."
    )
    engine: Literal["litert", "tensorflow"] = Field("litert", description="The inference library of a worker.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=256, description="Child processes of one worker."
    )
    max_batch: int = Field(
        32, ge=1, le=256, description="Pictures that the TensorFlow engine gives the model at once, at most."
    )
    max_image_bytes: int = Field(20 * MEBIBYTE, ge=1, description="Largest accepted picture, in bytes.")
    max_image_pixels: int = Field(64_000_000, ge=1, description="Largest accepted picture, width times height.")
    max_open_jobs: int = Field(10_000, ge=1, description="Jobs not yet ended; above it uploads answer 503.")
    max_stored_bytes: int = Field(
        1024 * MEBIBYTE, ge=1, description="Bytes of the pictures of open jobs; above it uploads answer 503."
    )
    max_waiters: int = Field(
        64, ge=1, le=1000, description="Requests of one API process that may wait for an answer at once."
    )
    wait_seconds: float = Field(30, gt=0, le=60, description="How long a plain `POST /upload` waits.")
    result_ttl_seconds: int = Field(3600, ge=1, description="How long a finished job can be read.")
    result_cache_ttl_seconds: int = Field(
        3600, ge=0, description="How long the result of a picture counts for the same bytes; 0 turns the cache off."
    )
    tombstone_ttl_seconds: int = Field(86_400, ge=1, description="How long a gone result answers 410 and not 404.")
    job_attempts: int = Field(3, ge=1, description="How often a job may begin before it fails.")
    job_time_limit_seconds: int = Field(10, ge=2, description="Longest run of one job in a worker child.")
    job_memory_bytes: int = Field(
        1024 * MEBIBYTE, ge=64 * MEBIBYTE, description="Memory one job may take in a worker child, beside the model."
    )
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(parse_api_keys)] = Field(
        (), repr=False, description="Who may use the service: `name:sha256` entries; empty: everybody."
    )
    rate_limit: str = Field(
        "", pattern=f"^{RATE}(;{RATE})*$", description="Uploads per key or address, such as `60/minute;5000/day`."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="Proxies that every request comes through, each of which adds to `X-Forwarded-For`."
    )
    cors_origins: str = Field(
        "",
        pattern=rf"^({ORIGIN}(,{ORIGIN})*)?$",
        description="Origins whose pages may use the API, with commas between them; none by default.",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port on which a worker serves `/metrics`; none by default."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: LogFormat = Field("auto", description="`json`, `text`, or `auto`: text on a terminal, else JSON.")

    @property
    def allowed_origins(self) -> list[str]:
        """The origins in `cors_origins`."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @field_validator("redis_url")
    @classmethod
    def _has_a_host(cls, url: str) -> str:
        # Else whoever connects would say so, with a part of the password in the sentence.
        try:
            parts = parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError:
            parts = {}
        if not ("host" in parts or "path" in parts):
            raise ValueError(BAD_REDIS_URL)
        return url

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; an empty value counts as absent.

        Raises:
            SettingsError: names the variable, what is wanted instead and, unless it may hold a password, its value.
        """
        given = {name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            flaws = [(str(e["loc"][0]), e["input"], e["msg"]) for e in error.errors()]
            raise SettingsError("; ".join(cls._sentence(*flaw) for flaw in flaws)) from None

    @classmethod
    def _sentence(cls, name: str, value: object, message: str) -> str:
        shown = f"={value!r}" if cls.model_fields[name].repr else ""
        return f"{name.upper()}{shown}: {message.removeprefix('Value error, ')}"
