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
# The processes that read a setting.
API, WORKER, BOTH = "API", "worker", "both"
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


def one_per_core() -> int:
    """Return the number of CPU cores."""
    return os.cpu_count() or 1


class Settings(BaseModel):
    """The settings; a field `max_image_bytes` is read from `TOPTHREE_MAX_IMAGE_BYTES`, else from `MAX_IMAGE_BYTES`.

    `make reference` copies the fields' docstrings into docs/configuration.md: they are Markdown, with links from there.

    Fields that may contain a password have `repr=False`: their values never appear in output or errors, and may be in a
    file, named by `TOPTHREE_API_KEYS_FILE` or `API_KEYS_FILE`, for example.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    host: Annotated[str, BOTH] = Field("127.0.0.1", min_length=1)
    """Address that the API listens on, and that a worker serves its metrics on."""
    port: Annotated[int, API] = Field(5000, ge=1, le=65535)
    """Port the API listens on."""
    redis_url: Annotated[RedisUrl, BeforeValidator(parse_redis_url), BOTH] = Field(
        parse_redis_url("redis://127.0.0.1:6379/0"), repr=False
    )
    """The [Redis server](#redis), such as `redis://:password@host:6379/0`. `make run` starts a server and sets this
    itself."""
    redis_prefix: Annotated[str, BOTH] = Field("", pattern=r"^[A-Za-z0-9_.:-]{0,64}$")
    """Prefix of every key in Redis, such as `cats:` (letters, digits, `_`, `.`, `:`, `-`). Services that share one
    database need different prefixes; otherwise they take each other's jobs. `make failed` needs the same prefix."""
    image_store_url: Annotated[str, BOTH] = Field("redis:", min_length=1, repr=False)
    """Where pictures are stored until they are classified: `redis:` (the same server), an [S3 bucket](how-to/s3.md), a
    [folder](#pictures-in-a-folder) such as `file:///data/pictures`, or any other
    [fsspec](https://filesystem-spec.readthedocs.io/) URL."""
    model_dir: Annotated[str, WORKER] = Field("models/mobilenet_v2", min_length=1)
    """The prepared model folder. `make run` sets it from `MODEL`."""
    # Any name: shared code must not import the worker's registry of engines (worker/inference/engines/). `python -m
    # worker` refuses unknown engines at its start; the API does not use this setting.
    engine: Annotated[str, WORKER] = Field("litert")
    """`litert` for CPUs, `tensorflow` for GPUs and for models that do not convert to LiteRT."""
    workers: Annotated[int, WORKER] = Field(default_factory=one_per_core, ge=1, le=256)
    """Child processes of one worker. With LiteRT each child runs one picture at a time. With TensorFlow each decodes
    one picture at a time for the process that holds the model."""
    max_batch: Annotated[int, WORKER] = Field(32, ge=1, le=256)
    """TensorFlow only: the most pictures in one call of the model. The worker runs 2 x `MAX_BATCH` + `WORKERS` jobs at
    once. At its start it reduces the batch until it fits into memory. If that batch takes more than half of
    `JOB_TIME_LIMIT_SECONDS`, the worker does not start."""
    max_image_bytes: Annotated[int, API] = Field(20 * MEBIBYTE, ge=1)
    """Largest accepted picture, in bytes. Larger ones get 413."""
    max_image_pixels: Annotated[int, API] = Field(64_000_000, ge=1)
    """Largest accepted picture, width times height, read from its header. Larger ones get 413."""
    max_open_jobs: Annotated[int, BOTH] = Field(10_000, ge=1)
    """Most jobs that are accepted and have not ended. Further uploads get 503 with `Retry-After`."""
    max_stored_bytes: Annotated[int, API] = Field(1024 * MEBIBYTE, ge=1)
    """Most bytes of pictures of open jobs. Further uploads get 503."""
    max_waiters: Annotated[int, API] = Field(4000, ge=1, le=10_000)
    """Most requests that may wait for a result at once, per API process. A further plain upload gets 503; one with
    `Prefer` gets its 202 at once."""
    wait_seconds: Annotated[float, API] = Field(30, gt=0, le=60)
    """How long a plain `POST /upload` waits before it answers 504. At most 60."""
    no_worker_grace_seconds: Annotated[float, API] = Field(15, ge=0, le=60)
    """How long a plain `POST /upload` waits while no worker is ready, at most `WAIT_SECONDS`. If none has been ready
    for longer, it answers 504 at once; the job is kept."""
    result_ttl_seconds: Annotated[int, BOTH] = Field(3600, ge=1)
    """How long a finished job can be read."""
    result_cache_ttl_seconds: Annotated[int, BOTH] = Field(3600, ge=0)
    """How long the cached result of a picture answers uploads of the same bytes. `0` turns the cache off."""
    tombstone_ttl_seconds: Annotated[int, BOTH] = Field(86_400, ge=1)
    """How long the id of an expired or deleted result answers 410 instead of 404."""
    job_attempts: Annotated[int, WORKER] = Field(3, ge=1)
    """How often a job is tried before it fails."""
    job_time_limit_seconds: Annotated[int, WORKER] = Field(10, ge=2)
    """Longest run of one job in a worker child. With TensorFlow: longest decoding of one picture (less two seconds),
    and longest run of one batch."""
    consume_seconds: Annotated[int, WORKER] = Field(1, ge=0, le=60)
    """How long a worker child claims waiting jobs itself after each Celery task. `0`: every job is a Celery task, and
    Celery's events show each ([Celery](celery.md)), which costs a sixteenth more CPU time. With TensorFlow every job is
    a task anyway. A larger value lengthens leases and shutdown by the same time: keep `JOB_TIME_LIMIT_SECONDS` +
    `CONSUME_SECONDS` below compose's `stop_grace_period` (30 s)."""
    job_memory_bytes: Annotated[int, WORKER] = Field(1024 * MEBIBYTE, ge=64 * MEBIBYTE)
    """Memory that one job may use in a worker child in addition to the model (Linux). The largest pictures that
    `MAX_IMAGE_PIXELS` allows need about this much: lower both together."""
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(parse_api_keys), API] = Field((), repr=False)
    """Who may use the service: `name:sha256` entries, see [Keys and quotas](#keys-and-quotas). If it is not
    set, no key is needed."""
    rate_limit: Annotated[str, API] = Field("", pattern=f"^{RATE}(;{RATE})*$")
    """Uploads allowed per key name, or per address if there are no keys: a number and `/second`, `/minute`, `/hour` or
    `/day`; separate several limits with `;`."""
    trusted_proxies: Annotated[int, API] = Field(0, ge=0, le=10)
    """Number of proxies that every request passes and that add to `X-Forwarded-For`."""
    cors_origins: Annotated[str, API] = Field("", pattern=rf"^({ORIGIN}(,{ORIGIN})*)?$")
    """Origins whose pages may use the API, separated by commas: `https://example.org,http://localhost:3000`. Pages of
    other origins cannot read answers."""
    metrics_port: Annotated[int | None, WORKER] = Field(None, ge=1, le=65535)
    """If set, a worker serves [`/metrics`](metrics.md) on this port, without a key: allow access only for Prometheus.
    The API serves its own at `/metrics`."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BOTH] = "INFO"
    """Lowest level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    access_log: Annotated[bool, API] = False
    """`1`: log every request, see [Logs](operations.md#logs)."""
    log_format: Annotated[LogFormat, BOTH] = "auto"
    """`json`: one JSON object per line, with `event`, `level`, `logger`, `timestamp` and, if known, `job_id` and
    `request_id`. `text`: for people. `auto`: text on a terminal (also under `make run`), else JSON."""

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
