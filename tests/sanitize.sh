#!/usr/bin/env bash
# The native code under AddressSanitizer: the tests of Rust, then the module itself under the
# engine's and the WebSockets' tests. Needs a nightly toolchain (rustup) and gcc's libasan; takes
# some three minutes on two cores. Not a part of `make test`: a nightly is not everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python
target=x86_64-unknown-linux-gnu
build=$PWD/rust/target/sanitize
libasan=$(gcc -print-file-name=libasan.so)
[[ -e $libasan ]] || { echo "libasan is missing (Debian: apt-get install gcc)" >&2; exit 1; }

RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$build/tests cargo +nightly test --quiet \
    --manifest-path rust/Cargo.toml --target $target --workspace --exclude bind

# The interpreter is not built for it: the runtime comes by LD_PRELOAD, and Python's allocator
# makes way for malloc, which is watched.
RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt" CARGO_TARGET_DIR=$build/module PYO3_PYTHON=$python \
    cargo +nightly build --quiet --manifest-path rust/Cargo.toml --package bind --lib --target $target
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp -r src tests examples benchmarks pyproject.toml "$tree"
rm -f "$tree"/src/megahertz/_core.*.so
cp "$build/module/$target/debug/lib_core.so" \
    "$tree/src/megahertz/_core$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')"
cd "$tree"
# CPython's own suites start interpreters of their own, which would be watched as well.
LD_PRELOAD=$libasan ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$tree/src:$tree \
    "$python" -m pytest -q -p no:cacheprovider --deselect \
    tests/engine/test_task.py::test_cpythons_own_suites_pass_with_our_task \
    tests/engine tests/http/test_decode.py tests/http/test_websocket.py tests/http/test_rooms.py \
    tests/http/test_callbacks.py
