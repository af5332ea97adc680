"""`python -m shared.jobs.failed`: lists failed jobs with their reasons, retries them, or deletes their pictures."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import redis

from shared.errors import GoneJob, NotRetryable, PictureTooLarge, QueueFull, TooManyWebhooks, UnknownJob
from shared.images.history import StoreHistory
from shared.images.store import open_image_store
from shared.jobs.admission import Admission, new_job_id
from shared.jobs.limits import limits_of
from shared.jobs.models import Job
from shared.jobs.queue import Queue
from shared.jobs.retries import Retries
from shared.jobs.store import Jobs
from shared.printing import counted, reader_may_leave
from shared.redis_client import connect
from shared.settings import Settings, SettingsError

# How many of the newest failed jobs are listed. Jobs whose pictures are kept are listed in addition.
MOST = 100
# Longest pause before the next attempt while the queue is full.
MOST_PAUSE_SECONDS = 10
DONE, SOME_FAILED, USAGE = 0, 1, 2
OTHER_STORE = " Is IMAGE_STORE_URL that of the service?"
EPILOG = "Only jobs that failed by a fault of the service can be retried, as long as their pictures are kept."


def main(environ: Mapping[str, str], arguments: Sequence[str] = ()) -> int:
    """Run the command in `arguments`, by default the list; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environ(environ)
        with reader_may_leave():
            return int(options.run(settings, options))
        return DONE
    except SettingsError as error:
        sys.stderr.write(f"failed_jobs: {error}\n")
        return USAGE
    except redis.RedisError as error:
        sys.stderr.write(f"failed_jobs: Redis does not answer: {error}\n")
    except OSError as error:
        sys.stderr.write(f"failed_jobs: the image store does not answer: {error}\n")
    return SOME_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shared.jobs.failed", epilog=EPILOG)
    parser.set_defaults(run=_list)
    commands = parser.add_subparsers(metavar="COMMAND")
    commands.add_parser("list", help="list failed jobs, newest first (the default)")
    for name, run, what, everything in (
        ("retry", _retry, "retry jobs, each once, as new jobs", "all that can be retried, except poison"),
        ("purge", _purge, "delete the pictures that are kept for a retry", "all pictures"),
    ):
        command = commands.add_parser(name, help=what, description=what, epilog=EPILOG)
        chosen = command.add_mutually_exclusive_group(required=True)
        chosen.add_argument("job_ids", nargs="*", default=[], metavar="ID", help="ids of failed jobs")
        chosen.add_argument("--all", action="store_true", help=everything)
        command.set_defaults(run=run)
    return parser


def _list(settings: Settings, _: argparse.Namespace) -> int:
    jobs = _open_jobs(settings)
    kept = jobs.kept.job_ids()
    found = {job.id: job for job in [*jobs.failed(MOST), *jobs.existing(kept)]}
    newest = sorted(found.values(), key=lambda job: job.finished_ms, reverse=True)
    sys.stdout.writelines(line(job, kept=job.id in kept) + "\n" for job in newest)
    poison = sum(job.poison and job.id in kept for job in newest)
    every = max(len(newest), jobs.backlog.read().failed)
    sys.stdout.write(
        f"{len(newest)} of {counted(every, 'failed job')}; {len(kept)} can be retried, {poison} of them poison\n"
    )
    return DONE


def _retry(settings: Settings, options: argparse.Namespace) -> int:
    jobs, retries = _open_retries(settings)
    chosen, poison = list(options.job_ids), 0
    if options.all:
        kept = jobs.existing(jobs.kept.job_ids())
        chosen = [job.id for job in kept if not job.poison]
        poison = len(kept) - len(chosen)
    retried = sum(_retry_one(jobs, retries, job_id) for job_id in chosen)
    sys.stdout.write(f"{retried} of {counted(len(chosen), 'job')} retried\n")
    if poison:
        sys.stdout.write(
            f"Not retried: {counted(poison, 'job')} whose every attempt killed its process (poison). Retry by id.\n"
        )
    return DONE if retried == len(chosen) else SOME_FAILED


def _retry_one(jobs: Jobs, retries: Retries, job_id: str) -> bool:
    try:
        admission = _with_room(jobs, partial(retries.retry, jobs.get(job_id), new_job_id()))
    except (GoneJob, NotRetryable, PictureTooLarge, UnknownJob, QueueFull) as error:
        hint = OTHER_STORE if jobs.kept.contains(job_id) and not retries.finds(job_id) else ""
        sys.stdout.write(f"{job_id}  not retried: {error}{hint}\n")
        return False
    sys.stdout.write(f"{job_id}  {'was retried before' if admission.joined else 'retried'} as {admission.job_id}\n")
    if not admission.replicated:
        sys.stdout.write(f"{job_id}  too few replicas of Redis have the new job; to be sure, retry this one again\n")
    return admission.replicated


def _with_room(jobs: Jobs, retry: Callable[[], Admission]) -> Admission:
    """Return the result of `retry`; while the queue is full, wait and try again.

    Raises QueueFull: no job is open, so waiting would not help, or too many webhooks wait, which may take hours.
    """
    while True:
        nothing_open = jobs.backlog.read().open_jobs == 0
        try:
            return retry()
        except QueueFull as error:
            if nothing_open or isinstance(error, TooManyWebhooks):
                raise
            sys.stderr.write(f"{error}\n")
            time.sleep(min(error.retry_after_seconds, MOST_PAUSE_SECONDS))


def _purge(settings: Settings, options: argparse.Namespace) -> int:
    jobs, retries = _open_retries(settings)
    chosen = jobs.kept.among(jobs.kept.job_ids() if options.all else options.job_ids)
    missing = sorted(job_id for job_id in chosen if not retries.finds(job_id))
    for job_id in missing:
        sys.stdout.write(f"{job_id}  not deleted: its picture is not in the image store.{OTHER_STORE}\n")
    purged = [job_id for job_id in chosen.difference(missing) if retries.forget(job_id)]
    sys.stdout.write(f"{counted(len(purged), 'picture')} deleted\n")
    return SOME_FAILED if missing else DONE


def _open_jobs(settings: Settings) -> Jobs:
    client = connect(settings.redis_url, max_connections=1)
    return Jobs(client, Queue(settings.redis_prefix), limits_of(settings))


def _open_retries(settings: Settings) -> tuple[Jobs, Retries]:
    client, queue = connect(settings.redis_url, max_connections=2), Queue(settings.redis_prefix)
    jobs = Jobs(client, queue, limits_of(settings), min_replicas=settings.redis_min_replicas)
    return jobs, Retries(jobs, open_image_store(settings.image_store_url, StoreHistory(client, queue)))


def line(job: Job, *, kept: bool) -> str:
    """Return a line about a failed job: time, ids, picture, attempts, whether the picture is kept, and the reason."""
    problem = job.problem or {}
    picture = f"{job.picture.format} {job.picture.width}x{job.picture.height} {job.picture.bytes} bytes"
    reason = f"{problem.get('title', '')}: {problem.get('detail', '')}"
    begun = f"attempts: {job.attempts}, last on {job.worker or '-'}"
    until = f"picture kept until {_moment(job.kept_until_ms)}" if kept else "picture not kept"
    owner = [f"of {job.owner}"] if job.owner else []
    told = [_moment(job.finished_ms), job.id, *owner, f"[{job.request_id or '-'}]", picture, begun, until]
    return "  ".join([*told, *(["poison"] if job.poison else []), reason])


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
