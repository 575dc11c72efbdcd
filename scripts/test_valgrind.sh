#!/usr/bin/env bash
# Runs tests of microkernels and operators under valgrind's memcheck, which has AVX2 and no AVX512: on the AVX2 and scalar
# paths.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build valgrind libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libbenchmark-dev

# memcheck TEST FILTER
memcheck() {
  echo "== $1 --gtest_filter=$2"
  valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
    "build/release/test/$1" --gtest_brief=1 --gtest_filter="$2"
}

tests=(operator_test f32_microkernels_test f32_softmax_kernel_test typed_microkernels_test columns_kernels_test
  softmax_nc_f32_test softmax_nc_quantized_test partial_sum_nc_test softmax_axis_test)
cmake --preset release -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset release --target "${tests[@]}"

export SMXPACK_SPARSE_TESTS=1 # tails, remainders and ends of blocks are all there

# valgrind ignores flush-to-zero: tests that compare results below FLT_MIN fail in it. They are not among these, but for the
# kernels that write rows and columns, where errors of memory count and a test's own failure (1) does not.
memcheck operator_test '*'
memcheck f32_microkernels_test '*ExtendedSum.StaysInsideItsRow*:*ExtendedSum.TakesAnyAlignment*'
memcheck f32_microkernels_test '*ExtendedMap.StaysInsideItsRow*:*ExtendedMap.TakesAnyAlignment*:*RunsInPlace*' || (($? == 1))
memcheck f32_softmax_kernel_test '*TouchesRowsOnly*'
memcheck typed_microkernels_test '*StaysInsideItsRow*smx_f16_*:*StaysInsideItsRow*f32_f16_*:*StaysInsideItsRow*qu8_*'
memcheck columns_kernels_test '*ColumnsOnly*' || (($? == 1))
memcheck softmax_nc_f32_test '*Class*:*Batch.*:*GapsBetweenRowsAreNotRead*'
memcheck softmax_nc_quantized_test '*StaysInsideItsRowsAtAnyAlignment*'
memcheck partial_sum_nc_test '*SpecialRows*:*BatchesOfAnyTypes*:*BadArguments*'
memcheck softmax_axis_test '*LeavesGapsAndSurroundingsAlone*:*BadArguments*:*Overlap*'
