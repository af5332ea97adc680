"""`python -m deploy.local.manager LOCK`: runs the processes of the service until standard input is closed.

The process that starts it holds the write end of standard input, which the kernel closes however that process ends.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import suppress

from deploy.local.damage import find_damage, lost_manifest
from deploy.local.embedded_redis import EmbeddedRedis
from deploy.local.environ import with_settings
from deploy.local.instance import Instance
from deploy.local.output import Output
from deploy.local.program import Program, describe
from shared.log import configure_logging
from shared.printing import counted
from shared.settings import LogFormat, Settings
from shared.this_machine import url_of

log = logging.getLogger(__name__)

# Deadlines from the start of the stop, all within instance.STOP_SECONDS. The API ends within a second unless a client
# has sent part of a request; a worker finishes its jobs. Webhooks that are cut off are sent again after the next start.
API_STOP_SECONDS, WORKER_STOP_SECONDS, WEBHOOKS_STOP_SECONDS, REDIS_STOP_SECONDS = 6.0, 16.0, 17.0, 18.0
OUTPUT_SECONDS = 0.5
# Pauses before a process is restarted. The pause is reset for a process that ran longer than the longest pause.
FIRST_PAUSE_SECONDS, MOST_PAUSE_SECONDS = 0.5, 10.0
POLL_SECONDS = 0.05


class CannotRun(Exception):
    """The service cannot run; the message says why."""


class Manager:
    """Runs the processes of one instance: a Redis server, the workers, the API, one that announces readiness, and one
    that sends webhooks if they are on.
    """

    def __init__(self, settings: Settings, lock: int, output: Output) -> None:
        """`lock` is the descriptor from `Instance.claim`."""
        self._settings = settings
        self._output = output
        self._lock = lock
        self._environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self._started: dict[str, Program] = {}
        self._server: EmbeddedRedis | None = None
        self._redis_up = asyncio.Event()
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Prepare the model, start all processes, and restart those that end.

        Raises:
            CannotRun: a process fails in a way that a restart does not fix.
        """
        where = url_of(self._settings.host, self._settings.port)
        self._output.say(f"Starting on {where} with {counted(self._settings.workers, 'worker process')} …")
        model_dir = await self._prepare_model()
        try:
            instance = Instance(self._settings.port)
            self._server = server = EmbeddedRedis.create(instance)
            shared = {"REDIS_PREFIX": self._settings.redis_prefix, "IMAGE_STORE_URL": self._settings.image_store_url}
            instance.settings_file.write_text(json.dumps(shared), "utf-8")
        except OSError as error:
            raise CannotRun(f"{error.filename} cannot be written: {error.strerror}") from None
        self._environ = with_settings(
            self._environ, MODEL_DIR=model_dir, REDIS_URL=server.url, LOG_FORMAT=log_format(self._settings)
        )
        tasks = [
            asyncio.create_task(self._keep_redis(server)),
            asyncio.create_task(self._keep(self._program("worker", "worker"))),
            asyncio.create_task(self._keep(self._program("api", "api"))),
            asyncio.create_task(self._announce(self._program("announce", "deploy.local.announce"))),
        ]
        if self._settings.webhook_secret:
            tasks.append(asyncio.create_task(self._keep(self._program("webhooks", "worker.webhooks"))))
        try:
            await asyncio.gather(*tasks)
        finally:
            # Restart nothing while the other processes are stopped.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> int | None:
        """Stop all processes in order: the API first, then the workers, which finish their jobs, then Redis.

        Return how many jobs are kept for the next start; None if that is unknown.
        """
        began, kept = time.monotonic(), None
        for name, seconds in (
            ("prepare", 0.0),
            ("announce", 0.0),
            ("api", API_STOP_SECONDS),
            ("worker", WORKER_STOP_SECONDS),
            ("webhooks", WEBHOOKS_STOP_SECONDS),
            ("redis", REDIS_STOP_SECONDS),
        ):
            if name == "redis" and self._server and self._redis_up.is_set():
                kept = await asyncio.to_thread(self._server.count_open_jobs, self._settings.redis_prefix)
            if name in self._started:
                await self._started[name].stop(began + seconds - time.monotonic())
        return kept

    async def _prepare_model(self) -> str:
        """Create the model folder in a separate process, because TensorFlow needs much memory, and return its path."""
        process = await self._program("prepare", "worker.prepare", "--fallback").start(stdout=PIPE)
        printed, _ = await process.communicate()
        if process.returncode != 0:
            raise CannotRun("the model cannot be prepared; the reason is above")
        return os.fsdecode(printed).strip()

    def _program(self, name: str, *module: str) -> Program:
        return self._run(name, [sys.executable, "-m", *module])

    def _run(self, name: str, command: list[str]) -> Program:
        program = Program(name, command, self._environ, self._output.descriptor, self._lock)
        self._started[name] = program
        return program

    async def _keep_redis(self, server: EmbeddedRedis) -> None:
        program = self._run("redis", server.command)
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            if flaw := lost_manifest(server.folder):
                raise CannotRun(flaw)
            server.begin_log()
            process = await program.start()
            began = time.monotonic()
            while process.returncode is None and not await asyncio.to_thread(server.answers):
                await asyncio.sleep(POLL_SECONDS)
            if process.returncode is not None and process.returncode >= 0:
                flaw = await asyncio.to_thread(find_damage, server.folder)
                if flaw or not self._redis_up.is_set():
                    self._say_log(server)
                    raise CannotRun(flaw or "the embedded Redis server cannot start; its reason is above")
            if process.returncode is None:
                self._redis_up.set()
            code = await process.wait()
            self._say_log(server)
            pause_seconds = await self._pause(program, code, began, pause_seconds)

    def _say_log(self, server: EmbeddedRedis) -> None:
        if text := server.read_log():
            log.warning("%s", text)

    async def _keep(self, program: Program) -> None:
        await self._redis_up.wait()
        pause_seconds = FIRST_PAUSE_SECONDS
        while True:
            began = time.monotonic()
            code = await program.run()
            if code >= 0 and not self._ready.is_set():
                # A restart would fail in the same way: a wrong setting, a bad model, a used port.
                raise CannotRun(f"{program.name} ended ({describe(code)}) before it was ready; the reason is above")
            pause_seconds = await self._pause(program, code, began, pause_seconds)

    async def _pause(self, program: Program, code: int, began: float, seconds: float) -> float:
        """Wait before a program is restarted; return the pause to use if it ends again soon."""
        if time.monotonic() - began > MOST_PAUSE_SECONDS:
            seconds = FIRST_PAUSE_SECONDS
        log.warning("%s ended (%s); it is restarted in %g s", program.name, describe(code), seconds)
        await asyncio.sleep(seconds)
        return min(MOST_PAUSE_SECONDS, 2 * seconds)

    async def _announce(self, program: Program) -> None:
        await self._redis_up.wait()
        while await program.run() != 0:
            await asyncio.sleep(FIRST_PAUSE_SECONDS)
        self._ready.set()


