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
#include "src/runtime/fp_environment.h"
#include "test/elements.h"
#include "test/extent.h"
#include "test/guarded_buffer.h"
#include "test/isas.h"
#include "test/log_recorder.h"
#include "test/rows.h"
#include "test/rows_operator.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx {
namespace {

constexpr unsigned char kGap = 0xA5;

// The elements of a tensor with strides.
class Tensor {
 public:
  Tensor(smx_datatype type, const smx_attention& sizes, const smx_attention_strides& strides, size_t keys,
         GuardedEdge edge)
      : type_(type),
        strides_(strides),
        memory_(((sizes.batch_size - 1) * strides.batch + (sizes.heads - 1) * strides.head +
                 (sizes.queries - 1) * strides.query + (keys - 1) * strides.key + 1) *
                    Bytes(),
                edge, 0) {
    std::fill(memory_.begin(), memory_.end(), kGap);
  }

  float Get(size_t b, size_t h, size_t q, size_t k) {
    const unsigned char* at = At(b, h, q, k);
    return type_ == smx_datatype_bool ? static_cast<float>(*at) : ReadElement(type_, at);
  }
  void Set(size_t b, size_t h, size_t q, size_t k, float value) {
    unsigned char* at = At(b, h, q, k);
    if (type_ == smx_datatype_bool) {
      *at = static_cast<unsigned char>(value);
    } else {
      WriteElement(type_, value, at);
    }
  }
  bool IsUntouched(size_t b, size_t h, size_t q, size_t k) {
    const unsigned char* at = At(b, h, q, k);
    return std::all_of(at, at + Bytes(), [](unsigned char byte) { return byte == kGap; });
  }
  void Forget(size_t b, size_t h, size_t q, size_t k) { std::fill_n(At(b, h, q, k), Bytes(), kGap); }

  bool IsBlank() const {
    return memory_.SurroundingsAreIntact() &&
           std::all_of(memory_.begin(), memory_.end(), [](unsigned char byte) { return byte == kGap; });
  }
  std::vector<unsigned char> Contents() const { return {memory_.begin(), memory_.end()}; }
  bool SurroundingsAreIntact() const { return memory_.SurroundingsAreIntact(); }
  const smx_attention_strides& strides() const { return strides_; }
  void* data() { return memory_.data(); }

 private:
  size_t Bytes() const { return type_ == smx_datatype_bool ? 1 : BytesOf(type_); }
  unsigned char* At(size_t b, size_t h, size_t q, size_t k) {
    return memory_.data() +
           (b * strides_.batch + h * strides_.head + q * strides_.query + k * strides_.key) * Bytes();
  }

  smx_datatype type_;
  smx_attention_strides strides_;
  GuardedBuffer<unsigned char> memory_;
};

// A drawn problem, and what the manual says of it.
struct Problem {
  smx_attention_options options = {smx_datatype_f32, smx_datatype_f32, smx_datatype{}, 0.0f, 0};
  uint32_t flags = 0;
  float scale = 1.0f;
  smx_attention sizes = {};  // batch_size, heads, queries, keys
  smx_attention_strides input_strides = {}, output_strides = {}, mask_strides = {};
  bool in_place = false;
  bool wants_logsumexp = false;
  std::vector<float> slopes, sinks;
  std::vector<size_t> key_lengths;
  std::vector<int64_t> first_positions;
  std::string family = "normal_4";
  uint64_t seed = 1;

