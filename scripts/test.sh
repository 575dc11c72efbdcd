#!/usr/bin/env bash
# Builds everything and runs the tests; arguments go to ctest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libbenchmark-dev \
  python3-jinja2 python3-matplotlib python3-numpy python3-scipy clang-format-14 qemu-user-static "${mca_packages[@]}" \
  libopenmpi-dev openmpi-bin libopenblas-dev ccache dpkg-dev file pkg-config

# The system's Python, which the packages above are for; another one may come first on PATH.
cmake --preset release -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset release
ctest --preset release --output-on-failure -j "$(nproc)" "$@"
