// The library as a program of its own, without GoogleTest and with all traps set before the first call: on processors and
// in places where detection finds little (test/CMakeLists.txt). Prints nothing where all is right.
//
//     detection_test [ISA]     the instruction set that has to be picked; without it, any
#include <fenv.h>
#include <pthreadpool.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "include/smxpack.h"
#include "test/golden_bits.h"
#include "test/rows.h"

namespace {

bool Check(bool is_right, const char* what) {
  if (!is_right) fprintf(stderr, "detection_test: %s\n", what);
  return is_right;
}

bool HasGoldenBits(smx_operator_t op, const smx::GoldenBits& golden, pthreadpool_t pool) {
  uint64_t hash = smx::kGoldenStart;
  for (size_t channels : smx::kGoldenLengths) {
    const std::vector<float> x = smx::MakeRow(golden.family, channels, channels);
    std::vector<float> y(channels);
    if (smx_setup_softmax_nc_f32(op, 1, channels, channels, channels, x.data(), y.data()) !=
            smx_status_success ||
        smx_run_operator(op, pool) != smx_status_success) {
      return false;
    }
    hash = smx::GoldenHash(hash, y);
  }
  return hash == golden.hash;
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  feenableexcept(FE_ALL_EXCEPT);
#endif
  const char* isa = nullptr;
  smx_operator_t op = nullptr;
  bool is_right = Check(smx_initialize(nullptr) == smx_status_success, "smx_initialize fails") &&
                  Check(smx_get_isa(&isa) == smx_status_success, "smx_get_isa fails") &&
                  Check(smx_create_softmax_nc_f32(0, &op) == smx_status_success, "create fails");
#if defined(__GLIBC__)
  fedisableexcept(FE_ALL_EXCEPT);  // rows are drawn with the processor's denormals
#endif
  if (!is_right) return 1;
  if (argc > 1) is_right = Check(strcmp(isa, argv[1]) == 0, isa);
  pthreadpool_t pool = pthreadpool_create(2);
  for (const smx::GoldenBits& golden : smx::kGoldenBits) {
    is_right &= Check(HasGoldenBits(op, golden, nullptr), golden.family);
  }
  is_right &= Check(HasGoldenBits(op, smx::kGoldenBits[0], pool), "with a pool");
  pthreadpool_destroy(pool);
  smx_delete_operator(op);
  smx_deinitialize();
  return is_right ? 0 : 1;
}
