// The instruction sets and microkernels of the list that can run here, to parameterise tests with.
#pragma once

#include <stddef.h>

#include <ostream>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"
#include "src/kernels/extended.h"

namespace smx {

// In the order of dispatch; "scalar" is the last, and always there. Names are those of SMXPACK_ISA.
const std::vector<std::string>& AvailableIsas();

// A row of the list.
struct Microkernel {
  const char* isa;
  const char* kernel;    // such as "f32_raddextexp"
  const char* function;  // such as "smx_f32_raddextexp_ukernel__avx2_u64"
  size_t tile;
  size_t accumulators;
  void (*pointer)();

  // Calls it as a `Function`, one of the smx_<kernel>_ukernel_fn.
  template <class Function>
  Function* As() const {
    return reinterpret_cast<Function*>(pointer);
  }
};

// So that a failing test prints the microkernel's name.
std::ostream& operator<<(std::ostream& out, const Microkernel& microkernel);

// Every row, baselines included, of the ISAs that can run here.
const std::vector<Microkernel>& AvailableMicrokernels();
// Those of one kernel, such as "f32_raddextexp".
std::vector<Microkernel> AvailableMicrokernels(const std::string& kernel);
// The first scalar one of a kernel: whose bits all others are compared with.
const Microkernel& ScalarMicrokernel(const std::string& kernel);

}  // namespace smx
