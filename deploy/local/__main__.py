"""`python -m deploy.local`: prepares the model, then runs server, workers and API until Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from deploy.local.embedded_redis import EmbeddedRedis
from shared.settings import Settings, SettingsError

ROOT = Path(__file__).parents[2]
CONFIGURATION = Path(__file__).with_name("supervisord.conf")


def main() -> int:
    """Run the service; return the exit code of the process manager."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    if not is_free(settings.host, settings.port):
        print(
            f"make run: port {settings.port} is taken. Stop what uses it, or choose another: PORT=5001 make run",
            file=sys.stderr,
        )
        return 1
    model_dir = prepare_model()
    if model_dir is None:
        return 1
    return supervise(settings, model_dir)


def is_free(host: str, port: int) -> bool:
    """Whether the port can be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def prepare_model() -> str | None:
    """Make the model folder in a process of its own (TensorFlow is big); return it, or None if that failed."""
    command = [sys.executable, "-m", "worker.prepare", "--fallback"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def supervise(settings: Settings, model_dir: str) -> int:
    """Run the processes under supervisor until a signal comes; return supervisor's exit code."""
    state_dir = ROOT / "var" / str(settings.port)
    server = EmbeddedRedis.create(state_dir)
    environ = {
        **os.environ,
        # With the prefix, which wins over what the environment may have.
        "TOPTHREE_MODEL_DIR": model_dir,
        "TOPTHREE_REDIS_URL": server.url,
        "EMBEDDED_REDIS": server.command,
        "PYTHON": sys.executable,
        "STATE_DIR": str(state_dir),
        "PYTHONUNBUFFERED": "1",
        # What the processes log passes through pipes to this one's terminal.
        "TOPTHREE_LOG_FORMAT": settings.log_format
        if settings.log_format != "auto" or not sys.stdout.isatty()
        else "text",
    }
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)]
    # In a session of its own, so that Ctrl-C reaches supervisor once and a closed terminal stops the service too.
    manager = subprocess.Popen(command, cwd=ROOT, env=environ, start_new_session=True)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: manager.terminate())
    print(f"Starting on http://{settings.host}:{settings.port} with {settings.workers} worker processes …", flush=True)
    return manager.wait()


if __name__ == "__main__":
    sys.exit(main())
