#!/usr/bin/env bash
# Make .venv with everything `make demo`, `make test` and `make check` need. A second run changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

find_python() {
  local name
  for name in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python3.14; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return 0
    fi
  done
  return 1
}

missing_packages() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  command -v tmux >/dev/null || echo tmux
  command -v ssh >/dev/null || echo openssh-client
  command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || echo openssh-server
  if ! command -v gcc >/dev/null; then
    echo gcc
    echo libc6-dev
  fi
}

install_packages() {
  if [ "$(uname)" = Darwin ]; then
    say "missing: $*"
    say "run: brew install tmux && xcode-select --install"
    exit 1
  fi
  if ! command -v apt-get >/dev/null; then
    say "install these with your package manager, then run make again: $*"
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    say "system packages are missing; run this line, then make again:"
    say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    exit 1
  fi
  say "installing system packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if ! python=$(find_python); then
  say "Python 3.11 or later is needed (apt-get install python3, or brew install python)"
  exit 1
fi

missing=$(missing_packages)
if [ -n "$missing" ]; then
  # shellcheck disable=SC2086 # one package per word
  install_packages $missing
fi

stamp=.venv/.setup-stamp
wanted=$(cat pyproject.toml requirements/*.txt scripts/setup.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && .venv/bin/python -c 'import podops' 2>/dev/null; then
  exit 0
fi

say "making .venv with $("$python" --version)"
[ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
say "installing the Python packages (about a minute)"
.venv/bin/python -m pip install -q -r requirements/runtime.txt -r requirements/dev.txt
.venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
printf '%s' "$wanted" >"$stamp"
say "done"
