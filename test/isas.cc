#include "test/isas.h"

#include <cpuinfo.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/runtime/dispatch.h"

namespace smx {
namespace {

std::vector<std::string> FindIsas() {
  const bool cpuinfo_ready = cpuinfo_initialize();
  std::vector<std::string> isas;
#define SMX_ROW(isa, condition) \
  if (smx_isa_is_available(#isa, cpuinfo_ready)) isas.push_back(#isa);
  SMX_FOREACH_ISA(SMX_ROW)
#undef SMX_ROW
  return isas;
}

std::vector<Microkernel> FindMicrokernels() {
  const Microkernel all[] = {
#define SMX_ROW(isa, kernel, function, tile, accumulators) \
  {#isa, #kernel, #function, tile, accumulators, reinterpret_cast<void (*)()>(function)},
      SMX_FOREACH_MICROKERNEL(SMX_ROW) SMX_FOREACH_VARIANT(SMX_ROW) SMX_FOREACH_BASELINE(SMX_ROW)
#undef SMX_ROW
  };
  std::vector<Microkernel> available;
  for (const std::string& isa : AvailableIsas()) {
    for (const Microkernel& microkernel : all) {
      if (isa == microkernel.isa) available.push_back(microkernel);
    }
  }
  return available;
}

}  // namespace

const std::vector<std::string>& AvailableIsas() {
  static const std::vector<std::string> isas = FindIsas();
  return isas;
}

std::ostream& operator<<(std::ostream& out, const Microkernel& microkernel) {
  return out << microkernel.function;
}

const std::vector<Microkernel>& AvailableMicrokernels() {
  static const std::vector<Microkernel> microkernels = FindMicrokernels();
  return microkernels;
}

std::vector<Microkernel> AvailableMicrokernels(const std::string& kernel) {
  std::vector<Microkernel> found;
  for (const Microkernel& microkernel : AvailableMicrokernels()) {
    if (microkernel.kernel == kernel) found.push_back(microkernel);
  }
  return found;
}

const Microkernel& ScalarMicrokernel(const std::string& kernel) {
  for (const Microkernel& microkernel : AvailableMicrokernels()) {
    if (microkernel.kernel == kernel && std::string(microkernel.isa) == "scalar") return microkernel;
  }
  fprintf(stderr, "no scalar microkernel of %s\n", kernel.c_str());
  abort();
}

}  // namespace smx
