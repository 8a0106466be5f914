#!/usr/bin/env bash
# The native module on every Python that is here and that we promise, on asyncio and on uvloop.
#
# A version that is not installed is named and left out: a machine with one Python is enough to
# work on megahertz, and CI has them all.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local version=$1 candidate
    for candidate in "python$version" $(pyenv versions --bare 2>/dev/null | grep "^$version\." |
        while read -r name; do echo "$(pyenv prefix "$name")/bin/python"; done); do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" \
            >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

for version in 3.11 3.12 3.13; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "matrix: Python $version is not here, left out"
        continue
    fi
    venv=.venv-$version
    if [ "$version" = "$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ]; then
        venv=.venv
    else
        make --no-print-directory install VENV="$venv" PYTHON="$python" PROFILE=dev
    fi
    for loop in asyncio uvloop; do
        # What the first Python has run on asyncio already is not run again.
        if [ "$venv" = .venv ] && [ "$loop" = asyncio ]; then continue; fi
        echo "matrix: Python $version on $loop"
        MEGAHERTZ_TEST_LOOP=$loop "$venv/bin/python" -m pytest -q -p no:cacheprovider tests/engine tests/http
    done
done
