#!/usr/bin/env bash
# Servers of the tests that Debian has not, or has too old: etcd, NATS and toxiproxy, at the versions of
# tests/programs/go.mod, into .venv-programs; once, in three minutes or so on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=tests/programs
[[ -x .venv-programs/toxiproxy && -z $(find "$sources" -newer .venv-programs/toxiproxy) ]] && exit 0
command -v go >/dev/null || { echo "etcd, NATS and toxiproxy need Go (>= 1.26): https://go.dev/dl" >&2; exit 1; }

mkdir -p .venv-programs
build() { (cd "$sources" && go build -trimpath -ldflags '-s -w' -o "../../.venv-programs/$1" "$2"); }
build etcd go.etcd.io/etcd/server/v3
build nats-server github.com/nats-io/nats-server/v2
build toxiproxy github.com/Shopify/toxiproxy/v2/cmd/server
