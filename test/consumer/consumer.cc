// An application of the library gets the golden bits on every instruction set of the processor, whatever it was compiled
// with.
#include <inttypes.h>
#include <smxpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "src/gen/microkernels.h"
#include "test/golden_bits.h"
#include "test/rows.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using Row = std::vector<float>;

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "not true: %s\n", what);
  exit(EXIT_FAILURE);
}
#define REQUIRE(condition) Require(condition, #condition)

Row Softmax(const Row& x) {
  Row y(x.size());
  smx_operator_t op = nullptr;
  REQUIRE(smx_create_softmax_nc_f32(0, &op) == smx_status_success);
  REQUIRE(smx_setup_softmax_nc_f32(op, 1, x.size(), x.size(), x.size(), x.data(), y.data()) ==
          smx_status_success);
  REQUIRE(smx_run_operator(op, nullptr) == smx_status_success);
  REQUIRE(smx_delete_operator(op) == smx_status_success);
  return y;
}

// Returns how many families have been compared.
int RequireGoldenBits(const char* isa) {
  int compared = 0;
  for (const smx::GoldenBits& golden : smx::kGoldenBits) {
    uint64_t hash = smx::kGoldenStart;
    for (size_t channels : smx::kGoldenLengths) {
      hash = smx::GoldenHash(hash, Softmax(smx::MakeRow(golden.family, channels, channels)));
    }
    if (hash != golden.hash) fprintf(stderr, "%s, %s: 0x%016" PRIx64 "\n", isa, golden.family, hash);
    REQUIRE(hash == golden.hash);
    compared++;
  }
  return compared;
}

// The environment of a process that was linked with -ffast-math.
void RequireEnvironment() {
#if defined(__FAST_MATH__) && defined(__x86_64__)
  constexpr unsigned kFlushes = 0x8040;  // FZ, DAZ
  REQUIRE((_mm_getcsr() & kFlushes) == kFlushes);
#endif
}

}  // namespace

int main() {
  constexpr const char* kIsas[] = {
#define SMX_ROW(isa) #isa,
      SMX_FOREACH_ISA_NAME(SMX_ROW)
#undef SMX_ROW
  };
  RequireEnvironment();
  int tried = 0;
  for (const char* isa : kIsas) {
    setenv("SMXPACK_ISA", isa, 1);
    REQUIRE(smx_initialize(nullptr) == smx_status_success);
    const char* picked = nullptr;
    REQUIRE(smx_get_isa(&picked) == smx_status_success);
    if (strcmp(picked, isa) == 0) {
      const int compared = RequireGoldenBits(isa);
      REQUIRE(compared > 0);
      printf("%s: %d families of rows have the golden bits\n", isa, compared);
      tried++;
    }
    REQUIRE(smx_deinitialize() == smx_status_success);
  }
  RequireEnvironment();
  REQUIRE(tried > 0);
  return EXIT_SUCCESS;
}
