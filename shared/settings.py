"""All settings of the service, read once from an environment mapping."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.api_keys import ApiKey, parse_api_keys
from shared.redis_url import RedisUrl, parse_redis_url

MEBIBYTE = 1024 * 1024
LogFormat = Literal["auto", "json", "text"]
RATE = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
# In the format of browsers: no path, no wildcard.
ORIGIN = r"https?://[a-z0-9.:\[\]-]+"
PREFIX = "TOPTHREE_"
FILE = "_FILE"
# Kubernetes and Docker links set such variables for a service named topthree: TOPTHREE_PORT=tcp://10.0.0.1:80.
LINK_VALUE = re.compile(r"(tcp|udp|sctp)://.*")
LINK_NAME = re.compile(r"(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_\w+)")
# Variables of the command line (client/) and of the tests.
OTHERS = re.compile(r"URL|API_KEY|TEST_\w+|FAULTS|HOSTILE|CONTAINER_ENGINE")


class SettingsError(ValueError):
    """An environment variable has an invalid value."""


class Settings(BaseModel):
    """The settings; a field `max_image_bytes` is read from `TOPTHREE_MAX_IMAGE_BYTES`, else from `MAX_IMAGE_BYTES`.

    Fields that may contain a password have `repr=False`: their values never appear in output or errors, and may be in a
    file, named by `TOPTHREE_API_KEYS_FILE` or `API_KEYS_FILE`, for example.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    host: str = Field(
        "127.0.0.1", min_length=1, description="Address the API listens on, and a worker with its metrics."
    )
    port: int = Field(5000, ge=1, le=65535, description="Port the API listens on.")
    redis_url: Annotated[RedisUrl, BeforeValidator(parse_redis_url)] = Field(
        parse_redis_url("redis://127.0.0.1:6379/0"),
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
    # Any name: shared code must not import the worker's registry of engines (worker/inference/engines/). `python -m
    # worker` refuses unknown engines at its start; the API does not use this setting.
    engine: str = Field("litert", description="The inference library of a worker.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=256, description="Child processes of one worker."
    )
    max_batch: int = Field(
        32, ge=1, le=256, description="Pictures that an engine with batches, such as TensorFlow, gets at once, at most."
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
    no_worker_grace_seconds: float = Field(
        15, ge=0, le=60, description="How long a plain `POST /upload` waits while no worker is ready."
    )
    result_ttl_seconds: int = Field(3600, ge=1, description="How long a finished job can be read.")
    result_cache_ttl_seconds: int = Field(
        3600, ge=0, description="How long the result of a picture counts for the same bytes; 0 turns the cache off."
    )
    tombstone_ttl_seconds: int = Field(86_400, ge=1, description="How long a gone result answers 410 and not 404.")
    job_attempts: int = Field(3, ge=1, description="How often a job may begin before it fails.")
    job_time_limit_seconds: int = Field(10, ge=2, description="Longest run of one job in a worker child.")
    consume_seconds: int = Field(
        1, ge=0, le=60, description="How long a child claims jobs itself after a Celery task; 0: one task a job."
    )
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
    access_log: bool = Field(False, description="Whether the API logs every request.")
    log_format: LogFormat = Field("auto", description="`json`, `text`, or `auto`: text on a terminal, else JSON.")

    @property
    def allowed_origins(self) -> list[str]:
        """The origins in `cors_origins`."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; an empty value counts as absent.

        Raises:
            SettingsError: the message has the variable, what is allowed and, unless it may be a password, the value.
        """
        variables = {name: variable for name in cls.model_fields if (variable := cls._variable(name, environ))}
        given = {name: _value(variable, environ) for name, variable in variables.items()}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            flaws = [(str(e["loc"][0]), e["input"], e["msg"]) for e in error.errors()]
            sentences = [cls._sentence(variables[name], name, *flaw) for name, *flaw in flaws]
            raise SettingsError("; ".join(sentences)) from None

    @classmethod
    def _variable(cls, name: str, environ: Mapping[str, str]) -> str | None:
        """Return the environment variable with the setting `name`, None if it is not set."""
        endings = ("",) if cls.model_fields[name].repr else ("", FILE)
        names = (prefix + name.upper() + ending for prefix in (PREFIX, "") for ending in endings)
        return next((found for found in names if environ.get(found) and not _is_link(found, environ)), None)

    @classmethod
    def _sentence(cls, variable: str, name: str, value: object, message: str) -> str:
        shown = f"={value!r}" if cls.model_fields[name].repr else ""
        return f"{variable}{shown}: {message.removeprefix('Value error, ')}"


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Return variables with the prefix of settings that are no settings, such as misspelled ones."""
    fields = Settings.model_fields.items()
    known = {name.upper() for name, _ in fields} | {name.upper() + FILE for name, field in fields if not field.repr}
    given = {name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX) and not _is_link(name, environ)}
    return sorted(PREFIX + name for name in given - known if not OTHERS.fullmatch(name))


def _is_link(variable: str, environ: Mapping[str, str]) -> bool:
    name = variable.removeprefix(PREFIX)
    return name != variable and bool(LINK_NAME.fullmatch(name) or LINK_VALUE.fullmatch(environ[variable]))


def _value(variable: str, environ: Mapping[str, str]) -> str:
    if not variable.endswith(FILE):
        return environ[variable]
    try:
        return Path(environ[variable]).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise SettingsError(f"{variable}={environ[variable]!r}: the file cannot be read: {reason}") from None
