#include "test/attention_problem.h"

#include <float.h>
#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <cmath>

#include "src/gen/microkernels.h"
#include "src/runtime/fp_environment.h"
#include "test/elements.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"
#include "test/ulp.h"

namespace smx::attention {
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

float MaskElement(smx_datatype type, SplitMix64* random) {
  if (type == smx_datatype_bool)
    return static_cast<float>(random->Below(3) != 0 ? 1 + random->Below(255) : 0);
  const uint32_t kind = random->Below(8);
  if (kind == 0) return -INFINITY;
  if (kind == 1) return type == smx_datatype_f16 ? -65504.0f : -1e9f;
  return RoundedTo(type, 3.0f * random->Normal());
}

std::vector<float> MakeRow(const Problem& p, uint64_t seed) {
  return p.rows ? p.rows(p.sizes.keys, seed) : smx::MakeRow(p.family, p.sizes.keys, seed);
}

std::vector<float> MakeMaskRow(const Problem& p, SplitMix64* random) {
  const smx_datatype type = p.options.mask_type;
  if (type != smx_datatype_bool && p.rows && random->Below(4) == 0)
    return RoundedTo(type, p.rows(p.sizes.keys, random->Next()));
  std::vector<float> row(p.sizes.keys);
  for (float& element : row) element = MaskElement(type, random);
  return row;
}

// Elements that the problem draws; NaN where no query that reads the element sees the key.
void Draw(const Problem& p, Tensor* x, Tensor* mask) {
  SplitMix64 random(p.seed);
  const smx_attention& n = p.sizes;
  for (size_t b = 0; b < n.batch_size; b++) {
    for (size_t h = 0; h < n.heads; h++) {
      for (size_t q = 0; q < n.queries; q++) {
        const std::vector<float> row = MakeRow(p, random.Next());
        for (size_t k = 0; k < n.keys; k++) {
          const bool sees = p.Sees(b, q, k);
          x->Set(b, h, q, k, sees ? RoundedTo(p.options.input_type, row[k]) : NAN);
        }
        if (mask == nullptr) continue;
        const std::vector<float> mask_row = MakeMaskRow(p, &random);
        for (size_t k = 0; k < n.keys; k++) mask->Set(b, h, q, k, mask_row[k]);
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

// Denormals count as 0.
float Flushed(float x) {
  return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

// cap * tanh(ratio * x), whose bits are those of one kernel; its errors are the matter of f32_microkernels_test.
float SoftCapped(float x, float scale, float cap) {
  static const auto kernel = ScalarMicrokernel("f32_vsoftcap").As<smx_f32_vsoftcap_ukernel_fn>();
  const smx_fp_environment environment;
  float y;
  kernel(1, &x, &y, scale / cap, cap);
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
  x = Flushed(x);
  const long double cap = p.options.softcap;
  Logit logit = {x, static_cast<long double>(p.scale) * x};
  float scale = p.scale;
  if (cap != 0.0L) {
    logit = {SoftCapped(x, p.scale, p.options.softcap), cap * tanhl(logit.exact / cap)};
    scale = 1.0f;
  }
  if (!p.slopes.empty()) {
    const float d = static_cast<float>(std::abs(distance));
    logit.rounded = Flushed(std::fma(scale, logit.rounded, -Flushed(slope * d)));
    logit.exact -= static_cast<long double>(slope) * d;
    scale = 1.0f;
  }
  if (p.options.mask_type != 0) {
    const float added = p.options.mask_type == smx_datatype_bool ? 0.0f : Flushed(mask);
    logit.rounded = std::fma(scale, logit.rounded, added);
    logit.exact += added;
  } else if (!IsScaleExact(p)) {
    logit.rounded *= scale;
  }
  return logit;
}

}  // namespace

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
  if (setting.streamed_bytes != 0) thresholds.streamed_bytes = setting.streamed_bytes;
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

}  // namespace smx::attention
