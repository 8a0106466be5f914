#!/usr/bin/env bash
# h2spec (HTTP/2 conformance) at pinned versions, into .venv-h2spec; once, in half a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-h2spec/h2spec ] && exit 0

go=$(command -v go || true)
if [ -z "$go" ]; then
    echo "h2spec needs Go: apt-get install golang, or see go.dev/doc/install" >&2
    exit 1
fi
mkdir -p .venv-h2spec
cd tests/conformance/h2spec
"$go" build -o ../../../.venv-h2spec/h2spec github.com/summerwind/h2spec/cmd/h2spec
