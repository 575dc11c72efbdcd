#!/usr/bin/env bash
# Builds the library and an application of it (test/consumer) with other compilers, standards and options, without a warning;
# each build's results have the golden bits. With --ci a row of each compiler alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev \
  {clang,llvm,lld}-14 {clang,llvm,lld}-16 {clang,llvm,lld}-19

# Any two values of two columns meet in a row. Link-time optimisation is GCC's, or Clang's ThinLTO; without exceptions there is
# no RTTI either; -ffast-math is the application's alone.
configurations="
# compiler  C++ C  level LTO exceptions -ffast-math
  gcc-12    17  11 -O0   OFF ON         OFF
  gcc-12    17  17 -O1   OFF OFF        ON
  gcc-12    20  11 -O2   ON  ON         ON         ci
  gcc-12    20  17 -O3   ON  OFF        OFF
  clang-14  17  17 -O0   ON  ON         ON
  clang-14  17  11 -O1   ON  OFF        OFF        ci
  clang-14  20  17 -O2   OFF ON         OFF
  clang-14  20  11 -O3   OFF OFF        ON
  clang-16  20  11 -O0   OFF OFF        ON
  clang-16  20  17 -O1   OFF ON         OFF
  clang-16  17  11 -O2   ON  OFF        OFF
  clang-16  17  17 -O3   ON  ON         ON         ci
  clang-19  20  17 -O0   ON  OFF        OFF        ci
  clang-19  20  11 -O1   ON  ON         ON
  clang-19  17  17 -O2   OFF OFF        ON
  clang-19  17  11 -O3   OFF ON         OFF
"
declare -A cxx_compiler=([gcc-12]=g++-12 [clang-14]=clang++-14 [clang-16]=clang++-16 [clang-19]=clang++-19)
declare -A linker=([gcc-12]=bfd [clang-14]=lld-14 [clang-16]=lld-16 [clang-19]=lld-19)
declare -A cxx_options=([ON]= [OFF]="-fno-exceptions -fno-rtti")
declare -A application_options=([ON]=-ffast-math [OFF]=)

build() {
  local compiler=$1 cxx=$2 c=$3 level=$4 lto=$5 exceptions=$6 fast_math=$7
  local options="$level -Wall -Wextra -Werror"
  rm -rf build/compilers
  cmake -S test/consumer -B build/compilers -G Ninja \
    -DCMAKE_C_COMPILER="$compiler" -DCMAKE_CXX_COMPILER="${cxx_compiler[$compiler]}" \
    -DCMAKE_CXX_STANDARD="$cxx" -DCMAKE_C_STANDARD="$c" -DCMAKE_BUILD_TYPE=None \
    -DCMAKE_C_FLAGS="$options" -DCMAKE_CXX_FLAGS="$options ${cxx_options[$exceptions]}" \
    -DCMAKE_EXE_LINKER_FLAGS="-fuse-ld=${linker[$compiler]}" -DCMAKE_INTERPROCEDURAL_OPTIMIZATION="$lto" \
    -DCONSUMER_OPTIONS="${application_options[$fast_math]}" &&
    cmake --build build/compilers &&
    ctest --test-dir build/compilers --output-on-failure --no-tests=error
}

mkdir -p build
while read -r -a configuration; do
  [[ ${configuration[0]:-#} == '#' ]] && continue
  [[ ${1:-} != --ci || ${configuration[7]:-} == ci ]] || continue
  SECONDS=0
  build "${configuration[@]:0:7}" >build/compilers.log 2>&1 </dev/null || {
    cat build/compilers.log
    echo "FAILED: ${configuration[*]}"
    exit 1
  }
  printf '%-36s passed, %d s\n' "${configuration[*]:0:7}" $SECONDS
done <<<"$configurations"
