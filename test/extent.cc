#include "test/extent.h"

#include <stdlib.h>
#include <string.h>

namespace smx {
namespace {

bool IsSet(const char* variable) {
  const char* value = getenv(variable);
  return value != nullptr && strcmp(value, "1") == 0;
}

}  // namespace

bool RunsFullTests() {
  return IsSet("SMXPACK_FULL_TESTS");
}

bool RunsSparseTests() {
#if defined(__aarch64__)
  return true;
#else
  return IsSet("SMXPACK_SPARSE_TESTS");
#endif
}

}  // namespace smx
