#!/usr/bin/env bash
# Builds everything and runs the tests with Bazel 4 as Debian and Ubuntu package it, then an application in a workspace of its own
# (test/package/application), and the one of docs/integration.md; no network. Arguments go to bazel test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ bazel-bootstrap bazel-rules-java bazel-rules-proto \
  libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libgmock-dev libbenchmark-dev

# Bazel itself would download these four repositories; C++ needs next to nothing of them.
# bazel-4 by name: another bazel on PATH may be a downloader. --batch: no server stays behind.
root=$PWD
run_bazel() {
  bazel-4 --batch --output_user_root="$root/build/bazel" "$1" //... "${@:2}" \
    --override_repository=rules_cc="$root/bazel/stubs/rules_cc" \
    --override_repository=remote_coverage_tools="$root/bazel/stubs/remote_coverage_tools" \
    --override_repository=rules_java=/usr/share/bazel/rules/java \
    --override_repository=rules_proto=/usr/share/bazel/rules/proto \
    --keep_going --test_output=errors --spawn_strategy=local --experimental_convenience_symlinks=ignore
}

run_bazel test --compilation_mode=opt "$@"
cd test/package/application
run_bazel test

cd "$root"
python3 test/package/documents_test.py --only-files --work build/documents --replace=../smxpack="$root" docs/integration.md
cd build/documents/bazel
cp ../softmax.c .
run_bazel build
