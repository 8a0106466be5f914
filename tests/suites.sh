#!/usr/bin/env bash
# Starlette's, FastAPI's, redis-py's and httpx's own tests, from their source distributions at the
# versions that requirements.txt pins, and what they need, into .venv-suites; once, in a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=tests/conformance/suites/requirements.txt
stamp=.venv-suites/.done-$(cat "$requirements" tests/suites.sh | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0

rm -rf .venv-suites
.venv/bin/python -m venv .venv-suites
.venv-suites/bin/python -m pip install --quiet --requirement "$requirements"
# Not where the suites look: python-multipart has a module of the same name.
.venv-suites/bin/python -m pip install --quiet --no-deps --target .venv-suites/ours 'multipart>=2.0'
for name in starlette fastapi redis httpx; do
    pin=$(grep "^$name==" "$requirements")
    .venv-suites/bin/python -m pip download --quiet --no-deps --no-binary :all: --dest .venv-suites "$pin"
    mkdir -p ".venv-suites/$name"
    tar -xzf ".venv-suites/$name-${pin#*==}.tar.gz" --strip-components 1 -C ".venv-suites/$name"
done
touch "$stamp"
