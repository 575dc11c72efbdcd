// The softmax of attention: rows have the bits of softmax on the logits that the manual tells, whatever is added and however many
// threads there are, and what a query does not see is neither read nor written.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "src/gen/microkernels.h"
#include "test/attention_problem.h"
#include "test/elements.h"
#include "test/extent.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/log_recorder.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx::attention {
namespace {

// What a rounded logit may be off by: half an ULP of each step's result, and 5 of tanh.
long double LogitError(const Problem& p, long double exact) {
  const long double u = 0x1p-24L;
  const long double steps =
      1 + (p.options.softcap != 0.0f) + 2 * !p.slopes.empty() + (p.options.mask_type != 0);
  long double largest = fabsl(exact) + 2 * p.options.softcap;
  if (!p.slopes.empty()) largest += 4.0L * static_cast<long double>(p.sizes.keys + p.sizes.queries);
  return (steps * largest + 10 * p.options.softcap + 64) * u;
}

// Against the formula in long double, with what the rounding of the logits allows.
void ExpectExact(const Problem& p, const std::vector<Logits>& logits, const Result& result) {
  const smx_attention& n = p.sizes;
  for (size_t r = 0; r < logits.size(); r++) {
    const size_t q = r % n.queries, b = r / n.queries / n.heads;
    const std::vector<long double>& exact = logits[r].exact;
    if (exact.empty()) continue;
    const long double max = *std::max_element(exact.begin(), exact.end());
    if (max == -INFINITY) continue;
    long double sum = 0.0L, error = 0.0L;
    for (const long double s : exact) {
      sum += expl(s - max);
      if (s > max - 110) error = std::max(error, LogitError(p, s));
    }
    for (size_t k = 0, i = 0; k < n.keys; k++) {
      if (!p.Sees(b, q, k)) continue;
      const long double y = expl(exact[i++] - max) / sum;
      const float actual = result.rows[r][k];
      if (y < 4 * FLT_MIN) continue;  // or flushed
      if (p.options.output_type == smx_datatype_f32) {
        ASSERT_LE(fabsl(actual - y), y * (kSoftmaxUlps * 0x1p-23L + expm1l(3 * error)))
            << p << ", row " << r << ", key " << k;
      } else {
        const auto ordinal = [&](long double value) {
          const smx_datatype type = p.options.output_type;
          return OrdinalOf(type, RoundedTo(type, static_cast<float>(value)));
        };
        const int64_t steps = OrdinalOf(p.options.output_type, actual);
        ASSERT_GE(steps, ordinal(y * expl(-3 * error)) - 1) << p << ", row " << r << ", key " << k;
        ASSERT_LE(steps, ordinal(y * expl(3 * error)) + 1) << p << ", row " << r << ", key " << k;
      }
    }
  }
}
// Every option with every other: the bits of every instruction set and of threads, and the formula.
TEST(AttentionSoftmax, OptionsAtRandomGiveTheBitsOfSoftmaxOnTheLogits) {
  const uint64_t problems = RunsSparseTests() ? 150 : 3000;
  for (uint64_t seed = 1; seed <= problems; seed++) {
    SplitMix64 random(seed);
    Problem p = DrawProblem(&random);
    p.seed = seed;
    UseIsa("scalar");
    const std::vector<Logits> logits = LogitsOf(p);
    const Result expected = Expected(p, logits);
    ExpectExact(p, logits, expected);
    Setting setting;
    setting.edge = seed % 2 == 0 ? GuardedEdge::kEnd : GuardedEdge::kBeginning;
    setting.threads = seed % 3 == 0 ? 3 : 0;
    setting.task_elements = 1;
    for (const std::string& isa : AvailableIsas()) {
      setting.isa = isa;
      ExpectResult(p, setting, expected);
      if (HasFatalFailure()) return;
    }
  }
}

class AttentionRows : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(, AttentionRows, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

Problem ProblemOf(size_t batch, size_t heads, size_t queries, size_t keys) {
  Problem p;
  p.sizes.batch_size = batch;
  p.sizes.heads = heads;
  p.sizes.queries = queries;
  p.sizes.keys = keys;
  SplitMix64 random(3);
  p.input_strides = p.output_strides = p.mask_strides = DenseStrides(p.sizes, &random);
  return p;
}

void ExpectExpected(const Problem& p, const std::string& isa, size_t streamed_bytes = 0,
                    size_t task_elements = 0) {
  UseIsa("scalar");
  const Result expected = Expected(p, LogitsOf(p));
  for (const size_t threads : {0, 2}) {
    Setting setting;
    setting.isa = isa;
    setting.threads = threads;
    setting.streamed_bytes = streamed_bytes;
    setting.task_elements = task_elements;
    ExpectResult(p, setting, expected);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Rows of several tiles, in place and not, alone, over threads, and with a sink in a tile of its own.
TEST_P(AttentionRows, OfManyTilesAreRightOverThreads) {
  const size_t tiles = RunsSparseTests() ? 2 : 5;
  for (const size_t keys :
       {size_t{SMX_TILE} - 1, size_t{SMX_TILE}, tiles * SMX_TILE, tiles * SMX_TILE + 100}) {
    for (const smx_datatype mask : {smx_datatype{}, smx_datatype_f32, smx_datatype_bool}) {
      for (const smx_datatype type : {smx_datatype_f32, smx_datatype_bf16}) {
        Problem p = ProblemOf(1, 1, 1, keys);
        p.options.input_type = p.options.output_type = type;
        p.options.mask_type = mask;
        p.scale = 0.25f;
        p.wants_logsumexp = true;
        ExpectExpected(p, GetParam());
        p.in_place = true;
        ExpectExpected(p, GetParam());
        p.sinks = {1.5f};
        ExpectExpected(p, GetParam());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Hostile rows: NaN, infinities, and those whose maximum is out of the kernels' range.
TEST_P(AttentionRows, OfEveryFamilyAreRight) {
  for (const RowFamily& family : AllRows()) {
    for (const size_t keys : {3, 5, 40, 300, 1500}) {
      Problem p = ProblemOf(1, 2, 5, keys);
      p.family = family.name;
      p.options.mask_type = smx_datatype_f32;
      p.flags = SMX_FLAG_CAUSAL | SMX_FLAG_MASKED_ROWS_TO_ZERO;
      ExpectExpected(p, GetParam());
      p.flags = SMX_FLAG_MASKED_ROWS_TO_ZERO;
      ExpectExpected(p, GetParam());
      p.options.mask_type = smx_datatype{};
      p.in_place = true;
      ExpectExpected(p, GetParam());
      p.sinks = {-1.0f, 2.0f};
      p.wants_logsumexp = true;
      ExpectExpected(p, GetParam());
      if (HasFatalFailure()) return;
    }
  }
}

// Kernels take elements, masks and results where they are: of all queries of a head, or of the heads that have one each.
TEST_P(AttentionRows, UnderAMaskAreTakenInPlaceWithAnyStrides) {
  for (uint64_t seed = 0; seed < (RunsSparseTests() ? 12u : 60u); seed++) {
    SplitMix64 random(seed);
    for (const size_t keys : {7, 33, 100, 1024, 1100}) {
      Problem p = ProblemOf(2, 3, seed % 3 == 0 ? 1 : 20, keys);
      p.seed = seed;
      p.scale = OneOf(&random, {1.0f, 0.125f, -0.7f});
      p.flags = random.Below(8);
      p.input_strides = DenseStrides(p.sizes, &random);
      p.output_strides = DenseStrides(p.sizes, &random);
      p.options.mask_type = OneOf(
          &random, {smx_datatype{}, smx_datatype_f32, smx_datatype_f32, smx_datatype_f16, smx_datatype_bool});
      p.mask_strides = DenseStrides(p.sizes, &random);
      if (random.Below(2) == 0) p.mask_strides.head = 0;
      if (random.Below(3) == 0) p.mask_strides.query = 0;
      if (random.Below(2) == 0) p.key_lengths = {keys / 2 + 1, keys};
      p.in_place = random.Below(4) == 0;
      ExpectExpected(p, GetParam(), seed % 2);
      if (HasFatalFailure()) return;
    }
  }
}

// Heads and batch entries that follow one another without a gap, and what differs from one to the next.
TEST_P(AttentionRows, OfHeadsAndBatchEntriesThatFollowOneAnother) {
  for (uint64_t seed = 0; seed < (RunsSparseTests() ? 60u : 500u); seed++) {
    SplitMix64 random(seed);
    const size_t batch = 1 + random.Below(3), heads = 1 + random.Below(3);
    const size_t queries = OneOf<size_t>(&random, {1, 1, 5, 16, 48}),
                 keys = OneOf<size_t>(&random, {7, 33, 60});
    Problem p = ProblemOf(batch, heads, queries, keys);
    p.seed = seed;
    p.input_strides = p.output_strides = p.mask_strides = {heads * queries * keys, queries * keys, keys, 1};
    p.options.mask_type = OneOf(
        &random, {smx_datatype{}, smx_datatype_f32, smx_datatype_f32, smx_datatype_f32, smx_datatype_bool});
    p.mask_strides.head = OneOf<size_t>(&random, {0, 0, queries * keys, queries * keys + 5});
    p.mask_strides.batch = OneOf<size_t>(&random, {0, 0, heads * queries * keys, 3});
    if (random.Below(4) == 0) p.mask_strides.query = 0;
    const uint32_t difference = random.Below(8);
    if (difference < 3) p.flags = SMX_FLAG_CAUSAL;
    if (difference == 2) p.first_positions = {1, 4, -1};
    if (difference == 3) p.slopes = {0.5f, 0.25f, 0.125f};
    if (difference == 4) p.sinks = {0.5f, -1.0f, 2.0f};
    if (difference == 5) p.key_lengths = {keys, keys / 2, 3};
    p.slopes.resize(std::min(p.slopes.size(), heads));
    p.sinks.resize(std::min(p.sinks.size(), heads));
    p.key_lengths.resize(std::min(p.key_lengths.size(), batch));
    p.first_positions.resize(std::min(p.first_positions.size(), batch));
    ExpectExpected(p, GetParam());
    if (HasFatalFailure()) return;
  }
}

// Masks that heads and batch entries share, or have each of their own.
TEST_P(AttentionRows, UnderMasksThatAreShared) {
  for (const size_t batch : {1, 2}) {
    for (const size_t heads : {1, 3}) {
      for (const size_t queries : {16, 20, 48, 112}) {
        if (queries == 112 && (batch != 1 || heads == 1)) continue;  // more than a buffer holds
        const size_t keys = queries == 112 ? 40 : queries == 48 ? 33 : 7;
        Problem p = ProblemOf(batch, heads, queries, keys);
        p.input_strides = p.output_strides = {heads * queries * keys, queries * keys, keys, 1};
        for (const size_t head : {size_t{0}, queries * keys, queries * keys + 5}) {
          for (const size_t entry : {size_t{0}, heads * queries * keys, size_t{3}}) {
            p.mask_strides = {entry, head, keys, 1};
            for (const smx_datatype mask : {smx_datatype_f32, smx_datatype_bf16, smx_datatype_bool}) {
              if (mask != smx_datatype_f32 && head != 0) continue;
              p.options.mask_type = mask;
              p.options.output_type = entry == 0 ? smx_datatype_f32 : smx_datatype_bf16;
              ExpectExpected(p, GetParam(), 0, 20 * keys);  // tasks that begin at any query
            }
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// Causal queries of few keys, of heads and batch entries that follow one another: each begins anew.
TEST_P(AttentionRows, ThatGrowAnewWithEveryHead) {
  const struct { size_t queries, keys; } sizes[] = {{5, 5}, {16, 16}, {4, 20}, {32, 32}, {30, 40}};
  for (const auto& size : sizes) {
    const size_t elements = size.queries * size.keys;
    for (const size_t heads : {1, 3}) {
      for (const smx_datatype mask :
           {smx_datatype{}, smx_datatype_f32, smx_datatype_bf16, smx_datatype_bool}) {
        for (const size_t mask_head : {size_t{0}, elements}) {
          Problem p = ProblemOf(2, heads, size.queries, size.keys);
          p.flags = SMX_FLAG_CAUSAL;
          p.scale = 0.37f;
          p.input_strides = p.output_strides = {heads * elements, elements, size.keys, 1};
          p.options.mask_type = mask;
          p.mask_strides = {0, mask_head, size.keys, 1};
          p.in_place = mask == smx_datatype_bf16;
          const size_t task_elements = 7 * size.keys;  // tasks that begin at any query
          ExpectExpected(p, GetParam(), 0, task_elements);
          p.options.softcap = 5.0f;
          ExpectExpected(p, GetParam(), 0, task_elements);
          p.options.output_type = p.in_place ? smx_datatype_f32 : smx_datatype_bf16;
          p.family = "one_nan";
          p.key_lengths = {size.keys - 1, size.keys};
          ExpectExpected(p, GetParam(), 0, task_elements);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// Whose results, and zeros behind them, are written past the caches.
TEST_P(AttentionRows, OfCausalQueriesWithSinksAreAligned) {
  for (const size_t keys : {112, 1008}) {
    for (const size_t queries : {size_t{1}, size_t{40}, keys}) {
      Problem p = ProblemOf(1, 3, std::min<size_t>(queries, RunsSparseTests() ? 40 : keys), keys);
      const size_t elements = p.sizes.queries * keys;
      p.input_strides = p.output_strides = {3 * elements, elements, keys, 1};
      p.flags = SMX_FLAG_CAUSAL;
      p.scale = 0.37f;
      p.sinks = {0.5f, -1.0f, 2.0f};
      ExpectExpected(p, GetParam(), 1);
      if (HasFatalFailure()) return;
    }
  }
}

// Queries of more than a block of keys, each of which sees more, fewer or others than the one before, up to and beyond the next block.
TEST_P(AttentionRows, ThatGrowShrinkAndMoveOverSeveralBlocks) {
  for (const size_t block : {1, 2, 3}) {
    const size_t keys = block * SMX_BLOCK + 40;
    for (const size_t window : {size_t{0}, keys - 25, keys - 9, SMX_BLOCK + size_t{30}}) {
      for (const int64_t first : {int64_t{-10}, int64_t{900}, static_cast<int64_t>(keys) - 60}) {
        for (const uint32_t flags : {0u, static_cast<uint32_t>(SMX_FLAG_CAUSAL)}) {
          Problem p = ProblemOf(1, 1, 60, keys);
          p.options.window = window;
          p.first_positions = {first};
          p.flags = flags;
          p.options.mask_type = (window + block) % 2 == 0 ? smx_datatype_f32 : smx_datatype{};
          ExpectExpected(p, GetParam());
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// Keys that are not seen need not be there.
TEST_P(AttentionRows, EndWithTheSeenKeys) {
  constexpr size_t kKeys = 1000, kSeen = 613;
  const std::vector<float> row = NormalRow(kSeen, 4.0f, 5);
  const GuardedBuffer<float> x(row);
  const GuardedBuffer<uint8_t> mask(std::vector<uint8_t>(kSeen, 1));
  GuardedBuffer<float> y(kSeen);
  const size_t lengths[] = {kSeen};
  smx_attention attention = ProblemOf(1, 1, 1, kKeys).sizes;
  attention.input_strides = attention.output_strides = attention.mask_strides = {kKeys, kKeys, kKeys, 1};
  attention.input = x.data();
  attention.output = y.data();
  attention.mask = mask.data();
  attention.key_lengths = lengths;
  const smx_attention_options options = {smx_datatype_f32, smx_datatype_f32, smx_datatype_bool, 0.0f, 0};
  UseIsa(GetParam());
  RunOnce([&](smx_operator_t* op) { return smx_create_attention_softmax(&options, SMX_FLAG_CAUSAL, op); },
          [&](smx_operator_t op) { return smx_setup_attention_softmax(op, &attention); }, nullptr);
  EXPECT_TRUE(SameBits({y.begin(), y.end()}, RunRows(RowsRun(), {row})[0]));
  EXPECT_TRUE(y.SurroundingsAreIntact());
}

// A decoding step has the bits of the whole sequence at once.
TEST_P(AttentionRows, OfAStepAreThoseOfTheSequence) {
  Problem p = ProblemOf(1, 3, 70, 70);
  p.flags = SMX_FLAG_CAUSAL;
  p.scale = 0.125f;
  p.slopes = {0.5f, 0.25f, 0.125f};
  Setting setting;
  setting.isa = GetParam();
  const Result whole = Compute(p, setting);
  UseIsa(GetParam());
  const std::vector<Logits> logits = LogitsOf(p);
  for (size_t r = 0; r < whole.rows.size(); r++) {
    const size_t seen = r % 70 + 1;
    const std::vector<float> step = RunRows(RunOf(p), {logits[r].rounded})[0];
    ASSERT_TRUE(
        SameBits({whole.rows[r].begin(), whole.rows[r].begin() + static_cast<ptrdiff_t>(seen)}, step));
  }
}

class AttentionStatus : public testing::Test {
 protected:
  AttentionStatus() {
    UseIsa("scalar");
    attention_ = ProblemOf(2, 2, 3, 4).sizes;
    attention_.input_strides = attention_.output_strides = attention_.mask_strides = {24, 12, 4, 1};
    attention_.input = x_;
    attention_.output = y_;
  }
  ~AttentionStatus() override { smx_delete_operator(op_); }

  smx_status Create(const smx_attention_options& options, uint32_t flags = 0) {
    smx_delete_operator(op_);
    op_ = reinterpret_cast<smx_operator_t>(1);
    const smx_status status = smx_create_attention_softmax(&options, flags, &op_);
    EXPECT_EQ(status == smx_status_success, op_ != nullptr);
    return status;
  }
  void ExpectInvalid(const smx_attention& attention) {
    log_.Clear();
    EXPECT_EQ(smx_setup_attention_softmax(op_, &attention), smx_status_invalid_parameter);
    EXPECT_EQ(log_.messages().size(), 1u) << log_;
  }
  template <class Change>
  void ExpectInvalidAfter(const Change& change) {
    smx_attention attention = attention_;
    change(&attention);
    ExpectInvalid(attention);
  }

  static constexpr smx_attention_options kPlain = {smx_datatype_f32, smx_datatype_f32, smx_datatype{}, 0.0f,
                                                   0};
  LogRecorder log_{smx_log_level_error};
  smx_operator_t op_ = nullptr;
  smx_attention attention_;
  alignas(16) float x_[64] = {};
  alignas(16) float y_[64] = {};
};

TEST_F(AttentionStatus, OptionsThatMakeNoSenseAreInvalid) {
  smx_attention_options options = kPlain;
  for (const float softcap : {-1.0f, INFINITY, NAN}) {
    options.softcap = softcap;
    EXPECT_EQ(Create(options), smx_status_invalid_parameter) << softcap;
  }
  options.softcap = FLT_MIN / 2;
  EXPECT_EQ(Create(options), smx_status_success) << "0";
  EXPECT_EQ(Create(kPlain, 8), smx_status_invalid_parameter);
  EXPECT_EQ(smx_create_attention_softmax(&kPlain, 0, nullptr), smx_status_invalid_parameter);
  EXPECT_EQ(smx_create_attention_softmax(nullptr, 0, &op_), smx_status_invalid_parameter);
  EXPECT_EQ(op_, nullptr);
}

TEST_F(AttentionStatus, OtherTypesAreUnsupported) {
  for (const smx_datatype type : {smx_datatype{}, smx_datatype_qu8, smx_datatype_qs8, smx_datatype_bool,
                                  static_cast<smx_datatype>(7)}) {
    smx_attention_options options = kPlain;
    options.input_type = type;
    EXPECT_EQ(Create(options), smx_status_unsupported_parameter) << type;
    options = kPlain;
    options.output_type = type;
    EXPECT_EQ(Create(options), smx_status_unsupported_parameter) << type;
    if (type == 0 || type == smx_datatype_bool) continue;
    options = kPlain;
    options.mask_type = type;
    EXPECT_EQ(Create(options), smx_status_unsupported_parameter) << type;
  }
}

TEST_F(AttentionStatus, SetupsThatMakeNoSenseAreInvalid) {
  ASSERT_EQ(Create(kPlain), smx_status_success);
  ExpectInvalidAfter([](smx_attention* a) { a->input_strides.key = 2; });
  ExpectInvalidAfter([](smx_attention* a) { a->output_strides.key = 0; });
  ExpectInvalidAfter([](smx_attention* a) { a->output_strides.query = 3; });
  ExpectInvalidAfter([](smx_attention* a) { a->output_strides.head = 11; });
  ExpectInvalidAfter([](smx_attention* a) { a->output_strides.batch = 0; });
  ExpectInvalidAfter([](smx_attention* a) { a->input = nullptr; });
  ExpectInvalidAfter([](smx_attention* a) { a->output = nullptr; });
  ExpectInvalidAfter([](smx_attention* a) { a->output = static_cast<char*>(a->output) + 1; });
  ExpectInvalidAfter([](smx_attention* a) { a->input = static_cast<const char*>(a->input) + 2; });
  ExpectInvalidAfter([this](smx_attention* a) { a->output = x_ + 1; });
  ExpectInvalidAfter([this](smx_attention* a) { a->output = x_, a->output_strides = {24, 4, 8, 1}; });
  ExpectInvalidAfter([this](smx_attention* a) { a->mask = x_; });
  ExpectInvalidAfter([this](smx_attention* a) { a->sinks = y_ + 2; });
  ExpectInvalidAfter([this](smx_attention* a) { a->slopes = y_; });
  ExpectInvalidAfter([this](smx_attention* a) { a->logsumexp = x_; });
  ExpectInvalidAfter([this](smx_attention* a) { a->key_lengths = reinterpret_cast<size_t*>(y_); });
  ExpectInvalidAfter([](smx_attention* a) { a->heads = SIZE_MAX / 2, a->output_strides.head = 12; });
  ExpectInvalidAfter([](smx_attention* a) { a->keys = SIZE_MAX / 2; });
  EXPECT_EQ(smx_setup_attention_softmax(op_, nullptr), smx_status_invalid_parameter);
  EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_invalid_state) << "no setup has succeeded";
  EXPECT_EQ(smx_setup_attention_softmax(op_, &attention_), smx_status_success);
  ExpectInvalidAfter([](smx_attention* a) { a->input = nullptr; });
  EXPECT_EQ(smx_run_operator(op_, nullptr), smx_status_success) << "the operator is as it was";
  EXPECT_EQ(y_[0], 0.25f);
}

TEST_F(AttentionStatus, MasksAreThereWhereTheirTypeIs) {
  smx_attention_options options = kPlain;
  options.mask_type = smx_datatype_f16;
  ASSERT_EQ(Create(options), smx_status_success);
  ExpectInvalid(attention_);
  attention_.mask = reinterpret_cast<char*>(x_) + 1;
  ExpectInvalid(attention_);
  attention_.mask = x_;
  EXPECT_EQ(smx_setup_attention_softmax(op_, &attention_), smx_status_success);
  attention_.mask_strides = {0, 0, 0, 0};
  EXPECT_EQ(smx_setup_attention_softmax(op_, &attention_), smx_status_success);
  attention_.mask_strides.key = 2;
  ExpectInvalid(attention_);
}

TEST_F(AttentionStatus, NothingIsTouchedWhereThereIsNothing) {
  ASSERT_EQ(Create(kPlain), smx_status_success);
  smx_attention nothing = {};
  EXPECT_EQ(smx_setup_attention_softmax(op_, &nothing), smx_status_success);
  EXPECT_EQ(smx_run_operator(op_, Pool(2)), smx_status_success);
  smx_plan plan;
  EXPECT_EQ(smx_get_plan(op_, 2, &plan), smx_status_success);
}

TEST_F(AttentionStatus, ScalesHaveToLeaveTheQuotientFinite) {
  smx_attention_options options = kPlain;
  options.softcap = 0x1p-100f;
  ASSERT_EQ(Create(options), smx_status_success);
  EXPECT_EQ(smx_set_scale(op_, 0x1p+100f), smx_status_invalid_parameter);
  EXPECT_EQ(smx_set_scale(op_, 0x1p+20f), smx_status_success);
}

TEST_F(AttentionStatus, PlansAreTold) {
  ASSERT_EQ(Create(kPlain), smx_status_success);
  ASSERT_EQ(smx_setup_attention_softmax(op_, &attention_), smx_status_success);
  smx_plan plan;
  ASSERT_EQ(smx_get_plan(op_, 1, &plan), smx_status_success);
  EXPECT_STREQ(plan.algorithm, "rows-as-lanes");
}

}  // namespace
}  // namespace smx::attention
