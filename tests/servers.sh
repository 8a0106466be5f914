#!/usr/bin/env bash
# What the tests need beside Python and Rust: strace (faults), PostgreSQL (the SQL sink), nginx and nghttpd (outgoing calls), Redis (rooms
# over machines), Autobahn (WebSocket) and HAProxy (WebSocket over HTTP/2), wrk and valgrind (benchmarks), Chromium (pages with plots), systemd-socket-activate,
# promtool (metrics, alerts), tc and ip (faults of the network), etcd, NATS and toxiproxy (programs.sh).
# Installs what is missing where that is possible, and otherwise says the command.
set -euo pipefail

"$(dirname "$0")/autobahn.sh"
"$(dirname "$0")/programs.sh"

missing=()
command -v strace >/dev/null || missing+=(strace)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v systemd-socket-activate >/dev/null || missing+=(systemd)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
[[ -x $(PATH=$PATH:/usr/sbin command -v haproxy) ]] || missing+=(haproxy)
command -v wrk >/dev/null || missing+=(wrk)
[[ -x $(PATH=$PATH:/usr/sbin command -v nginx) ]] || missing+=(nginx-core)
command -v nghttpd >/dev/null || missing+=(nghttp2-server)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v chromium >/dev/null || missing+=(chromium)
command -v promtool >/dev/null || missing+=(prometheus)
command -v tc >/dev/null || missing+=(iproute2)

[[ ${#missing[@]} -eq 0 ]] && exit 0
if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y "${missing[@]}" >/dev/null || { apt-get update -qq && apt-get install -qq -y "${missing[@]}" >/dev/null; }
else
    echo "the tests need: ${missing[*]} (Debian: sudo apt-get install ${missing[*]})" >&2
    exit 1
fi
