// How much the tests try.
#pragma once

namespace smx {

// Whether SMXPACK_FULL_TESTS=1 in the environment asks for tests that take minutes.
bool RunsFullTests();

// Whether SMXPACK_SPARSE_TESTS=1 in the environment asks for fewer samples and shorter rows, for processors that are emulated:
// some 50 times slower, with long double in software. AArch64 is mostly met so, and always is given those.
bool RunsSparseTests();

}  // namespace smx