  bool causal() const { return (flags & SMX_FLAG_CAUSAL) != 0; }
  bool adds() const {
    return options.softcap != 0.0f || options.mask_type != 0 || !slopes.empty() || !sinks.empty();
  }
  size_t length(size_t b) const {
    return key_lengths.empty() ? sizes.keys : std::min(key_lengths[b], sizes.keys);
  }
  int64_t position(size_t b, size_t q) const {
    const int64_t first = first_positions.empty()
                              ? static_cast<int64_t>(length(b)) - static_cast<int64_t>(sizes.queries)
                              : first_positions[b];
    return first + static_cast<int64_t>(q);
  }
  bool Sees(size_t b, size_t q, size_t k) const {
    const int64_t distance = static_cast<int64_t>(k) - position(b, q);
    if (k >= length(b) || (causal() && distance > 0)) return false;
    return options.window == 0 || std::abs(distance) < static_cast<int64_t>(options.window);
  }
};

std::ostream& operator<<(std::ostream& out, const Problem& p) {
  return out << p.family << ", types " << p.options.input_type << " to " << p.options.output_type << ", mask "
             << p.options.mask_type << ", softcap " << p.options.softcap << ", window " << p.options.window
             << ", flags " << p.flags << ", scale " << p.scale << ", " << p.sizes.batch_size << " x "
             << p.sizes.heads << " x " << p.sizes.queries << " x " << p.sizes.keys << ", mask strides "
             << p.mask_strides.batch << " " << p.mask_strides.head << " " << p.mask_strides.query << " "
             << p.mask_strides.key << (p.in_place ? ", in place" : "") << (p.slopes.empty() ? "" : ", slopes")
             << (p.sinks.empty() ? "" : ", sinks") << (p.key_lengths.empty() ? "" : ", lengths")
             << (p.first_positions.empty() ? "" : ", positions") << (p.wants_logsumexp ? ", logsumexp" : "")
             << ", seed " << p.seed;
}

struct Setting {
  std::string isa = "scalar";
  size_t threads = 0;
  size_t task_elements = 0;
  GuardedEdge edge = GuardedEdge::kEnd;
};

float MaskElement(smx_datatype type, SplitMix64* random) {
  if (type == smx_datatype_bool)
    return static_cast<float>(random->Below(3) != 0 ? 1 + random->Below(255) : 0);
  const uint32_t kind = random->Below(8);
  if (kind == 0) return -INFINITY;
  if (kind == 1) return type == smx_datatype_f16 ? -65504.0f : -1e9f;
  return RoundedTo(type, 3.0f * random->Normal());
}

// Elements that the problem draws; NaN where no query that reads the element sees the key.
void Draw(const Problem& p, Tensor* x, Tensor* mask) {
  SplitMix64 random(p.seed);
  const smx_attention& n = p.sizes;
  for (size_t b = 0; b < n.batch_size; b++) {
    for (size_t h = 0; h < n.heads; h++) {
      for (size_t q = 0; q < n.queries; q++) {
        const std::vector<float> row = MakeRow(p.family, n.keys, random.Next());
        for (size_t k = 0; k < n.keys; k++) {
          const bool sees = p.Sees(b, q, k);
          x->Set(b, h, q, k, sees ? RoundedTo(p.options.input_type, row[k]) : NAN);
          if (mask != nullptr) mask->Set(b, h, q, k, MaskElement(p.options.mask_type, &random));
        }
      }
    }
  }
  if (mask == nullptr || p.options.mask_type != smx_datatype_bool) return;
  // What a boolean leaves out may be NaN.
  for (size_t b = 0; b < n.batch_size; b++) {
    for (size_t h = 0; h < n.heads; h++) {
      for (size_t q = 0; q < n.queries; q++) {
        for (size_t k = 0; k < n.keys; k++) {
          if (mask->Get(b, h, q, k) == 0.0f && random.Below(2) == 0) x->Set(b, h, q, k, NAN);
        }
      }
    }
  }
}

// cap * tanh(ratio * x), whose bits are those of one kernel; its errors are the matter of f32_microkernels_test.
float SoftCapped(float x, float scale, float cap) {
  const smx_fp_environment environment;
  float y;
  ScalarMicrokernel("f32_vsoftcap").As<smx_f32_vsoftcap_ukernel_fn>()(1, &x, &y, scale / cap, cap);
  return y;
}

// A logit as the library rounds it, and exactly.
struct Logit {
  float rounded;
  long double exact;
};

// Whether the scale is a matter of the exponential, and its product with an element is not rounded.
bool IsScaleExact(const Problem& p) {
  return !p.adds() && p.scale >= SMX_SMALLEST_SCALE && p.scale <= SMX_LARGEST_SCALE;
}

Logit LogitOf(const Problem& p, float x, float mask, float slope, int64_t distance) {
  const bool is_out =
      p.options.mask_type == smx_datatype_bool ? mask == 0.0f : p.options.mask_type != 0 && mask == -INFINITY;
  if (is_out) return {-INFINITY, -INFINITY};
  const long double cap = p.options.softcap;
  Logit logit = {x, static_cast<long double>(p.scale) * x};
  float scale = p.scale;
  if (cap != 0.0L) {
    logit = {SoftCapped(x, p.scale, p.options.softcap), cap * tanhl(logit.exact / cap)};
    scale = 1.0f;
  }
  if (!p.slopes.empty()) {
    const float d = static_cast<float>(std::abs(distance));
    logit.rounded = std::fma(scale, logit.rounded, -(slope * d));
    logit.exact -= static_cast<long double>(slope) * d;
    scale = 1.0f;
  }
  if (p.options.mask_type != 0) {
    const float added = p.options.mask_type == smx_datatype_bool ? 0.0f : mask;
    logit.rounded = std::fma(scale, logit.rounded, added);
    logit.exact += added;
  } else if (!IsScaleExact(p)) {
    logit.rounded *= scale;
  }
  return logit;
}

struct Result {
  std::vector<std::vector<float>> rows;  // of all keys
  std::vector<float> logsumexp;
};

// Runs the problem, and checks what is touched. Padding that is not written counts as 0.
Result Compute(const Problem& p, const Setting& setting) {
  const smx_attention& n = p.sizes;
  Tensor x(p.options.input_type, n, p.input_strides, n.keys, setting.edge);
  Tensor other(p.options.output_type, n, p.output_strides, n.keys, setting.edge);
  Tensor& y = p.in_place ? x : other;
  const bool has_mask = p.options.mask_type != 0;
  Tensor mask(has_mask ? p.options.mask_type : smx_datatype_bool, n, p.mask_strides, n.keys, setting.edge);
  Draw(p, &x, has_mask ? &mask : nullptr);
  const std::vector<unsigned char> x_before = x.Contents();
  const size_t rows = n.batch_size * n.heads * n.queries;
  GuardedBuffer<float> logsumexp(rows, setting.edge);
  GuardedBuffer<float> slopes(p.slopes, setting.edge), sinks(p.sinks, setting.edge);

  smx_attention attention = n;
  attention.input_strides = p.input_strides;
  attention.output_strides = p.in_place ? p.input_strides : p.output_strides;
  attention.mask_strides = p.mask_strides;
  attention.input = x.data();
  attention.output = y.data();
  attention.mask = has_mask ? mask.data() : nullptr;
  attention.slopes = p.slopes.empty() ? nullptr : slopes.data();
  attention.sinks = p.sinks.empty() ? nullptr : sinks.data();
  attention.key_lengths = p.key_lengths.empty() ? nullptr : p.key_lengths.data();
  attention.first_positions = p.first_positions.empty() ? nullptr : p.first_positions.data();
  attention.logsumexp = p.wants_logsumexp ? logsumexp.data() : nullptr;

  UseIsa(setting.isa);
  smx_thresholds thresholds;
  EXPECT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
  if (setting.task_elements != 0) thresholds.task_elements = setting.task_elements;
  EXPECT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  RunOnce([&](smx_operator_t* op) { return smx_create_attention_softmax(&p.options, p.flags, op); },
          [&](smx_operator_t op) {
            EXPECT_EQ(smx_set_scale(op, p.scale), smx_status_success);
            return smx_setup_attention_softmax(op, &attention);
          },
          Pool(setting.threads));

  Result result;
  for (size_t r = 0; r < rows; r++) {
    const size_t q = r % n.queries, h = r / n.queries % n.heads, b = r / n.queries / n.heads;
    std::vector<float> row(n.keys, 0.0f);
    for (size_t k = 0; k < n.keys; k++) {
      const bool is_written = k < p.length(b) || (p.flags & SMX_FLAG_PADDING_TO_ZERO) != 0;
      if (is_written) {
        row[k] = y.Get(b, h, q, k);
      } else if (!p.in_place) {
        EXPECT_TRUE(y.IsUntouched(b, h, q, k)) << "padding " << k;
      }
      y.Forget(b, h, q, k);
    }
    result.rows.push_back(row);
  }
  if (p.in_place) {
    EXPECT_TRUE(x.IsBlank()) << "gaps";
  } else {
    EXPECT_EQ(x.Contents(), x_before) << "the input was written";
    EXPECT_TRUE(other.IsBlank()) << "gaps";
  }
  EXPECT_TRUE(x.SurroundingsAreIntact() && logsumexp.SurroundingsAreIntact());
  if (p.wants_logsumexp) result.logsumexp.assign(logsumexp.begin(), logsumexp.end());
  return result;
}

// A row's logits, of the keys that are seen.
struct Logits {
  std::vector<float> rounded;
  std::vector<long double> exact;
};

std::vector<Logits> LogitsOf(const Problem& p) {
  const smx_attention& n = p.sizes;
  Tensor x(p.options.input_type, n, p.input_strides, n.keys, GuardedEdge::kEnd);
  const bool has_mask = p.options.mask_type != 0;
  Tensor mask(has_mask ? p.options.mask_type : smx_datatype_bool, n, p.mask_strides, n.keys,
              GuardedEdge::kEnd);
  Draw(p, &x, has_mask ? &mask : nullptr);
  std::vector<Logits> logits(n.batch_size * n.heads * n.queries);
  for (size_t r = 0; r < logits.size(); r++) {
    const size_t q = r % n.queries, h = r / n.queries % n.heads, b = r / n.queries / n.heads;
    for (size_t k = 0; k < n.keys; k++) {
      if (!p.Sees(b, q, k)) continue;
      const Logit logit =
          LogitOf(p, x.Get(b, h, q, k), has_mask ? mask.Get(b, h, q, k) : 0.0f,
                  p.slopes.empty() ? 0.0f : p.slopes[h], static_cast<int64_t>(k) - p.position(b, q));
      logits[r].rounded.push_back(logit.rounded);
      logits[r].exact.push_back(logit.exact);
    }
    if (!p.sinks.empty()) {
      logits[r].rounded.push_back(p.sinks[h]);
      logits[r].exact.push_back(p.sinks[h]);
    }
  }
  return logits;
}

RowsRun RunOf(const Problem& p) {
  RowsRun run;
  run.flags = p.flags & SMX_FLAG_MASKED_ROWS_TO_ZERO;
  run.scale = IsScaleExact(p) ? p.scale : 1.0f;
  return run;
}

// The rows by smx_create_softmax_nc and smx_create_logsumexp_nc with the scalar kernels.
Result Expected(const Problem& p, const std::vector<Logits>& logits) {
  const smx_attention& n = p.sizes;
  Result result;
  for (size_t r = 0; r < logits.size(); r++) {
    const size_t q = r % n.queries, b = r / n.queries / n.heads;
    const std::vector<float>& seen = logits[r].rounded;
    RowsRun run = RunOf(p);
    std::vector<float> row(n.keys, 0.0f);
    if (seen.empty()) {
      std::fill_n(row.begin(), p.length(b), run.flags != 0 ? 0.0f : NAN);
      result.logsumexp.push_back(-INFINITY);
    } else {
      const std::vector<float> softmax = RunRows(run, {seen})[0];
      for (size_t k = 0, i = 0; k < n.keys; k++) {
        if (p.Sees(b, q, k)) row[k] = RoundedTo(p.options.output_type, softmax[i++]);
      }
      run.flags = 0;
      run.function = RowsFunction::kLogSumExp;
      result.logsumexp.push_back(RunRows(run, {seen})[0][0]);
    }
    result.rows.push_back(row);
  }
  return result;
}

void ExpectResult(const Problem& p, const Setting& setting, const Result& expected) {
  SCOPED_TRACE(testing::Message() << setting.isa << ", " << setting.threads << " threads, " << p);
  const Result actual = Compute(p, setting);
  for (size_t r = 0; r < expected.rows.size(); r++) {
    ASSERT_TRUE(SameBits(actual.rows[r], expected.rows[r])) << "row " << r;
  }
  if (p.wants_logsumexp) {
    ASSERT_TRUE(SameBits(actual.logsumexp, expected.logsumexp)) << "logsumexp";
  }
}

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

// Strides of a dense tensor with gaps, with queries or heads further out.
smx_attention_strides DenseStrides(const smx_attention& n, SplitMix64* random) {
  const size_t row = n.keys + random->Below(3);
  smx_attention_strides strides;
  strides.key = 1;
  if (random->Below(2) == 0) {
    strides.query = row;
    strides.head = n.queries * row + random->Below(2);
    strides.batch = n.heads * strides.head;
  } else {
    strides.head = row;
    strides.query = n.heads * row;
    strides.batch = n.queries * strides.query + random->Below(5);
  }
  return strides;
}

template <class T>
T OneOf(SplitMix64* random, std::initializer_list<T> values) {
  return values.begin()[random->Below(static_cast<uint32_t>(values.size()))];
}

Problem DrawProblem(uint64_t seed) {
  SplitMix64 random(seed);
  Problem p;
  p.seed = seed;
  p.options.input_type = OneOf(&random, {smx_datatype_f32, smx_datatype_f16, smx_datatype_bf16});
  p.options.output_type = OneOf(&random, {smx_datatype_f32, smx_datatype_f16, smx_datatype_bf16});
  p.options.mask_type = OneOf(&random, {smx_datatype{}, smx_datatype{}, smx_datatype_f32, smx_datatype_f16,
                                        smx_datatype_bf16, smx_datatype_bool});
  p.options.softcap = OneOf(&random, {0.0f, 0.0f, 2.0f, 30.0f, 50.0f});
  p.sizes.batch_size = 1 + random.Below(3);
  p.sizes.heads = 1 + random.Below(4);
  p.sizes.queries = 1 + random.Below(6);
  const uint32_t longest = OneOf<uint32_t>(&random, {4, 40, 40, 130, 1100});
  p.sizes.keys = 1 + random.Below(longest);
  p.options.window = OneOf<size_t>(&random, {0, 0, 1, 7, p.sizes.keys});
  p.flags = random.Below(8);
  p.scale = OneOf(&random, {1.0f, 0.125f, 0.08838835f, 3.0f, -0.7f, 0.0f});
  p.input_strides = DenseStrides(p.sizes, &random);
  p.output_strides = DenseStrides(p.sizes, &random);
  if (p.options.mask_type != 0) {
    p.mask_strides = DenseStrides(p.sizes, &random);
    if (random.Below(2) == 0) p.mask_strides.head = 0;
    if (random.Below(2) == 0) p.mask_strides.batch = 0;
    if (random.Below(3) == 0) p.mask_strides.query = 0;
    if (random.Below(8) == 0) p.mask_strides.key = 0;
  }
  if (random.Below(4) == 0) {
    for (size_t h = 0; h < p.sizes.heads; h++) p.slopes.push_back(std::ldexp(1.0f, -static_cast<int>(h)));
  }
  if (random.Below(4) == 0) {
    for (size_t h = 0; h < p.sizes.heads; h++) p.sinks.push_back(random.Normal());
  }
  if (random.Below(3) == 0) {
    for (size_t b = 0; b < p.sizes.batch_size; b++) {
      p.key_lengths.push_back(random.Below(static_cast<uint32_t>(p.sizes.keys) + 3));
    }
  }
  if (random.Below(4) == 0) {
    for (size_t b = 0; b < p.sizes.batch_size; b++) {
      p.first_positions.push_back(
          static_cast<int64_t>(random.Below(static_cast<uint32_t>(p.sizes.keys) + 4)) - 2);
    }
  }
  p.in_place = p.options.input_type == p.options.output_type && random.Below(3) == 0;
  p.wants_logsumexp = random.Below(4) == 0;
  return p;
}

// Every option with every other: the bits of every instruction set and of threads, and the formula.
TEST(AttentionSoftmax, OptionsAtRandomGiveTheBitsOfSoftmaxOnTheLogits) {
  const uint64_t problems = RunsSparseTests() ? 150 : 3000;
  for (uint64_t seed = 1; seed <= problems; seed++) {
    const Problem p = DrawProblem(seed);
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

void ExpectExpected(const Problem& p, const std::string& isa) {
  UseIsa("scalar");
  const Result expected = Expected(p, LogitsOf(p));
  for (const size_t threads : {0, 2}) {
    Setting setting;
    setting.isa = isa;
    setting.threads = threads;
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
        if (mask != smx_datatype_bool) p.sinks = {1.5f};
        ExpectExpected(p, GetParam());
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Hostile rows: NaN, infinities, and those whose maximum is out of the kernels' range.
TEST_P(AttentionRows, OfEveryFamilyAreRight) {
  for (const RowFamily& family : AllRows()) {
    for (const size_t keys : {3, 40, 300, 1500}) {
      Problem p = ProblemOf(1, 2, 5, keys);
      p.family = family.name;
      p.options.mask_type = smx_datatype_f32;
      p.flags = SMX_FLAG_CAUSAL | SMX_FLAG_MASKED_ROWS_TO_ZERO;
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
}  // namespace smx
