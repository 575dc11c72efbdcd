#!/usr/bin/env bash
# Measures the paper's experiments on this machine and writes build/report/index.html (bench/README.md).
#
#     scripts/bench.sh             a few minutes
#     scripts/bench.sh --full      longer rows, more repetitions
#     scripts/bench.sh --from build/report/results.json    draws anew what was measured before
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libbenchmark-dev \
  python3-jinja2 python3-matplotlib python3-numpy "${mca_packages[@]}"

build=build/release
mkdir -p $build
echo "Building in $build"
{
  cmake --preset release && cmake --build $build --target microkernels_bench softmax_bench
} >$build/bench.log 2>&1 || {
  cat $build/bench.log >&2
  exit 1
}
PYTHONPATH=scripts PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m report --build-dir $build "$@"
