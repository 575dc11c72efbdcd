#!/usr/bin/env bash
# Builds and runs the benchmark against XNNPACK, oneDNN, PyTorch and ONNX Runtime; arguments go to it (bench/README.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libbenchmark-dev \
  nlohmann-json3-dev libxnnpack-dev libdnnl-dev libtorch-dev
command -v npm >/dev/null || require_packages npm

build=build/peers
mkdir -p $build
[[ -d $build/node_modules/onnxruntime-node ]] ||
  npm install --silent --ignore-scripts --no-save --prefix $build onnxruntime-node@1.30.0 >&2
{
  cmake --preset release -B $build -DSMXPACK_BENCH_PEERS=ON -DSMXPACK_BUILD_TESTS=OFF -DSMXPACK_BUILD_EXAMPLES=OFF &&
    cmake --build $build --target peers_bench
} >$build/build.log 2>&1 || {
  cat $build/build.log >&2
  exit 1
}
$build/bench/peers/peers_bench "$@"
