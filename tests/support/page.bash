# What a page's commands are run with: `make run` in the background, HTTP errors that count, a `pip` of their own.
# SERVICE_LOG, READY_SECONDS, PRINTED, FRESH_VENV and TOPTHREE_URL are set by tests/support/page.py.
set -euo pipefail -m

make() {
  case ${1-} in
    run) serve ;;
    # .ci/run runs these: the tests would run themselves.
    check | test) ;;
    *) command make "$@" ;;
  esac
}

serve() {
  stop
  : >"$SERVICE_LOG"
  command make run >"$SERVICE_LOG" 2>&1 &
  service=$!
  for ((waited = 0; waited < READY_SECONDS; waited++)); do
    if grep -q "Ready on" "$SERVICE_LOG"; then return; fi
    if ! kill -0 "$service" 2>/dev/null; then break; fi
    sleep 1
  done
  cat "$SERVICE_LOG" >&2
  return 1
}

# As Ctrl-C does.
stop() {
  if [ -n "${service-}" ]; then
    kill -INT -- "-$service" 2>/dev/null || true
    wait "$service" 2>/dev/null || true
    service=
  fi
}

curl() { command curl --fail-with-body --silent --show-error --max-time 60 "$@"; }

pip() {
  if [ ! -d "$FRESH_VENV" ]; then
    python3 -m venv "$FRESH_VENV"
    PATH=$FRESH_VENV/bin:$PATH
  fi
  "$FRESH_VENV/bin/pip" "$@"
}

# What a block has printed. A job that it names is the last one, which has ended before a person asks for it.
show() {
  cat "$PRINTED"
  local found
  found=$(grep -oE '/result/[0-9a-f]{32}' "$PRINTED" || true)
  if [ -n "$found" ]; then
    last_id=${found##*/}
    command curl -s -H "Prefer: wait=20" "$TOPTHREE_URL/result/$last_id" >/dev/null || true
  fi
}

trap stop EXIT
trap 'exit 1' TERM
