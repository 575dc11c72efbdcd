// Rows of values that break softmax where it is written carelessly.
#pragma once

#include <stddef.h>

#include <functional>
#include <vector>

#include "test/fuzz/fuzz_input.h"

namespace smx {

// Makes row `index` of n elements. The same function gives the same bits for the same arguments.
using HostileRows = std::function<std::vector<float>(size_t n, size_t index)>;

// Reads from the input what the rows of one run are to be.
HostileRows DrawHostileRows(FuzzInput* input);

}  // namespace smx
