"""Every setting of the service, read once from an environment mapping."""

import os
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

MEBIBYTE = 1024 * 1024


class SettingsError(ValueError):
    """A variable of the environment has a value that cannot be used."""


class Settings(BaseModel):
    """The settings; a field `max_image_bytes` is read from the variable `MAX_IMAGE_BYTES`."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    host: str = Field("127.0.0.1", min_length=1, description="Address the API listens on.")
    port: int = Field(5000, ge=1, le=65535, description="Port the API listens on.")
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", pattern="^(redis|rediss|unix)://", description="The Redis-protocol server."
    )
    image_store_url: str = Field(
        "redis:", min_length=1, description="Where pictures wait: `redis:` or any fsspec URL such as `file:///data`."
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
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings from `environ`; an empty value counts as absent.

        Raises:
            SettingsError: names the variable, its value and what is wanted instead.
        """
        given = {name: environ[name.upper()] for name in cls.model_fields if environ.get(name.upper())}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [f"{e['loc'][0]!s}".upper() + f"={e['input']!r}: {e['msg']}" for e in error.errors()]
            raise SettingsError("; ".join(lines)) from None
