#!/usr/bin/env bash
# Builds and runs the benchmark against XNNPACK, oneDNN, PyTorch and ONNX Runtime; arguments go to it (bench/README.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
source scripts/benches.sh
build_benches peers_bench
build/bench/bench/peers/peers_bench "$@"
