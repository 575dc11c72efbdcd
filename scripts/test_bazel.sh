#!/usr/bin/env bash
# Builds everything and runs the tests with Bazel 4 as Debian and Ubuntu package it; no network. Arguments go to bazel test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages g++ bazel-bootstrap bazel-rules-java bazel-rules-proto \
  libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev libgmock-dev libbenchmark-dev

# Bazel itself would download these four repositories; C++ needs next to nothing of them.
# bazel-4 by name: another bazel on PATH may be a downloader. --batch: no server stays behind.
bazel-4 --batch --output_user_root="$PWD/build/bazel" test //... "$@" \
  --override_repository=rules_cc="$PWD/bazel/stubs/rules_cc" \
  --override_repository=remote_coverage_tools="$PWD/bazel/stubs/remote_coverage_tools" \
  --override_repository=rules_java=/usr/share/bazel/rules/java \
  --override_repository=rules_proto=/usr/share/bazel/rules/proto \
  --compilation_mode=opt --keep_going --test_output=errors --spawn_strategy=local \
  --experimental_convenience_symlinks=ignore
