#!/usr/bin/env bash
# What `make bench` and `make train` need beside Python and Rust. Installs what is missing where that is possible, and
# otherwise says the command; only wrk is indispensable: a peer whose tool is not here is left out.
set -euo pipefail

missing=()
command -v wrk >/dev/null || missing+=(wrk)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v valgrind >/dev/null || missing+=(valgrind)
[[ -x $(PATH=$PATH:/usr/sbin command -v nginx) ]] || missing+=(nginx-core)
command -v cc >/dev/null || missing+=(gcc)
if [[ ${1:-} == train ]]; then # rustup's own would do as well: rustup component add llvm-tools
    llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    [[ -x $(dirname "$(rustc --print target-libdir)")/bin/llvm-profdata || -x /usr/lib/llvm-$llvm/bin/llvm-profdata ]] || missing+=("llvm-$llvm")
fi
command -v go >/dev/null || echo "without Go (>= 1.26) its four servers are left out" >&2
command -v node >/dev/null || echo "without Node.js its server is left out" >&2

[[ ${#missing[@]} -eq 0 ]] && exit 0
if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y "${missing[@]}" >/dev/null || { apt-get update -qq && apt-get install -qq -y "${missing[@]}" >/dev/null; }
else
    echo "the benchmarks need: ${missing[*]} (Debian: sudo apt-get install ${missing[*]})" >&2
fi
