#!/usr/bin/env bash
# A real OpenTelemetry collector (OTLP in, files out) at the versions of tests/observe/collector/go.mod,
# into .venv-collector; once, in two minutes or so.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=tests/observe/collector
[[ -x .venv-collector/otelcol && -z $(find "$sources" -newer .venv-collector/otelcol) ]] && exit 0
command -v go >/dev/null || { echo "the collector needs Go (>= 1.25): https://go.dev/dl" >&2; exit 1; }

mkdir -p .venv-collector
cd "$sources"
go build -trimpath -ldflags '-s -w' -o ../../../.venv-collector/otelcol .
