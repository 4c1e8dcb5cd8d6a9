#!/usr/bin/env bash
# Make .venv with everything `make test` and `make check` need; with the word `demo` only with what podops itself needs.
# A second run changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-all}

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
  [ "$purpose" = demo ] && return
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

is_done() {
  [ -f ".venv/.setup-$1" ] && [ "$(cat ".venv/.setup-$1")" = "$wanted" ]
}

wanted=$(cat pyproject.toml requirements/*.txt scripts/setup.sh | cksum)
if { is_done all || is_done "$purpose"; } && .venv/bin/python -c 'import podops' 2>/dev/null; then
  exit 0
fi

say "making .venv with $("$python" --version)"
[ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
export PIP_DISABLE_PIP_VERSION_CHECK=1
requirements=(-r requirements/runtime.txt -r requirements/build.txt)
[ "$purpose" = demo ] || requirements+=(-r requirements/dev.txt)
say "installing the Python packages (a minute or less)"
.venv/bin/python -m pip install -q "${requirements[@]}"
.venv/bin/python -m pip install -q --no-deps --no-build-isolation -e .
printf '%s' "$wanted" >".venv/.setup-$purpose"
say "done"
