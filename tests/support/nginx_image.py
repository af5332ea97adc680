"""A stand-in for the image of nginx, where there is no registry, laid out as the official one is."""

from pathlib import Path

from tests.support.docker import Engine

NGINX = "nginx:1.30"
# Debian's package of nginx.
BASE = "topthree-test-debian-nginx"
DOCKERFILE = f"""
FROM {BASE}
RUN useradd --system --uid 101 --user-group nginx
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
"""


def provide_nginx_image(engine: Engine, folder: Path) -> None:
    """Have the image be there, made in `folder`; where nothing makes stand-ins, compose pulls the official one."""
    if engine.tool and not engine.has(NGINX):
        engine.make(BASE, "base", "nginx", "curl")
        (folder / "Dockerfile").write_text(DOCKERFILE, "utf-8")
        engine.run("build", "--tag", NGINX, str(folder))
