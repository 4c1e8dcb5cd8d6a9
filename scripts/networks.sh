#!/usr/bin/env bash
# Install what the tests of networks and login shells need; where that is not possible they skip and say so.
set -euo pipefail
missing=()
command -v ip >/dev/null && command -v tc >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
command -v fish >/dev/null || missing+=(fish)
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && exit 0
fi
echo "networks: ${missing[*]} not here; the tests that need them are skipped" >&2
