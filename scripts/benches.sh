# Sourced by the scripts that measure; needs packages.sh.

# build_benches TARGET...
#
# Builds programs of bench/ in build/bench, as a log there tells. Peers that cannot be installed are left out.
build_benches() {
  local build=build/bench package
  mkdir -p $build
  require_packages g++ cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libbenchmark-dev
  for package in libxnnpack-dev libdnnl-dev libtorch-dev; do
    require_packages $package >&2 || echo "Without the library of $package, which could not be installed" >&2
  done
  [[ -d $build/node_modules/onnxruntime-node ]] || {
    command -v npm >/dev/null || require_packages npm >&2
    npm install --silent --ignore-scripts --no-save --prefix $build onnxruntime-node@1.30.0 >&2
  } || echo "Without ONNX Runtime, which could not be installed" >&2
  {
    cmake --preset release -B $build -DSMXPACK_BENCH_PEERS=ON -DSMXPACK_BUILD_TESTS=OFF -DSMXPACK_BUILD_EXAMPLES=OFF &&
      cmake --build $build --target "$@"
  } >$build/build.log 2>&1 || {
    cat $build/build.log >&2
    exit 1
  }
}
