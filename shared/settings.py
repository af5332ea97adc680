"""All settings of the service, read once from an environment mapping."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from shared.api_keys import NAME, ApiKey, parse_api_keys
from shared.redis_url import RedisUrl, parse_redis_url
from shared.webhook_secrets import parse_webhook_secrets

MEBIBYTE = 1024 * 1024
# Which processes read a setting.
API, WORKER, BOTH, WEBHOOKS, API_AND_WEBHOOKS = "API", "worker", "both", "webhooks", "API, webhooks"
LogFormat = Literal["auto", "json", "text"]
RATE = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
# In the format of browsers: no path, no wildcard.
ORIGIN = r"https?://[a-z0-9.:\[\]-]+"
HOST = r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"
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

    `make reference` copies the fields' docstrings to docs/configuration.md: they are Markdown, with links relative to
    that page.

    Fields that may contain a password have `repr=False`: their values never appear in output or errors, and may be in a
    file, named by `TOPTHREE_API_KEYS_FILE` or `API_KEYS_FILE`, for example.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    host: Annotated[str, BOTH] = Field("127.0.0.1", min_length=1)
    """Address on which the API listens, and a worker serves its metrics."""
    port: Annotated[int, API] = Field(5000, ge=1, le=65535)
    """Port the API listens on."""
    redis_url: Annotated[RedisUrl, BeforeValidator(parse_redis_url), BOTH] = Field(
        parse_redis_url("redis://127.0.0.1:6379/0"), repr=False
    )
    """The [Redis server](#redis). `make run` starts one and sets this itself."""
    redis_prefix: Annotated[str, BOTH] = Field("", pattern=r"^[A-Za-z0-9_.:-]{0,64}$", examples=["cats:"])
    """Prefix of every key in Redis, such as `cats:` (letters, digits, `_`, `.`, `:`, `-`). Services that share one
    database need different prefixes. `make failed` needs the same one."""
    redis_min_replicas: Annotated[int, BOTH] = Field(0, ge=0, le=16)
    """How many replicas of Redis must have an upload before it is answered with 200 or 202, and the end of a job before
    its picture in a folder or in S3 is deleted. 0 asks for none. Give API and workers the same value. See
    [reliability](reliability.md#replicas)."""
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
    """Child processes of one worker, each for one picture at a time. With TensorFlow they only decode."""
    max_batch: Annotated[int, WORKER] = Field(32, ge=1, le=256)
    """TensorFlow only: the maximum number of pictures per call of the model, see [Tuning](how-to/gpu.md#tuning). The
    worker runs 2 x `MAX_BATCH` + `WORKERS` jobs at once."""
    max_image_bytes: Annotated[int, API] = Field(20 * MEBIBYTE, ge=1)
    """Largest accepted picture, in bytes. Larger ones get 413."""
    max_image_pixels: Annotated[int, API] = Field(64_000_000, ge=1)
    """Largest accepted picture, width times height. Larger ones get 413."""
    max_open_jobs: Annotated[int, BOTH] = Field(10_000, ge=1)
    """Maximum number of open jobs (accepted, not ended). Further uploads get 503."""
    max_stored_bytes: Annotated[int, API] = Field(1024 * MEBIBYTE, ge=1)
    """Maximum total size of the pictures of open jobs, in bytes. Further uploads get 503, larger pictures 413."""
    max_waiters: Annotated[int, API] = Field(4000, ge=1, le=10_000)
    """Maximum number of requests that wait for a result, per API process. Further plain uploads get 503; those with
    `Prefer` get a 202 at once."""
    wait_seconds: Annotated[float, API] = Field(30, gt=0, le=60)
    """How long a plain `POST /upload` waits before it answers 504. At most 60."""
    no_worker_grace_seconds: Annotated[float, API] = Field(15, ge=0, le=60)
    """How long a plain `POST /upload` waits for a worker to become ready before it answers 504 (at most
    `WAIT_SECONDS`). If no worker has been ready for this long, it answers 504 at once."""
    result_ttl_seconds: Annotated[int, BOTH] = Field(3600, ge=1)
    """How long a finished job can be read."""
    result_cache_ttl_seconds: Annotated[int, BOTH] = Field(3600, ge=0)
    """How long a cached result is used for uploads of the same bytes. `0` turns the cache off."""
    batch_result_ttl_seconds: Annotated[int, BOTH] = Field(7 * 86_400, ge=1)
    """How long the results of a [batch](how-to/batches.md) can be read after its end."""
    tombstone_ttl_seconds: Annotated[int, BOTH] = Field(86_400, ge=1)
    """How long the id of an expired or deleted result answers 410 instead of 404."""
    failed_image_ttl_seconds: Annotated[int, BOTH] = Field(86_400, ge=0, le=30 * 86_400)
    """How long the picture of a job that failed by a fault of the service is kept, with the job's record, so that the
    job [can be retried](operations.md#failed-jobs). `0`: no pictures are kept."""
    max_failed_image_bytes: Annotated[int, BOTH] = Field(128 * MEBIBYTE, ge=0)
    """Maximum total size of these pictures, in bytes; at most `MAX_OPEN_JOBS` are kept. The others are deleted when
    their jobs fail."""
    job_attempts: Annotated[int, WORKER] = Field(3, ge=1)
    """Maximum number of attempts before a job fails."""
    job_time_limit_seconds: Annotated[int, WORKER] = Field(10, ge=2)
    """Longest run of one job in a worker child. With TensorFlow: longest decoding of one picture (less two seconds),
    and longest run of one batch."""
    consume_seconds: Annotated[int, WORKER] = Field(1, ge=0, le=60)
    """How long a worker child claims waiting jobs itself after each Celery task. `0`: every job is a
    [Celery task](celery.md#what-does-not-work). Keep `JOB_TIME_LIMIT_SECONDS` + `CONSUME_SECONDS` below compose's
    `stop_grace_period` (30 s)."""
    job_memory_bytes: Annotated[int, WORKER] = Field(1024 * MEBIBYTE, ge=64 * MEBIBYTE)
    """Memory that one job may use in addition to the model (Linux). The largest pictures that `MAX_IMAGE_PIXELS` allows
    need about this much: lower both together."""
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(parse_api_keys), API] = Field((), repr=False)
    """Who may use the service, as `name:sha256` entries, see [Keys and quotas](#keys-and-quotas). If not set,
    everybody."""
    operators: Annotated[str, API] = Field(
        "", pattern=rf"^({NAME.pattern}(,{NAME.pattern})*)?$", examples=["alice,bob"]
    )
    """Names of API keys, separated by commas, whose holders see failed jobs at [`/status`](operations.md#status), and
    may retry and cancel the jobs of others: `alice,bob`. Each needs a key in `API_KEYS`."""
    rate_limit: Annotated[str, API] = Field("", pattern=f"^{RATE}(;{RATE})*$", examples=["10/second;1000/day"])
    """Uploads, retries and pictures of batches allowed per key name, or per address if there are no keys: a number and
    `/second`, `/minute`, `/hour` or `/day`; separate several limits with `;`."""
    webhook_secret: Annotated[tuple[bytes, ...], BeforeValidator(parse_webhook_secrets), API_AND_WEBHOOKS] = Field(
        (), repr=False
    )
    """Turns [webhooks](how-to/webhooks.md) on: `whsec_` and 24 to 64 random bytes in base64. Two, separated by a space
    or a comma, while you rotate it."""
    webhook_allowed_hosts: Annotated[str, API_AND_WEBHOOKS] = Field(
        "", pattern=rf"^({HOST}(,{HOST})*)?$", examples=["hooks.internal,10.0.0.7"]
    )
    """Hosts that webhooks may reach although their addresses are private, separated by commas:
    `hooks.internal,10.0.0.7,[fd00::7]`. Any port, and http as well as https."""
    webhook_retry_seconds: Annotated[int, WEBHOOKS] = Field(86_400, ge=0)
    """How long a failed webhook is repeated before it is given up."""
    trusted_proxies: Annotated[int, API] = Field(0, ge=0, le=10)
    """Number of [proxies](how-to/reverse-proxy.md) that every request passes."""
    cors_origins: Annotated[str, API] = Field(
        "", pattern=rf"^({ORIGIN}(,{ORIGIN})*)?$", examples=["https://example.org,http://localhost:3000"]
    )
    """Other origins whose pages may use the API, separated by commas: `https://example.org,http://localhost:3000`."""
    metrics_port: Annotated[int | None, WORKER] = Field(None, ge=1, le=65535)
    """Port on which a worker serves [`/metrics`](metrics.md), if set."""
    otel_exporter_otlp_endpoint: Annotated[str, BOTH] = Field(
        "", pattern=r"^(https?://[^\s@]+)?$", repr=False, examples=["http://localhost:4318"]
    )
    """The OpenTelemetry collector that gets [traces](how-to/traces.md), over HTTP: `http://localhost:4318`, without a
    password, which belongs in `OTEL_EXPORTER_OTLP_HEADERS`. If not set, nothing is traced."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BOTH] = "INFO"
    """Lowest level that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    access_log: Annotated[bool, API] = False
    """`1`: log every request, see [Logs](operations.md#logs)."""
    log_format: Annotated[LogFormat, BOTH] = "auto"
    """`json`: one [JSON object](operations.md#logs) per line. `text`: for people. `auto`: text on a terminal, also of
    `make run`, else JSON."""

    @property
    def allowed_origins(self) -> list[str]:
        """The origins in `cors_origins`."""
        return self.cors_origins.split(",") if self.cors_origins else []

    @property
    def operator_names(self) -> frozenset[str]:
        """The names in `operators`."""
        return frozenset(filter(None, self.operators.split(",")))

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """The hosts in `webhook_allowed_hosts`, as `parse_target` wants them."""
        return frozenset(host.strip("[]") for host in self.webhook_allowed_hosts.lower().split(",") if host)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; an empty value counts as absent.

        Raises:
            SettingsError: the message names the variable, what is allowed and, unless it may be a password, the value.
        """
        variables = {name: variable for name in cls.model_fields if (variable := cls._variable(name, environ))}
        given = {name: _value(variable, environ) for name, variable in variables.items()}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            sentences = [cls._sentence(variables[str(flaw["loc"][0])], flaw) for flaw in error.errors()]
            raise SettingsError("; ".join(sentences)) from None

    @classmethod
    def _variable(cls, name: str, environ: Mapping[str, str]) -> str | None:
        """Return the environment variable with the setting `name`, None if it is not set."""
        endings = ("",) if cls.model_fields[name].repr else ("", FILE)
        names = (prefix + name.upper() + ending for prefix in (PREFIX, "") for ending in endings)
        return next((found for found in names if environ.get(found) and not _is_link(found, environ)), None)

    @classmethod
    def _sentence(cls, variable: str, flaw: ErrorDetails) -> str:
        field = cls.model_fields[str(flaw["loc"][0])]
        shown = f"={flaw['input']!r}" if field.repr else ""
        message = flaw["msg"].removeprefix("Value error, ")
        if flaw["type"] == "string_pattern_mismatch" and field.examples:
            message = f"The value has the wrong form; an example of a valid one is {field.examples[0]}"
        return f"{variable}{shown}: {message}"


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
