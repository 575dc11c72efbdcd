#include "src/runtime/dispatch.h"

#include <cpuinfo.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/runtime/log.h"

namespace {

struct IsaRow {
  const char* name;
  bool (*available)();
};

constexpr IsaRow kIsas[] = {
#define SMX_ROW(isa, condition) {#isa, [] { return static_cast<bool>(condition); }},
    SMX_FOREACH_ISA(SMX_ROW)
#undef SMX_ROW
};

constexpr const char* kIsaNames[] = {
#define SMX_ROW(isa) #isa,
    SMX_FOREACH_ISA_NAME(SMX_ROW)
#undef SMX_ROW
};

enum IsaIndex : uint32_t {
#define SMX_ROW(isa) kIsa_##isa,
  SMX_FOREACH_ISA_NAME(SMX_ROW)
#undef SMX_ROW
};

// The list as a table, which is a third of the code that would do its work.
struct MicrokernelRow {
  uint32_t isa;     // index in kIsaNames
  uint32_t member;  // of smx_microkernels
  void (*function)();
};

const MicrokernelRow kMicrokernels[] = {
#define SMX_ROW(isa, kernel, function, tile, accumulators) \
  {kIsa_##isa, offsetof(smx_microkernels, kernel), reinterpret_cast<void (*)()>(function)},
    SMX_FOREACH_MICROKERNEL(SMX_ROW)
#undef SMX_ROW
};

// Their functions' names, one after the other.
constexpr char kMicrokernelNames[] =
#define SMX_ROW(isa, kernel, function, tile, accumulators) #function "\0"
    SMX_FOREACH_MICROKERNEL(SMX_ROW)
#undef SMX_ROW
    ;

bool IsPicked(const MicrokernelRow& row, const smx_microkernels& microkernels) {
  const char* member = reinterpret_cast<const char*>(&microkernels) + row.member;
  return memcmp(member, &row.function, sizeof(row.function)) == 0;
}

bool IsKnown(const char* isa) {
  for (const char* name : kIsaNames) {
    if (strcmp(name, isa) == 0) return true;
  }
  return false;
}

// The first of the list that can run here; scalar is the last, and always can.
const char* FirstAvailable(bool cpuinfo_ready) {
  for (const IsaRow& row : kIsas) {
    if (smx_isa_is_available(row.name, cpuinfo_ready)) return row.name;
    smx_log_info("%s: not supported by this processor", row.name);
  }
  return "scalar";
}

const char* PickIsa(const char* requested, bool cpuinfo_ready) {
  if (requested == nullptr || requested[0] == '\0') return FirstAvailable(cpuinfo_ready);
  for (const IsaRow& row : kIsas) {
    if (strcmp(row.name, requested) == 0 && smx_isa_is_available(row.name, cpuinfo_ready)) return row.name;
  }
  smx_log_warning("SMXPACK_ISA=%s is ignored: %s", requested,
                  IsKnown(requested) ? "this processor does not support it" : "unknown name");
  return FirstAvailable(cpuinfo_ready);
}

}  // namespace

bool smx_isa_is_available(const char* isa, bool cpuinfo_ready) {
  if (strcmp(isa, "scalar") == 0) return true;
  for (const IsaRow& row : kIsas) {
    if (strcmp(row.name, isa) == 0) return cpuinfo_ready && row.available();
  }
  return false;
}

const char* smx_dispatch(const char* requested, bool cpuinfo_ready, struct smx_microkernels* microkernels) {
  const char* picked = PickIsa(requested, cpuinfo_ready);
  *microkernels = {};
  for (const MicrokernelRow& row : kMicrokernels) {
    if (strcmp(kIsaNames[row.isa], picked) != 0) continue;
    memcpy(reinterpret_cast<char*>(microkernels) + row.member, &row.function, sizeof(row.function));
  }
  smx_log_info("%s: picked", picked);
  return picked;
}

const char* smx_microkernel_name(const struct smx_microkernels* microkernels, size_t index) {
  const char* name = kMicrokernelNames;
  size_t i = 0;
  for (const MicrokernelRow& row : kMicrokernels) {
    if (IsPicked(row, *microkernels) && i++ == index) return name;
    name += strlen(name) + 1;
  }
  return nullptr;
}
