#!/usr/bin/env bash
# Builds the library and the example, and computes the softmax of the two sets of logits in examples/data.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev

build=build/run
mkdir -p $build
echo "Building in $build"
{
  cmake --preset release -B $build -DSMXPACK_BUILD_TESTS=OFF -DSMXPACK_BUILD_BENCHMARKS=OFF &&
    cmake --build $build
} >$build/build.log 2>&1 || {
  cat $build/build.log >&2
  exit 1
}

softmax() {
  local name=$1
  shift
  printf '\n%s\n' "== $name"
  $build/examples/softmax_npy "examples/data/${name}_logits.npy" "$build/${name}_probabilities.npy" "$@"
}
softmax digits --classes examples/data/digits_classes.txt
softmax vocabulary --classes examples/data/vocabulary_words.txt --contexts examples/data/vocabulary_contexts.txt \
  --threads "$(nproc)"
