#!/usr/bin/env bash
# Measures the paper's experiments on this machine and writes build/report/index.html (bench/README.md).
#
#     scripts/bench.sh             a few minutes
#     scripts/bench.sh --full      longer rows, more repetitions
#     scripts/bench.sh --from build/report/results.json    draws anew what was measured before
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
source scripts/benches.sh
require_packages python3-jinja2 python3-matplotlib python3-numpy "${mca_packages[@]}"

echo "Building in build/bench"
build_benches microkernels_bench softmax_bench peers_bench accuracy_bench
PYTHONPATH=scripts PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m report "$@"