def log_format(settings: Settings) -> LogFormat:
    """Return the format for all processes: they log into a pipe, so they cannot detect the terminal themselves."""
    if settings.log_format != "auto":
        return settings.log_format
    return "text" if os.isatty(1) else "json"


async def manage(settings: Settings, lock: int, output: Output) -> int:
    """Run the service until it is stopped or fails; return the exit code."""
    loop = asyncio.get_running_loop()
    output.start(loop)
    configure_logging(settings.log_level, log_format(settings), output.log_handler())
    told = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), told.set)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, told.set)
    manager = Manager(settings, lock, output)
    service, stop = asyncio.create_task(manager.run()), asyncio.create_task(told.wait())
    await asyncio.wait([service, stop], return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(sys.stdin.fileno())
    code = 0
    try:
        if service.done():
            service.result()
        else:
            output.say("Stopping: running jobs are finished …")
    except (CannotRun, OSError) as error:
        output.say(f"make run: {error}")
        code = 1
    finally:
        stop.cancel()
        service.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await service
        kept = await manager.stop()
        if code == 0 and kept is not None:
            output.say(f"Stopped. {counted(kept, 'job')} kept for the next start.")
        output.close(OUTPUT_SECONDS)
    return code


def main(lock: int) -> int:
    """Run the instance with the settings from the environment; return the exit code."""
    starter = os.getppid()
    code = asyncio.run(manage(Settings.from_environ(os.environ), lock, Output()))
    if os.getppid() != starter:
        # The foreground process is gone, so kill any leftover processes here. This process is in the same group.
        os.killpg(0, signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
