// Rows in pieces: their sums, merged in any order, and the results of the pieces. What must hold:
// - results are right, and those of pieces that hold NaN or infinities are the row's;
// - within the kernels' range, the order of merging changes no bit, and pieces of whole tiles have the bits of the row;
// - bits are the same on every ISA and on any number of threads.
#include <math.h>

#include <algorithm>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "src/operators/scale.h"
#include "test/fuzz/fuzz_input.h"
#include "test/fuzz/hostile_rows.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

using Row = std::vector<float>;
using Sums = std::vector<smx_partial_sum>;

constexpr size_t kMostElements = 4 * SMX_TILE + 100;
constexpr size_t kMostPieces = 8;
constexpr size_t kMostThreads = 3;

struct Case {
  Row x;
  std::vector<size_t> ends;  // of the pieces
  std::vector<size_t> order;
  float scale;
  uint32_t flags;
  size_t threads;
};

template <class Create, class SetUp>
void RunOnce(const Case& c, const Create& create, const SetUp& set_up) {
  smx_operator_t op = nullptr;
  Require(create(&op) == smx_status_success, "create");
  Require(smx_set_scale(op, c.scale) == smx_status_success, "set_scale");
  Require(set_up(op) == smx_status_success, "setup");
  Require(smx_run_operator(op, Pool(c.threads)) == smx_status_success, "run");
  smx_delete_operator(op);
}

Sums SumsOf(const Case& c) {
  Sums sums;
  size_t start = 0;
  for (size_t end : c.ends) {
    const GuardedBuffer<float> piece(&c.x[start], end - start);
    GuardedBuffer<smx_partial_sum> sum(1);
    RunOnce(
        c, [](smx_operator_t* op) { return smx_create_partial_sum_nc(smx_datatype_f32, 0, op); },
        [&](smx_operator_t op) {
          return smx_setup_partial_sum_nc(op, 1, piece.size(), piece.size(), piece.data(), sum.data());
        });
    sums.push_back(sum[0]);
    start = end;
  }
  return sums;
}

// Each number of the order says which two that are left are merged next.
smx_partial_sum Merged(Sums sums, const std::vector<size_t>& order) {
  for (size_t i = 0; sums.size() > 1; i++) {
    const size_t first = order[i] % sums.size();
    const size_t second = (first + 1 + order[i] / kMostPieces % (sums.size() - 1)) % sums.size();
    Require(smx_merge_partial_sums(1, &sums[first], &sums[second]) == smx_status_success, "merge");
    sums.erase(sums.begin() + static_cast<ptrdiff_t>(second));
  }
  return sums[0];
}

Row ScaleBy(const Case& c, const smx_partial_sum& sum) {
  Row y;
  size_t start = 0;
  for (size_t end : c.ends) {
    const GuardedBuffer<float> x(&c.x[start], end - start);
    GuardedBuffer<float> piece(x.size());
    RunOnce(
        c,
        [&](smx_operator_t* op) {
          return smx_create_scale_by_partial_sum_nc(smx_datatype_f32, smx_datatype_f32, c.flags, op);
        },
        [&](smx_operator_t op) {
          return smx_setup_scale_by_partial_sum_nc(op, 1, x.size(), x.size(), x.size(), x.data(), &sum,
                                                   piece.data());
        });
    y.insert(y.end(), piece.begin(), piece.end());
    start = end;
  }
  return y;
}

Row Whole(const Case& c) {
  Row y(c.x.size());
  RunOnce(
      c, [&](smx_operator_t* op) { return smx_create_softmax_nc_f32(c.flags, op); },
      [&](smx_operator_t op) {
        return smx_setup_softmax_nc_f32(op, 1, y.size(), y.size(), y.size(), c.x.data(), y.data());
      });
  return y;
}

bool IsWithinRange(const Case& c) {
  const std::vector<long double> products = Products(c.scale, c.x);
  return std::all_of(products.begin(), products.end(), [](long double p) { return p <= smx_range; }) &&
         std::any_of(products.begin(), products.end(), [](long double p) { return p >= -smx_range; });
}

bool AreTiles(const Case& c) {
  return std::all_of(c.ends.begin(), c.ends.end() - 1, [](size_t end) { return end % SMX_TILE == 0; });
}

// The header's bound for every row.
bool IsRight(const Row& y, const std::vector<long double>& exact) {
  for (size_t i = 0; i < y.size(); i++) {
    const bool is_right = isnan(exact[i]) ? SameBits({y[i]}, {NAN}) : UlpError(y[i], exact[i]) <= 5.3;
    if (!is_right) return false;
  }
  return true;
}

void Check(const Case& c) {
  Row first;
  for (const std::string& isa : AvailableIsas()) {
    UseIsa(isa);
    const Sums sums = SumsOf(c);
    const Row y = ScaleBy(c, Merged(sums, c.order));
    if (!first.empty()) {
      Require(SameBits(y, first), "every ISA gives the same");
      continue;
    }
    first = y;
    Require(IsRight(y, ExactSoftmax(c.x, c.flags, c.scale)), "results are right");
    if (!IsWithinRange(c)) continue;
    Require(SameBits(ScaleBy(c, Merged(sums, std::vector<size_t>(kMostPieces))), y),
            "any order gives the same");
    if (AreTiles(c)) Require(SameBits(y, Whole(c)), "pieces of tiles have the bits of the row");
  }
}

}  // namespace
}  // namespace smx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace smx;
  constexpr float kScales[] = {1.0f, 1.0f, 0.125f, -0.7f, 0.0f, 100.0f, 0x1p+41f, -1e-20f};
  FuzzInput input(data, size);
  Case c;
  c.scale = input.Pick(kScales);
  c.flags = input.OneIn(2) ? SMX_FLAG_MASKED_ROWS_TO_ZERO : 0;
  c.threads = input.Below(kMostThreads + 1);
  const size_t channels = 1 + (input.OneIn(4) ? input.Below(kMostElements) : input.Below(3000));
  const size_t step = input.OneIn(2) ? SMX_TILE : 1;
  for (size_t pieces = input.Below(kMostPieces); pieces > 0; pieces--) {
    const size_t end = input.Below(channels) / step * step;
    if (end > 0) c.ends.push_back(end);
  }
  c.ends.push_back(channels);
  std::sort(c.ends.begin(), c.ends.end());
  c.ends.erase(std::unique(c.ends.begin(), c.ends.end()), c.ends.end());
  for (size_t i = 0; i < kMostPieces; i++) c.order.push_back(input.Below(kMostPieces * kMostPieces));
  c.x = DrawHostileRows(&input)(channels, 0);
  Check(c);
  return 0;
}
