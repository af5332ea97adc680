# A terminal into which somebody pastes the commands of a page (tests/support/newcomer.py).
set -euo pipefail

service=
on_error=--fail-with-body

# `make run` is left alone in a terminal of its own; what follows talks to the service that was started last.
make() {
  [ "$1" = run ] || { command make "$@"; return; }
  stop_service
  command make "$@" > service.log 2>&1 &
  service=$!
  until grep -q "^Ready on" service.log; do
    kill -0 "$service" || { cat service.log >&2; return 1; }
    sleep 0.1
  done
}

# An error ends the page, unless the page shows that error.
curl() {
  command curl ${on_error:+"$on_error"} --silent --show-error --max-time 60 "$@"
}

# What is installed goes into an environment of its own, as on a machine without the service.
pip() {
  python3 -m venv fresh
  fresh/bin/pip --disable-pip-version-check --quiet "$@"
  PATH=$PWD/fresh/bin:$PATH
}

stop_service() {
  [ -n "$service" ] || return 0
  kill "$service" 2> /dev/null || true
  wait "$service" || true
  service=
}

trap stop_service EXIT
trap 'exit 143' TERM
