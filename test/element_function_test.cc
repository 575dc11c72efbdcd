// The exponential of one element in every family of microkernels: its error, and that its bits are the same in all of
// them and on every instruction set.
//
// With SMXPACK_FULL_TESTS=1 in the environment all 2^32 floats are tried, NaNs and infinities among them, on all
// processors; by default one batch in so many, and those where something ends.
#include <float.h>
#include <math.h>
#include <stdio.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "src/operators/row_sum.h"
#include "src/runtime/fp_environment.h"
#include "test/microkernel_fixture.h"
#include "test/ulp.h"

namespace smx {
namespace {

// By how much samples are sparser. Odd, as the strides are.
uint32_t Sparser() {
  return RunsSparseTests() ? 15 : 1;
}

// Floats whose bits follow each other, of one sign and exponent: exponentials of those in range have one reference in
// common. As many as the variants with the most accumulators take in a turn of their main loop.
constexpr uint32_t kBatch = 4 * SMX_BLOCK;
constexpr uint32_t kBatches = (uint64_t{1} << 32) / kBatch;
// A sample takes one batch in so many: no power of two, so that they spread over mantissas.
uint32_t Sampled() {
  return 401 * Sparser();
}

std::vector<uint32_t> Batches() {
  std::vector<uint32_t> batches;
  for (uint32_t batch = 0; batch < kBatches; batch += RunsFullTests() ? 1 : Sampled())
    batches.push_back(batch);
  if (RunsFullTests()) return batches;
  for (float sign : {1.0f, -1.0f}) {
    for (float edge : {0.0f, FLT_MIN, smx_range, smx_lowest, FLT_MAX, INFINITY, NAN}) {
      batches.push_back(Bits(copysignf(edge, sign)) / kBatch);
    }
  }
  return batches;
}

// By the name of a microkernel.
using Worsts = std::map<std::string, Worst>;

// Calls check(floats, worsts) with batches, from all processors for all floats; it returns whether they are right, and notes
// errors at the bits of the float.
template <class Check>
Worsts ForEachBatch(const Check& check) {
  const std::vector<uint32_t> batches = Batches();
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Worsts all;
  const auto work = [&] {
    const smx_fp_environment environment;
    Worsts worsts;
    std::vector<float> x(kBatch);
    for (size_t b = next++; b < batches.size(); b = next++) {
      for (uint32_t i = 0; i < kBatch; i++) x[i] = FromBits(batches[b] * kBatch + i);
      const testing::AssertionResult result = check(x, &worsts);
      if (result) continue;
      const std::lock_guard<std::mutex> lock(mutex);
      ADD_FAILURE() << result.message() << " of the floats from " << x[0];
      next = batches.size();
    }
    const std::lock_guard<std::mutex> lock(mutex);
    for (const auto& [name, worst] : worsts) all[name].Note(worst.error(), worst.index());
  };
  std::vector<std::thread> threads(RunsFullTests() ? std::max(1u, std::thread::hardware_concurrency()) : 1);
  for (std::thread& thread : threads) thread = std::thread(work);
  for (std::thread& thread : threads) thread.join();
  return all;
}

void ExpectWithin(double units, const Worsts& worsts) {
  for (const auto& [name, worst] : worsts) {
    const float x = FromBits(static_cast<uint32_t>(worst.index()));
    EXPECT_LE(worst.error(), units) << name << ", x = " << x;
    printf("%-50s worst error %.3f * 2^-24, at x = %a\n", name.c_str(), worst.error(), x);
    testing::Test::RecordProperty(name, std::to_string(worst.error()));
  }
}

// The first variant of a kernel on every instruction set.
std::vector<Microkernel> FirstVariants(const std::string& kernel) {
  std::vector<Microkernel> variants;
  for (const Microkernel& microkernel : AvailableMicrokernels(kernel)) {
    const bool is_first = variants.empty() || variants.back().isa != std::string(microkernel.isa);
    if (is_first) variants.push_back(microkernel);
  }
  return variants;
}

std::vector<Microkernel> FirstVariants(const std::string& kernel, const std::string& another) {
  std::vector<Microkernel> variants = FirstVariants(kernel);
  for (const Microkernel& microkernel : FirstVariants(another)) variants.push_back(microkernel);
  return variants;
}

bool IsAbove(float x) {
  return !(x <= smx_range);  // or NaN
}

// Those that may be in a row, after one that brings the row within range and is no smaller; empty where there are none.
std::vector<float> RowOf(const std::vector<float>& x) {
  std::vector<float> row(1, -smx_range);
  for (float element : x) {
    if (IsAbove(element)) continue;
    row.push_back(element);
    row[0] = std::max(row[0], element);
  }
  if (row.size() == 1) row.clear();
  return row;
}

// exp(x) * 2^-exponent. The argument is reduced in double with a product that is exact, so that it is right to within
// 2^-51.
double ScaledExpInDouble(float x, int32_t exponent) {
  const double within = std::max(-0x1p15, static_cast<double>(x));  // nothing is left of it
  const double n = rint(within * 0x1.71547652b82fep+0);
  const double t = (within - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  return ldexp(exp(t), static_cast<int>(n) - exponent);
}

// In units of u. Where 2^(N/8) is below FLT_MIN, which is at most 2^(1/16) below the exponential, the term is 0.
double ErrorOfTerm(float term, double exact) {
  const bool may_be_flushed = exact < 0x1.0Cp-126;
  return term == 0.0f && may_be_flushed ? 0.0 : fabs(term / exact - 1.0) * 0x1p24;
}

smx_f32_extended StoreTerms(const Microkernel& kernel, const std::vector<float>& row,
                            std::vector<float>* terms) {
  smx_f32_extended sum;
  terms->resize(row.size());
  SumAndStore(kernel, row.size(), row.data(), terms->data(), &sum);
  return sum;
}

testing::AssertionResult Same(const smx_f32_extended& actual, const smx_f32_extended& expected) {
  if (actual.reference != expected.reference)
    return testing::AssertionFailure() << "reference " << actual.reference;
  const testing::AssertionResult same_hi = SameBits(actual.hi, expected.hi);
  return same_hi ? SameBits(actual.lo, expected.lo) : same_hi;
}

TEST(ElementFunction, OfStoredTermsIsWithinBoundAndTheSameOnEveryIsa) {
  const std::vector<Microkernel> kernels = FirstVariants("f32_raddstoreextexp");
  ExpectWithin(kExtExpUnits, ForEachBatch([&](const std::vector<float>& x, Worsts* worsts) {
                 const std::vector<float> row = RowOf(x);
                 if (row.empty()) return testing::AssertionSuccess();
                 std::vector<float> terms, terms_of_other;
                 const smx_f32_extended sum = StoreTerms(kernels[0], row, &terms);
                 Worst worst;
                 for (size_t i = 0; i < row.size(); i++) {
                   const double exact = ScaledExpInDouble(row[i], sum.reference - SMX_BIAS);
                   worst.Note(ErrorOfTerm(terms[i], exact), Bits(row[i]));
                 }
                 for (const Microkernel& kernel : kernels) {
                   (*worsts)[kernel.function].Note(worst.error(), worst.index());
                   testing::AssertionResult same = Same(StoreTerms(kernel, row, &terms_of_other), sum);
                   if (same) same = SameBits(terms_of_other.data(), terms.data(), row.size());
                   if (!same) return same << ", " << kernel;
                 }
                 return testing::AssertionSuccess();
               }));
}

// The maps times 1 give the terms, of which the bias is taken off.
TEST(ElementFunction, OfMapsIsThatOfStoredTerms) {
  const Microkernel storing = FirstVariants("f32_raddstoreextexp")[0];
  const std::vector<Microkernel> maps = FirstVariants("f32_vscaleextexp", "f32_vstreamextexp");
  ForEachBatch([&](const std::vector<float>& x, Worsts*) {
    std::vector<float> row = RowOf(x), terms, y;
    smx_f32_reciprocal one = {1.0f, 0.0f, 0};
    if (!row.empty()) {
      one.exponent = StoreTerms(storing, row, &terms).reference;
      for (float& term : terms) term *= smx_pow2(-SMX_BIAS);
    }
    for (float element : x) {
      if (!std::isnan(element)) continue;
      row.push_back(element);
      terms.push_back(NAN);
    }
    y.resize(row.size());
    for (const Microkernel& map : maps) {
      if (row.empty()) break;
      map.As<smx_f32_vscaleextexp_ukernel_fn>()(row.size(), row.data(), y.data(), &one, &kExp);
      testing::AssertionResult same = SameBits(y.data(), terms.data(), row.size());
      if (!same) return same << ", " << map;
    }
    return testing::AssertionSuccess();
  });
}

// The sum of a batch is exact to far less than a last bit of one of its terms, as no two of them make a pair, which would
// be rounded.
TEST(ElementFunction, OfSumsIsThatOfStoredTerms) {
  constexpr double kLastBitOfATerm = 0x1p-24 / kBatch;
  const Microkernel storing = FirstVariants("f32_raddstoreextexp")[0];
  const std::vector<Microkernel> kernels = FirstVariants("f32_raddextexp");
  ForEachBatch([&](const std::vector<float>& x, Worsts*) {
    const std::vector<float> row = RowOf(x);
    if (row.empty()) return testing::AssertionSuccess();
    std::vector<float> terms;
    const int32_t reference = StoreTerms(storing, row, &terms).reference;
    double exact = 0.0;
    for (float term : terms) exact += term;

    std::vector<float> without_pairs(2 * kBatch + 2 * SMX_LANES, -INFINITY);
    for (size_t i = 0; i < row.size(); i++)
      without_pairs[i / SMX_LANES * 2 * SMX_LANES + i % SMX_LANES] = row[i];
    smx_f32_extended first = {};
    for (const Microkernel& kernel : kernels) {
      smx_f32_extended sum;
      kernel.As<smx_f32_raddextexp_ukernel_fn>()(without_pairs.size(), without_pairs.data(), 0, &sum, &kExp);
      if (&kernel == &kernels[0]) first = sum;
      const double scaled = ldexp(static_cast<double>(sum.hi) + sum.lo, sum.reference - reference);
      testing::AssertionResult same = Same(sum, first);
      if (same && !(fabs(scaled - exact) <= kLastBitOfATerm / 4 * exact)) {
        same = testing::AssertionFailure() << scaled << " in place of " << exact;
      }
      if (!same) return same << ", " << kernel;
    }
    return testing::AssertionSuccess();
  });
}

// A kernel on several rows, as the operator calls it: rows that it refuses are NaN.
void Softmax(const Microkernel& kernel, size_t rows, size_t n, const std::vector<float>& x,
             std::vector<float>* y) {
  y->resize(rows * n);
  for (size_t row = 0; row < rows;) {
    row += RunRows(kernel, rows - row, n, x.data() + row * n, n, y->data() + row * n, n);
    if (row < rows) std::fill_n(y->data() + row++ * n, n, NAN);
  }
}

// The row, stored and scaled.
void StoreAndScale(size_t n, const float* x, float* y) {
  static const Microkernel storing = FirstVariants("f32_raddstoreextexp")[0];
  static const Microkernel scaling = FirstVariants("f32_vmulextc")[0];
  smx_f32_extended sum;
  SumAndStore(storing, n, x, y, &sum);
  smx_f32_reciprocal reciprocal = smx_f32_reciprocal_of(&sum);
  reciprocal.exponent -= sum.reference - SMX_BIAS;
  scaling.As<smx_f32_vmulextc_ukernel_fn>()(n, y, y, &reciprocal);
}

// The elements stand beside one that is larger by 20 and whose exponential is a power of two, nearly: the sum and its
// reciprocal are so as well, and the products with that show the last bit of every term.
TEST(ElementFunction, OfKernelsOnSeveralRowsIsThatOfStoredTerms) {
  std::vector<Microkernel> kernels = FirstVariants("f32_softmax", "f32_softmax_transposed");
  ForEachBatch([&](const std::vector<float>& x, Worsts*) {
    for (const Microkernel& kernel : kernels) {
      const size_t elements = kernel.kernel == std::string("f32_softmax") ? SMX_BLOCK / 2 : 2 * SMX_LANES;
      const size_t n = elements + 1;
      const size_t rows = kBatch / elements;
      std::vector<float> batch, expected(rows * n), y;
      for (size_t row = 0; row < rows; row++) {
        float* softmax = expected.data() + row * n;
        const float* first = x.data() + row * elements;
        const float largest =
            std::clamp(std::max(first[0], first[elements - 1]) + 20.0f, -smx_range, smx_range);
        batch.push_back(largest < smx_range ? rintf(largest * kExp.log2e) * kExp.ln2 : smx_range);
        batch.insert(batch.end(), first, first + elements);
        if (std::any_of(first, first + elements, IsAbove)) {
          std::fill_n(softmax, n, NAN);
        } else {
          StoreAndScale(n, batch.data() + row * n, softmax);
        }
      }
      // Refused one by one, rows out of range take long: of those, a few.
      const bool is_above = IsAbove(x[0]) && !std::isnan(x[0]);
      const size_t tried = is_above ? 2 : rows;
      Softmax(kernel, tried, n, batch, &y);
      testing::AssertionResult same = SameBits(y.data(), expected.data(), tried * n);
      if (!same) return same << ", " << kernel;
    }
    return testing::AssertionSuccess();
  });
}

// Above the range and of NaN, alone in its row, there is no sum.
TEST(ElementFunction, OfWhatIsAboveTheRangeIsRefused) {
  const std::vector<Microkernel> summing = FirstVariants("f32_raddextexp");
  const std::vector<Microkernel> storing = FirstVariants("f32_raddstoreextexp");
  ForEachBatch([&](const std::vector<float>& x, Worsts*) {
    for (float element : x) {
      if (!IsAbove(element)) continue;
      smx_f32_extended sum;
      float term;
      for (const Microkernel& kernel : summing) {
        kernel.As<smx_f32_raddextexp_ukernel_fn>()(1, &element, 0, &sum, &kExp);
        if (!std::isnan(sum.hi))
          return testing::AssertionFailure() << sum.hi << " of " << element << ", " << kernel;
      }
      for (const Microkernel& kernel : storing) {
        SumAndStore(kernel, 1, &element, &term, &sum);
        if (!std::isnan(sum.hi))
          return testing::AssertionFailure() << sum.hi << " of " << element << ", " << kernel;
      }
    }
    return testing::AssertionSuccess();
  });
}

// A sum of one element is that element's exponential, p * 2^(n - reference + SMX_BIAS), and the map times 1 gives the
// same p. One element is a tail.
TEST(ElementFunction, OfASingleElementIsTheSameInEveryKernel) {
  const uint32_t stride = 4099 * Sparser();
  const std::vector<Microkernel> sums = FirstVariants("f32_raddextexp");
  const std::vector<Microkernel> maps = FirstVariants("f32_vscaleextexp", "f32_vstreamextexp");
  const smx_fp_environment environment;
  Worst worst;
  for (uint32_t sign : {0x80000000u, 0u}) {
    for (uint32_t bits = 0; bits <= Bits(smx_range); bits += stride) {
      const float x = FromBits(sign | bits);
      smx_f32_extended expected = {};
      for (size_t k = 0; k < sums.size(); k++) {
        smx_f32_extended sum;
        sums[k].As<smx_f32_raddextexp_ukernel_fn>()(1, &x, 0, &sum, &kExp);
        if (k == 0) expected = sum;
        ASSERT_TRUE(Same(sum, expected)) << sums[k] << ", x = " << x;
        ASSERT_EQ(sum.lo, 0.0f) << sums[k] << ", x = " << x;
      }
      const smx_f32_reciprocal one = {1.0f, 0.0f, expected.reference};
      for (const Microkernel& map : maps) {
        float y;
        map.As<smx_f32_vscaleextexp_ukernel_fn>()(1, &x, &y, &one, &kExp);
        ASSERT_TRUE(SameBits(ldexpf(y, SMX_BIAS), expected.hi)) << map << ", x = " << x;
      }
      const double exact = ScaledExpInDouble(x, expected.reference - SMX_BIAS);
      worst.Note(ErrorOfTerm(expected.hi, exact), Bits(x));
    }
  }
  EXPECT_LE(worst.error(), kExtExpUnits) << "x = " << FromBits(static_cast<uint32_t>(worst.index()));
}

float MaximumFromZero(const std::vector<float>& x) {
  float max = 0.0f;
  for (float element : x) max = element > max ? element : max;  // not NaN
  return max;
}

// exp(x - max) of the three-pass baselines, with a max of 0, or of the batch where that is positive: the difference is exact
// then.
TEST(ElementFunction, OfTheBaselinesIsWithinBoundAndTheSameOnEveryIsa) {
  const std::vector<Microkernel> storing = FirstVariants("f32_raddstoreexpminusmax");
  const std::vector<Microkernel> maps = FirstVariants("f32_vscaleexpminusmax");
  ExpectWithin(
      kExpMinusMaxUnits, ForEachBatch([&](const std::vector<float>& x, Worsts* worsts) {
        const float max = MaximumFromZero(x);
        std::vector<float> y(x.size()), y_of_other(x.size());
        float sum;
        storing[0].As<smx_f32_raddstoreexpminusmax_ukernel_fn>()(x.size(), x.data(), y.data(), max, &sum);
        Worst worst;
        for (size_t i = 0; i < x.size(); i++) {
          const double exact = exp(static_cast<double>(x[i]) - max);
          if (std::isnan(exact) || exact == 0.0) {
            const bool is_right = std::isnan(exact) ? std::isnan(y[i]) : y[i] == 0.0f;
            if (!is_right) return testing::AssertionFailure() << y[i] << " of " << x[i];
            continue;
          }
          const double flushed = exact < FLT_MIN ? FLT_MIN : kExpMinusMaxFlushed;
          worst.Note(std::max(0.0, fabs(y[i] - exact) - flushed) / exact * 0x1p24, Bits(x[i]));
        }
        for (const Microkernel& kernel : storing) {
          (*worsts)[kernel.function].Note(worst.error(), worst.index());
          kernel.As<smx_f32_raddstoreexpminusmax_ukernel_fn>()(x.size(), x.data(), y_of_other.data(), max,
                                                               &sum);
          testing::AssertionResult same = SameBits(y_of_other.data(), y.data(), x.size());
          if (!same) return same << ", " << kernel;
        }
        for (const Microkernel& kernel : maps) {
          kernel.As<smx_f32_vscaleexpminusmax_ukernel_fn>()(x.size(), x.data(), y_of_other.data(), 1.0f, max);
          testing::AssertionResult same = SameBits(y_of_other.data(), y.data(), x.size());
          if (!same) return same << ", " << kernel;
        }
        return testing::AssertionSuccess();
      }));
}

// The sum that stores nothing is the one that stores its terms: its variants are the same, and so is the order of its
// additions.
TEST(ElementFunction, OfTheSummingBaselineIsThatOfTheStoringOne) {
  const std::vector<Microkernel> summing = FirstVariants("f32_raddexpminusmax");
  const std::vector<Microkernel> storing = AvailableMicrokernels("f32_raddstoreexpminusmax");
  ForEachBatch([&](const std::vector<float>& x, Worsts*) {
    const float max = MaximumFromZero(x);
    std::vector<float> y(x.size());
    for (const Microkernel& kernel : summing) {
      for (const Microkernel& other : storing) {
        if (other.isa != std::string(kernel.isa) || other.tile != kernel.tile) continue;
        if (other.accumulators != kernel.accumulators) continue;
        for (size_t i = 0; i < x.size(); i += kernel.tile) {
          float sum, sum_of_storing;
          kernel.As<smx_f32_raddexpminusmax_ukernel_fn>()(kernel.tile, &x[i], max, &sum);
          other.As<smx_f32_raddstoreexpminusmax_ukernel_fn>()(kernel.tile, &x[i], y.data(), max,
                                                              &sum_of_storing);
          testing::AssertionResult same = SameBits(sum, sum_of_storing);
          if (!same) return same << ", " << kernel;
        }
      }
    }
    return testing::AssertionSuccess();
  });
}

}  // namespace
}  // namespace smx
