#!/usr/bin/env bash
# Install what the tests of containers need; where that is not possible they skip and say so.
set -euo pipefail
for program in dockerd podman runc conmon; do
  command -v "$program" >/dev/null || missing="${missing:-} $program"
done
[ -n "${missing:-}" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends docker.io podman runc conmon >/dev/null && exit 0
fi
echo "engines: not here:$missing; the tests of containers that need them say so and skip" >&2
