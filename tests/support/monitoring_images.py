"""Stand-ins for images of the profile `monitoring`, where there is no registry, laid out as the official ones are.

Grafana is in no registry of packages: there is none for it. Its dashboard is checked by tests/unit and tests/e2e.
"""

from pathlib import Path

from tests.support.docker import Engine

PROMETHEUS = "prom/prometheus:v3.5.0"
FLOWER = "mher/flower:2.0"
# Debian's package of Prometheus.
BASE = "topthree-test-debian-prometheus"
DOCKERFILES = {
    PROMETHEUS: f"""
FROM {BASE}
RUN mkdir -p /prometheus && chown nobody:nogroup /prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
""",
    FLOWER: """
FROM python:3.13-slim
RUN pip install --no-cache-dir redis "flower==2.0.*" \
    && useradd --uid 1000 flower && mkdir /data && chown flower:flower /data
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 FLOWER_DATA_DIR=/data PYTHONPATH=/data
WORKDIR /data
USER flower
VOLUME /data
CMD ["celery", "flower"]
""",
}


def provide_monitoring_images(engine: Engine, folder: Path) -> None:
    """Have the images be there, made in `folder`; where nothing makes stand-ins, compose pulls the official ones."""
    for image, text in DOCKERFILES.items():
        if engine.tool and not engine.has(image):
            engine.make(BASE, "base", "prometheus")
            (folder / "Dockerfile").write_text(text, "utf-8")
            engine.run("build", "--tag", image, str(folder))
