#!/usr/bin/env bash
# Builds PyTorch's extension (examples/pytorch) and the language model in C, runs their tests, and prints the table that compares
# PyTorch's own softmax with SMXPACK's. Half a gigabyte of packages (Debian).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libbenchmark-dev \
  python3-numpy libtorch-dev python3-torch libopenblas-dev

cmake --preset release -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset release --target smxpack_pytorch llama
ctest --preset release -R '^(pytorch|llama|llama_pytorch)_test$'
/usr/bin/python3 examples/pytorch/compare.py build/release/examples/pytorch/libsmxpack_pytorch.so
