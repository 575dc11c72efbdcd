#!/usr/bin/env bash
# Runs each fuzz target of test/fuzz on its seeds and what libFuzzer makes of them, 60 seconds or as many as are given:
#
#     scripts/fuzz.sh [SECONDS]
#
# Stops at the first input for which an oracle does not hold; it is then in build/fuzz/findings. What new inputs teach
# is kept in build/fuzz/learnt for the next run. scripts/fuzz.sh --merge makes of all that as few seeds as reach every
# edge of the code, beside those that have names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh
require_packages clang-16 libclang-rt-16-dev cmake ninja-build libcpuinfo-dev libpthreadpool-dev libfp16-dev libgtest-dev

cmake --preset fuzz -DPython3_EXECUTABLE=/usr/bin/python3
cmake --build --preset fuzz

# Of libFuzzer: inputs of 4 KiB say enough; an input may take a minute on a busy machine; quick inputs are taken more often.
options=(-max_len=4096 -timeout=60 -rss_limit_mb=4096 -entropic_scale_per_exec_time=1)
mkdir -p build/fuzz/findings
summary=()
for seeds in test/fuzz/corpus/*; do
  name=$(basename "$seeds")
  learnt=build/fuzz/learnt/$name
  mkdir -p "$learnt"
  if [[ ${1:-} == --merge ]]; then
    merged=$(mktemp -d)
    find "$seeds" -type f -name '*_*' -exec cp -t "$merged" {} +
    build/fuzz/test/fuzz/"$name" "${options[@]}" -set_cover_merge=1 -use_counters=0 "$merged" "$learnt" "$seeds"
    rm -f "$seeds"/* && mv "$merged"/* "$seeds" && rmdir "$merged"
    continue
  fi
  dictionary=test/fuzz/$name.dict
  log=build/fuzz/$name.log
  build/fuzz/test/fuzz/"$name" "${options[@]}" -max_total_time="${1:-60}" -artifact_prefix=build/fuzz/findings/ \
    -print_final_stats=1 $([[ -f $dictionary ]] && echo "-dict=$dictionary") "$learnt" "$seeds" 2>&1 | tee "$log"
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
  summary+=("$(printf '%-24s %10d executions, %s edges, %d seeds' "$name" "$executions" "${edges#cov: }" "$(ls "$seeds" | wc -l)")")
done
printf '%s\n' "${summary[@]}"
