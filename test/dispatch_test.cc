// Which microkernels are picked, and why.
#include "src/runtime/dispatch.h"

#include <cpuinfo.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "test/isas.h"
#include "test/log_recorder.h"

namespace smx {
namespace {

using AnyFunction = void (*)();

struct Row {
  const char* isa;
  const char* kernel;
  const char* function_name;
  AnyFunction function;
};

const std::vector<Row>& Rows() {
  static const std::vector<Row> rows = {
#define SMX_ROW(isa, kernel, function, tile, accumulators) \
  {#isa, #kernel, #function, reinterpret_cast<AnyFunction>(function)},
      SMX_FOREACH_MICROKERNEL(SMX_ROW)
#undef SMX_ROW
  };
  return rows;
}

struct Picked {
  const char* kernel;
  AnyFunction function;
};

std::vector<Picked> PickedOf(const smx_microkernels& microkernels) {
  return {
#define SMX_PICKED(kernel) {#kernel, reinterpret_cast<AnyFunction>(microkernels.kernel)},
      SMX_FOREACH_KERNEL(SMX_PICKED)
#undef SMX_PICKED
  };
}

// In the order of dispatch, of this architecture.
const std::vector<std::string> kIsas = {
#define SMX_NAME(isa, condition) #isa,
    SMX_FOREACH_ISA(SMX_NAME)
#undef SMX_NAME
};

const std::vector<std::string> kIsasOfAllArchitectures = {
#define SMX_NAME(isa) #isa,
    SMX_FOREACH_ISA_NAME(SMX_NAME)
#undef SMX_NAME
};

const std::string& FirstAvailable() {
  return AvailableIsas().front();
}

// Each kernel's function is that of the first row of the list that is of this ISA.
void ExpectFirstRows(const smx_microkernels& microkernels, const std::string& isa) {
  for (const Picked& picked : PickedOf(microkernels)) {
    const Row* first = nullptr;
    for (const Row& row : Rows()) {
      if (first == nullptr && row.isa == isa && strcmp(row.kernel, picked.kernel) == 0) first = &row;
    }
    ASSERT_NE(first, nullptr) << isa << " has no " << picked.kernel;
    EXPECT_EQ(picked.function, first->function) << "not " << first->function_name;
  }
}

class Dispatch : public testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_TRUE(cpuinfo_initialize()); }

  std::string Pick(const char* requested, bool cpuinfo_ready = true) {
    return smx_dispatch(requested, cpuinfo_ready, &microkernels_);
  }

