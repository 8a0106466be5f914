#!/usr/bin/env bash
# The Autobahn test suite (WebSocket) at a pinned version, into .venv-autobahn; once, in 20 s or so.
#
# It runs on Python 2.7 only, which virtualenv knows up to 20.21; all of it comes as wheels.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv-autobahn/.done ] && exit 0

python=$(command -v python2.7 || true)
if ! "${python:-false}" -c '' 2>/dev/null; then
    version=$(pyenv versions --bare 2>/dev/null | grep '^2\.7\.' | tail -1 || true)
    python=${version:+$(pyenv prefix "$version")/bin/python}
fi
if [ -z "${python:-}" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y python2.7 >/dev/null 2>&1 && python=$(command -v python2.7)
fi
if [ -z "${python:-}" ]; then
    echo "Autobahn needs Python 2.7: apt-get install python2.7, or pyenv install 2.7.18" >&2
    exit 1
fi

maker=$(mktemp -d)
trap 'rm -rf "$maker"' EXIT
.venv/bin/python -m venv "$maker"
"$maker/bin/pip" install --quiet 'virtualenv==20.21.1'
"$maker/bin/virtualenv" --quiet -p "$python" .venv-autobahn
.venv-autobahn/bin/pip install --quiet --no-python-version-warning autobahntestsuite==25.10.1
install -m 755 /dev/null .venv-autobahn/.done
