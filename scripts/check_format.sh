#!/usr/bin/env bash
# Fails where a C or C++ file that git tracks is not formatted as .clang-format says.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages clang-format-14 git

format=$(command -v clang-format-14 || command -v clang-format)
git ls-files -z -- '*.c' '*.cc' '*.h' '*.hpp' | xargs -0 "$format" --dry-run --Werror
