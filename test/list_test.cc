// The list itself. That each of its rows has a test and a bench is for the programs of those to show: each test program
// of microkernels asks itself, and check_list.cmake compares names with this program's.
#include <set>

#include "test/microkernel_fixture.h"

namespace smx {
namespace {

class Row : public MicrokernelTest {};
INSTANTIATE_TEST_SUITE_P(List, Row, testing::ValuesIn(AvailableMicrokernels()), TestName);

TEST_P(Row, IsNamedByTheGrammar) {
  std::string name = std::string("smx_") + kernel().kernel + "_ukernel__" + kernel().isa;
  name += "_u" + std::to_string(kernel().tile);
  if (kernel().accumulators > 1) name += "_acc" + std::to_string(kernel().accumulators);
  EXPECT_EQ(kernel().function, name);
}

TEST(List, HasEveryRowOnce) {
  std::set<std::string> names;
  std::set<void (*)()> functions;
  for (const Microkernel& microkernel : AvailableMicrokernels()) {
    EXPECT_TRUE(names.insert(microkernel.function).second) << microkernel;
    EXPECT_TRUE(functions.insert(microkernel.pointer).second) << microkernel;
  }
}

TEST(List, HasEveryKernelForEveryIsa) {
  std::set<std::string> found;
  for (const Microkernel& microkernel : AvailableMicrokernels()) {
    found.insert(std::string(microkernel.kernel) + " " + microkernel.isa);
  }
  for (const std::string& isa : AvailableIsas()) {
#define SMX_EXPECT(kernel) EXPECT_EQ(found.count(#kernel " " + isa), 1u) << #kernel " " << isa;
    SMX_FOREACH_KERNEL(SMX_EXPECT)
    SMX_FOREACH_BASELINE_KERNEL(SMX_EXPECT)
#undef SMX_EXPECT
  }
}

TEST(List, EndsWithScalar) {
  EXPECT_EQ(AvailableIsas().back(), "scalar");
}

}  // namespace
}  // namespace smx