  smx_microkernels microkernels_ = {};
};

TEST_F(Dispatch, FirstAvailableIsaOfTheListWins) {
  LogRecorder log(smx_log_level_warning);
  EXPECT_EQ(Pick(nullptr), FirstAvailable());
  ExpectFirstRows(microkernels_, FirstAvailable());
  EXPECT_EQ(Pick(""), FirstAvailable());
  ExpectFirstRows(microkernels_, FirstAvailable());
  EXPECT_TRUE(log.messages().empty()) << log;
}

TEST_F(Dispatch, ScalarIsLastAndAlwaysAvailable) {
  EXPECT_EQ(kIsas.back(), "scalar");
  EXPECT_TRUE(smx_isa_is_available("scalar", true));
  EXPECT_TRUE(smx_isa_is_available("scalar", false));
}

// The compiler's own query of the processor.
TEST_F(Dispatch, IsaIsAvailableWhereTheProcessorHasIt) {
#if defined(__x86_64__)
  EXPECT_EQ(smx_isa_is_available("avx512f", true), __builtin_cpu_supports("avx512f") != 0);
  EXPECT_EQ(smx_isa_is_available("avx2", true),
            __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_FALSE(smx_isa_is_available("neon", true));
#else
  EXPECT_TRUE(smx_isa_is_available("neon", true));
  EXPECT_FALSE(smx_isa_is_available("avx2", true));
#endif
}

TEST_F(Dispatch, WithoutCpuinfoScalarIsPicked) {
  EXPECT_EQ(Pick(nullptr, false), "scalar");
  ExpectFirstRows(microkernels_, "scalar");
  for (const std::string& isa : kIsas) {
    EXPECT_EQ(smx_isa_is_available(isa.c_str(), false), isa == "scalar") << isa;
    EXPECT_EQ(Pick(isa.c_str(), false), "scalar") << isa;
    ExpectFirstRows(microkernels_, "scalar");
  }
}

TEST_F(Dispatch, EachAvailableIsaCanBeForced) {
  for (const std::string& isa : AvailableIsas()) {
    LogRecorder log(smx_log_level_warning);
    EXPECT_EQ(Pick(isa.c_str()), isa);
    ExpectFirstRows(microkernels_, isa);
    EXPECT_TRUE(log.messages().empty()) << log;
  }
}

TEST_F(Dispatch, UnknownNameIsIgnoredAndReported) {
  for (const char* name : {"sse9", "AVX2", "avx", "avx512", "scalar ", "neo", "-"}) {
    LogRecorder log(smx_log_level_warning);
    EXPECT_EQ(Pick(name), FirstAvailable()) << name;
    ExpectFirstRows(microkernels_, FirstAvailable());
    EXPECT_FALSE(smx_isa_is_available(name, true)) << name;
    ASSERT_EQ(log.messages().size(), 1u) << log;
    EXPECT_TRUE(
        log.Holds(smx_log_level_warning, std::string("SMXPACK_ISA=") + name + " is ignored: unknown name"))
        << log;
  }
}

TEST_F(Dispatch, IsaThatTheProcessorLacksIsIgnoredAndReported) {
  size_t lacking = 0;
  for (const std::string& isa : kIsasOfAllArchitectures) {
    if (smx_isa_is_available(isa.c_str(), true)) continue;
    LogRecorder log(smx_log_level_warning);
    EXPECT_EQ(Pick(isa.c_str()), FirstAvailable());
    ExpectFirstRows(microkernels_, FirstAvailable());
    EXPECT_EQ(log.messages().size(), 1u) << log;
    EXPECT_TRUE(log.Holds(smx_log_level_warning, "SMXPACK_ISA=" + isa + " is ignored")) << log;
    EXPECT_TRUE(log.Holds(smx_log_level_warning, "does not support it")) << log;
    lacking++;
  }
  EXPECT_GE(lacking, 1u);  // no processor is both x86-64 and AArch64
}

TEST_F(Dispatch, TellsWhatWasPickedAndWhyTheRestWasNot) {
  LogRecorder log(smx_log_level_info);
  EXPECT_EQ(Pick(nullptr, false), "scalar");
  EXPECT_TRUE(log.Holds(smx_log_level_info, "scalar: picked")) << log;
  for (const std::string& isa : kIsas) {
    if (isa == "scalar") continue;
    EXPECT_TRUE(log.Holds(smx_log_level_info, isa + ": not supported")) << log;
  }
}

TEST_F(Dispatch, NamesOfMicrokernelsAreThoseOfTheList) {
  for (const std::string& isa : AvailableIsas()) {
    Pick(isa.c_str());
    const std::vector<Picked> picked = PickedOf(microkernels_);
    std::vector<std::string> names;
    for (size_t i = 0; i < picked.size(); i++) {
      const char* name = smx_microkernel_name(&microkernels_, i);
      ASSERT_NE(name, nullptr) << isa << " " << i;
      names.push_back(name);
    }
    EXPECT_EQ(smx_microkernel_name(&microkernels_, picked.size()), nullptr);
    EXPECT_EQ(smx_microkernel_name(&microkernels_, SIZE_MAX), nullptr);
    for (const Picked& kernel : picked) {
      size_t found = 0;
      for (const std::string& name : names) {
        found += name.rfind(std::string("smx_") + kernel.kernel + "_ukernel__" + isa + "_u", 0) == 0;
      }
      EXPECT_EQ(found, 1u) << kernel.kernel << " for " << isa;
    }
  }
}

// The same through the public interface.
TEST_F(Dispatch, EnvironmentVariableForcesAnIsa) {
  const auto isa_for = [](const char* variable) {
    setenv("SMXPACK_ISA", variable, 1);
    smx_deinitialize();
    EXPECT_EQ(smx_initialize(nullptr), smx_status_success);
    const char* name = nullptr;
    EXPECT_EQ(smx_get_isa(&name), smx_status_success);
    return std::string(name);
  };
  for (const std::string& isa : AvailableIsas()) EXPECT_EQ(isa_for(isa.c_str()), isa);
  LogRecorder log(smx_log_level_warning);
  EXPECT_EQ(isa_for("sse9"), FirstAvailable());
  EXPECT_TRUE(log.Holds(smx_log_level_warning, "SMXPACK_ISA=sse9 is ignored: unknown name")) << log;
  unsetenv("SMXPACK_ISA");
  smx_deinitialize();
}

}  // namespace
}  // namespace smx
