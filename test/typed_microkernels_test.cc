// The microkernels of other types than f32, and f32-vsubextc: the bits of the f32 kernels on the same values, results rounded
// once, to nearest even, and nothing touched outside the rows. Quantised results are rounded once on their scale.
//
// With SMXPACK_FULL_TESTS=1 in the environment all 2^32 floats are converted; by default one in so many, and those on both
// sides of everything that is rounded.
#include <float.h>
#include <math.h>

#include <algorithm>
#include <map>

#include "src/runtime/fp_environment.h"
#include "test/elements.h"
#include "test/guarded_buffer.h"
#include "test/microkernel_fixture.h"

namespace smx {
namespace {

using Type = smx_datatype;
using Bytes = std::vector<unsigned char>;

constexpr uint32_t kHalves = 0x10000;

// ---- Kernels

// What the name of a kernel says: "f16_f32_vcvt" or, of reductions, "f16_rmax".
struct Signature {
  Type x;
  Type y;
  std::string base;

  bool is_reduction() const { return base[0] == 'r'; }
};

Signature SignatureOf(const Microkernel& kernel) {
  constexpr std::pair<const char*, Type> kPrefixes[] = {{"f32_", smx_datatype_f32},
                                                        {"f16_", smx_datatype_f16},
                                                        {"bf16_", smx_datatype_bf16},
                                                        {"qu8_", smx_datatype_qu8},
                                                        {"qs8_", smx_datatype_qs8}};
  std::vector<Type> types;
  std::string rest = kernel.kernel;
  for (bool is_found = true; is_found;) {
    is_found = false;
    for (const auto& [prefix, type] : kPrefixes) {
      if (rest.rfind(prefix, 0) != 0) continue;
      rest.erase(0, strlen(prefix));
      types.push_back(type);
      is_found = true;
    }
  }
  return {types.front(), types.back(), rest};
}

// Those that no other test program has: with elements of 8 and 16 bits, and f32-vsubextc. Columns are the matter of
// columns_kernels_test.cc, and the logits of attention that of logit_kernels_test.cc.
std::vector<Microkernel> TypedMicrokernels() {
  std::vector<Microkernel> typed;
  for (const Microkernel& kernel : AvailableMicrokernels()) {
    const Signature signature = SignatureOf(kernel);
    if (signature.base.find("columns") != std::string::npos || signature.base == "vselect") continue;
    const bool is_f32 = signature.x == smx_datatype_f32 && signature.y == smx_datatype_f32;
    if (!is_f32 || signature.base == "vsubextc") typed.push_back(kernel);
  }
  return typed;
}

// Of types that have NaN.
std::vector<Microkernel> TypedSums() {
  std::vector<Microkernel> sums;
  for (const Microkernel& kernel : TypedMicrokernels()) {
    const Signature signature = SignatureOf(kernel);
    if (signature.base == "raddextexp" && !IsQuantized(signature.x)) sums.push_back(kernel);
  }
  return sums;
}

struct Parameters {
  smx_f32_reciprocal reciprocal;
  smx_f32_logarithm logarithm;
  smx_f32_quantizer quantizer;
};

// Calls function(element), with an element of the C type that stands for it in memory.
template <class Function>
void WithElement(Type type, const Function& function) {
  if (type == smx_datatype_f32) return function(float());
  if (type == smx_datatype_qu8) return function(uint8_t());
  if (type == smx_datatype_qs8) return function(int8_t());
  function(uint16_t());
}

// The kernel as a function of n, x, y, further parameters and, where y is quantised, the quantizer.
template <class X, class Y, class... Further>
void CallMap(const Microkernel& kernel, size_t n, const X* x, Y* y, const smx_f32_quantizer& quantizer,
             const Further*... further) {
  if constexpr (sizeof(Y) == 1) {
    kernel.As<void(size_t, const X*, Y*, const Further*..., const smx_f32_quantizer*)>()(n, x, y, further...,
                                                                                         &quantizer);
  } else {
    kernel.As<void(size_t, const X*, Y*, const Further*...)>()(n, x, y, further...);
  }
}

template <class X, class Y>
void Map(const Microkernel& kernel, size_t n, const X* x, Y* y, const Parameters& parameters) {
  const std::string base = SignatureOf(kernel).base;
  if (base == "vcvt") {
    CallMap(kernel, n, x, y, parameters.quantizer);
  } else if (base == "vsubextc") {
    CallMap(kernel, n, x, y, parameters.quantizer, &parameters.logarithm);
  } else if (base == "vscaleextexp" || base == "vstreamextexp") {
    CallMap(kernel, n, x, y, parameters.quantizer, &parameters.reciprocal, &kExp);
  } else {
    ADD_FAILURE() << "how is " << kernel << " called?";
  }
}

template <class X>
smx_f32_extended Reduce(const Microkernel& kernel, size_t n, const X* x) {
  smx_f32_extended result = {};
  if (SignatureOf(kernel).base == "rmax") {
    kernel.As<void(size_t, const X*, float*)>()(n, x, &result.max);
  } else if (SignatureOf(kernel).base == "raddextexp") {
    kernel.As<void(size_t, const X*, size_t, smx_f32_extended*, const smx_f32_exponential*)>()(
        n, x, 0, &result, &kExp);
  } else {
    ADD_FAILURE() << "how is " << kernel << " called?";
  }
  return result;
}

// What a reduction gives, rmax the maximum alone; maps write y.
smx_f32_extended Apply(const Microkernel& kernel, size_t n, const void* x, void* y,
                       const Parameters& parameters) {
  const Signature signature = SignatureOf(kernel);
  const smx_fp_environment environment;
  smx_f32_extended result = {};
  WithElement(signature.x, [&](auto x_element) {
    const auto* x_elements = static_cast<const decltype(x_element)*>(x);
    if (signature.is_reduction()) {
      result = Reduce(kernel, n, x_elements);
      return;
    }
    WithElement(signature.y, [&](auto y_element) {
      Map(kernel, n, x_elements, static_cast<decltype(y_element)*>(y), parameters);
    });
  });
  return result;
}

// ---- What they are to give

// As kernels do with what they add, subtract, multiply and compare.
float Flushed(float x) {
  return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

// A row of values that its type has, and, of maps, the results: values of theirs.
struct Example {
  std::string name;
  Parameters parameters;
  std::vector<float> x;
  std::vector<float> y;
};

constexpr size_t kRow = kHalves;

// rint(y * inverse_scale) + zero_point, where the product is exact in double; the nearest that the type has.
float Quantized(Type type, float y, const smx_f32_quantizer& quantizer) {
  const double product = static_cast<double>(Flushed(y)) * static_cast<double>(quantizer.inverse_scale);
  return RoundedTo(type, static_cast<float>(nearbyint(product) + static_cast<double>(quantizer.zero_point)));
}

// Of up to 16 bits, elements of all bits; of 32, as many spread over all. Instead of those above the largest, logits below it.
std::vector<float> RowOfAllBits(Type type, float largest) {
  const std::vector<float> logits = UniformRow(kRow, 28.0f, 1);
  std::vector<float> x(kRow);
  for (uint32_t i = 0; i < kRow; i++) {
    x[i] = type == smx_datatype_f32 ? FromBits(i * 0x9E3779B1)
           : IsQuantized(type)      ? LeastOf(type) + static_cast<float>(i * 0x9D % 256)
                                    : FromHalf(type, i * 0x9E37 % kHalves);
    if (x[i] > largest) x[i] = largest - 28.0f + logits[i];
  }
  return RoundedTo(type, x);
}

std::vector<Example> ReductionExamples(Type type) {
  std::vector<float> finite = RowOfAllBits(type, IsQuantized(type) ? LargestOf(type) : 20.0f);
  finite.resize(SMX_TILE);
  std::replace_if(
      finite.begin(), finite.end(), [](float x) { return isnan(x); }, 0.0f);
  std::vector<Example> examples = {{"all bits", {}, finite, {}}};
  for (const auto* families : {&FiniteRows(), &SpecialRows()}) {
    for (const RowFamily& family : *families) {
      examples.push_back({family.name, {}, RoundedTo(type, LongRow(family.name)), {}});
    }
  }
  return examples;
}

std::vector<float> Subtracted(const std::vector<float>& x, const smx_f32_logarithm& logarithm) {
  std::vector<float> y;
  for (float element : x) {
    y.push_back(
        Flushed(Flushed(fmaf(Flushed(fmaf(Flushed(element), logarithm.factor, 0.0f - logarithm.shift)),
                             logarithm.scale, 0.0f - logarithm.hi)) -
                logarithm.lo));
  }
  return y;
}

std::vector<float> Scaled(const std::vector<float>& x, const smx_f32_reciprocal& reciprocal) {
  std::vector<float> y(x.size());
  Apply(ScalarMicrokernel("f32_vscaleextexp"), x.size(), x.data(), y.data(), {reciprocal, {}, {}});
  return y;
}

// Of examples of results that are floats, those with each of several quantizers.
std::vector<Example> QuantizedExamples(Type type, const std::vector<Example>& examples) {
  const float zero_point = type == smx_datatype_qu8 ? 128.0f : 17.0f;
  std::vector<Example> quantized;
  for (const smx_f32_quantizer& quantizer :
       std::vector<smx_f32_quantizer>{{256.0f, LeastOf(type)},
                                      {255.0f, zero_point},
                                      {0x1.FB3333p+6f, LeastOf(type) + 3.0f},
                                      {1.0f, zero_point - 1.0f},
                                      {0x1p+126f, LeastOf(type)},
                                      {0x1.8p-30f, LargestOf(type)}}) {
    for (Example example : examples) {
      example.name += ", quantised by " + std::to_string(quantizer.inverse_scale);
      example.parameters.quantizer = quantizer;
      for (float& y : example.y) y = Quantized(type, y, quantizer);
      quantized.push_back(example);
    }
  }
  return quantized;
}

std::vector<Example> MapExamples(const Signature& signature) {
  std::vector<Example> examples;
  const std::vector<float> x = RowOfAllBits(signature.x, INFINITY);
  if (signature.base == "vcvt") {
    examples.push_back({"all bits", {}, x, x});
  } else if (signature.base == "vsubextc") {
    for (const smx_f32_logarithm& logarithm :
         std::vector<smx_f32_logarithm>{{1.0f, 0.0f, 1.0f, 0x1.921FB6p+1f, -0x1.777A5Cp-24f},
                                        {1.0f, 0.0f, 1.0f, 0.0f, 0.0f},
                                        {1.0f, 0.0f, 0.125f, -87.25f, 0x1.8p-20f},
                                        {0.5f, 0x1.FFC008p+15f, 0x1.99999Ap+3f, 0x1.4p-10f, 0.0f},
                                        {1.0f, FLT_MAX, 1.0f, 0x1p+102f, 0.0f},
                                        {1.0f, 0.0f, -0x1.5p+0f, -0x1p-10f, 0x1p-36f}}) {
      const std::string name = "log " + std::to_string(logarithm.hi);
      examples.push_back({name, {{}, logarithm, {}}, x, Subtracted(x, logarithm)});
    }
  } else {
    for (const smx_f32_reciprocal& reciprocal :
         std::vector<smx_f32_reciprocal>{{0x1.6A09E6p-1f, -0x1.FFFFp-26f, 0},
                                         {1.0f, 0.0f, 1},
                                         {0x1.8p-1f, -0x1p-26f, -7},
                                         {0x1.000002p-1f, 0x1.5555p-26f, 100},
                                         {0x1.FFFFFEp-1f, 0x1p-45f, -126},
                                         {0x1.8p-1f, -0x1p-26f, 370},
                                         {0x1.8p-1f, -0x1p-26f, 3000},
                                         {1.0f, 0.0f, 23630},
                                         {1.0f, 0.0f, -23630}}) {
      const float one = static_cast<float>(reciprocal.exponent) * kExp.ln2;  // x whose result is about 1
      if (IsQuantized(signature.x) && one + 2.0f < LeastOf(signature.x)) continue;
      const std::vector<float> logits = RowOfAllBits(signature.x, one + 2.0f);
      const std::string name = "exponent " + std::to_string(reciprocal.exponent);
      examples.push_back({name, {reciprocal, {}, {}}, logits, Scaled(logits, reciprocal)});
    }
  }
  if (IsQuantized(signature.y)) return QuantizedExamples(signature.y, examples);
  for (Example& example : examples) example.y = RoundedTo(signature.y, example.y);
  return examples;
}

// The first has elements of all bits. Kept, for all variants give the same.
const std::vector<Example>& ExamplesOf(const Microkernel& kernel) {
  static std::map<std::string, std::vector<Example>> examples;
  std::vector<Example>& made = examples[kernel.kernel];
  const Signature signature = SignatureOf(kernel);
  if (made.empty()) made = signature.is_reduction() ? ReductionExamples(signature.x) : MapExamples(signature);
  return made;
}

// The variant of f32-raddextexp that differs in its type alone, and so sums in the same way.
const Microkernel& F32SumLike(const Microkernel& kernel) {
  for (const Microkernel& other : AvailableMicrokernels()) {
    if (other.kernel == std::string("f32_raddextexp") && other.isa == std::string(kernel.isa) &&
        other.tile == kernel.tile && other.accumulators == kernel.accumulators) {
      return other;
    }
  }
  ADD_FAILURE() << "f32_raddextexp has no variant like " << kernel;
  return kernel;
}

class TypedMicrokernel : public MicrokernelTest {
 protected:
  const Signature signature_ = SignatureOf(kernel());
  const std::vector<Example>& examples_ = ExamplesOf(kernel());

  Bytes Elements(const Example& example, size_t n) const { return Encode(signature_.x, example.x.data(), n); }

  // Of y in memory, where the kernel has one.
  size_t OutputBytes(size_t n) const { return signature_.is_reduction() ? 0 : n * BytesOf(signature_.y); }

  void ExpectRight(const Example& example, size_t n, const smx_f32_extended& result, const void* y) const {
    const float* x = example.x.data();
    const bool holds_nan = std::any_of(x, x + n, [](float element) { return isnan(element); });
    if (signature_.base == "rmax") {
      if (!holds_nan) {
        EXPECT_EQ(Flushed(result.max), Flushed(*std::max_element(x, x + n)));
      }
    } else if (signature_.is_reduction()) {
      const smx_f32_extended expected = Apply(F32SumLike(kernel()), n, x, nullptr, {});
      EXPECT_TRUE(SameBits(result.hi, expected.hi));
      EXPECT_TRUE(SameBits(result.lo, expected.lo));
      EXPECT_EQ(result.reference, expected.reference);
      EXPECT_TRUE(holds_nan || SameBits(result.max, expected.max));
    } else {
      EXPECT_TRUE(SameBits(Decode(signature_.y, y, n).data(), example.y.data(), n));
    }
  }
};

class TypedSum : public TypedMicrokernel {};

INSTANTIATE_TEST_SUITE_P(List, TypedMicrokernel, testing::ValuesIn(TypedMicrokernels()), TestName);
INSTANTIATE_TEST_SUITE_P(List, TypedSum, testing::ValuesIn(TypedSums()), TestName);

TEST_P(TypedMicrokernel, GivesTheBitsOfF32) {
  for (const Example& example : examples_) {
    std::vector<size_t> sizes = FewSizes(kernel().tile);
    if (&example == &examples_[0]) {
      sizes = Sizes(kernel().tile);
      sizes.push_back(example.x.size());
    }
    for (size_t n : sizes) {
      SCOPED_TRACE(testing::Message() << example.name << ", n = " << n);
      const Bytes x = Elements(example, n);
      Bytes y(OutputBytes(n));
      const smx_f32_extended result = Apply(kernel(), n, x.data(), y.data(), example.parameters);
      ExpectRight(example, n, result, y.data());
    }
  }
}

TEST_P(TypedMicrokernel, StaysInsideItsRow) {
  constexpr size_t kLongestRest = SMX_LANES + 1;  // the widest vector and a tail
  const Example& example = examples_[0];
  for (size_t n : SmallSizes(kernel().tile)) {
    if (n % kernel().tile > kLongestRest) continue;
    for (GuardedEdge edge : {GuardedEdge::kEnd, GuardedEdge::kBeginning}) {
      SCOPED_TRACE(testing::Message()
                   << "n = " << n << (edge == GuardedEdge::kEnd ? ", end" : ", beginning"));
      const Bytes elements = Elements(example, n);
      const GuardedBuffer<unsigned char> x(elements, edge);
      GuardedBuffer<unsigned char> y(OutputBytes(n), edge);
      const smx_f32_extended result = Apply(kernel(), n, x.data(), y.data(), example.parameters);
      ExpectRight(example, n, result, y.data());
      EXPECT_TRUE(std::equal(elements.begin(), elements.end(), x.begin())) << "the input was written";
      EXPECT_TRUE(x.SurroundingsAreIntact());
      EXPECT_TRUE(y.SurroundingsAreIntact());
    }
  }
}

TEST_P(TypedMicrokernel, TakesAnyAlignmentAndRunsInPlace) {
  constexpr size_t kElements = 32;  // of 16 bits, in a cache line
  const Example& example = examples_[0];
  for (size_t n : {kernel().tile + 5, size_t{SMX_BLOCK + 33}}) {
    const Bytes elements = Elements(example, n);
    for (size_t offset = 0; offset < kElements; offset++) {
      SCOPED_TRACE(testing::Message() << "n = " << n << ", offset " << offset);
      GuardedBuffer<unsigned char> x(elements, GuardedEdge::kBeginning, offset * BytesOf(signature_.x));
      GuardedBuffer<unsigned char> y(OutputBytes(n), GuardedEdge::kBeginning,
                                     (kElements - offset) * BytesOf(signature_.y));
      const smx_f32_extended result = Apply(kernel(), n, x.data(), y.data(), example.parameters);
      ExpectRight(example, n, result, y.data());
      EXPECT_TRUE(y.SurroundingsAreIntact());
      if (signature_.is_reduction() || signature_.x != signature_.y) continue;
      Apply(kernel(), n, x.data(), x.data(), example.parameters);
      ExpectRight(example, n, {}, x.data());
      EXPECT_TRUE(x.SurroundingsAreIntact());
    }
  }
}

TEST_P(TypedSum, OfNanIsNan) {
  const std::vector<uint16_t> quiet_and_signalling =
      signature_.x == smx_datatype_f16 ? std::vector<uint16_t>{0x7E00, 0xFE00, 0x7C01, 0xFFFF}
                                       : std::vector<uint16_t>{0x7FC0, 0xFFC0, 0x7F81, 0xFFFF};
  for (size_t n : FewSizes(kernel().tile)) {
    for (size_t place : {size_t{0}, n / 2, n - 1}) {
      for (uint16_t nan : quiet_and_signalling) {
        SCOPED_TRACE(testing::Message() << "n = " << n << ", " << nan << " at " << place);
        Bytes x = Elements(examples_[0], n);
        memcpy(&x[place * sizeof(nan)], &nan, sizeof(nan));
        EXPECT_TRUE(isnan(Apply(kernel(), n, x.data(), nullptr, {}).hi));
      }
    }
  }
}

// ---- Conversion of floats to 16 bits

// Converts floats by every variant.
void ExpectRounded(Type type, const std::vector<float>& x) {
  const Bytes expected = Encode(type, x.data(), x.size());
  for (const Microkernel& kernel :
       AvailableMicrokernels(type == smx_datatype_f16 ? "f32_f16_vcvt" : "f32_bf16_vcvt")) {
    Bytes y(expected.size());
    Apply(kernel, x.size(), x.data(), y.data(), {});
    if (y == expected) continue;
    // NaNs may differ.
    EXPECT_TRUE(SameBits(Decode(type, y.data(), x.size()).data(),
                         Decode(type, expected.data(), x.size()).data(), x.size()))
        << kernel << ", from " << x[0] << " on";
  }
}

class Conversion : public testing::TestWithParam<Type> {};

INSTANTIATE_TEST_SUITE_P(Types, Conversion, testing::Values(smx_datatype_f16, smx_datatype_bf16),
                         [](const auto& info) { return info.param == smx_datatype_f16 ? "f16" : "bf16"; });

// Of every element, and of what is in the middle between it and the next: itself and the floats beside it.
TEST_P(Conversion, RoundsToNearestEven) {
  std::vector<float> x;
  for (uint32_t half = 0; half < kHalves; half++) {
    const float value = FromHalf(GetParam(), half);
    if (!isfinite(value)) continue;
    const double middle = (MagnitudeOf(GetParam(), half) + MagnitudeOf(GetParam(), half + 1)) / 2.0;
    for (float magnitude : {fabsf(value), static_cast<float>(middle)}) {
      for (float neighbour : {nextafterf(magnitude, 0.0f), magnitude, nextafterf(magnitude, INFINITY)}) {
        x.push_back(copysignf(neighbour, value));
      }
    }
  }
  ASSERT_EQ(x.size(), 6u * (GetParam() == smx_datatype_f16 ? 2 * 0x7C00 : 2 * 0x7F80));
  ExpectRounded(GetParam(), x);
}

TEST_P(Conversion, RoundsFloatsOfAllBits) {
  constexpr uint64_t kFloats = uint64_t{1} << 32;
  const uint64_t stride = RunsFullTests() ? 1 : 4099;
  std::vector<float> x;
  for (uint64_t bits = 0; bits < kFloats; bits += stride) {
    x.push_back(FromBits(static_cast<uint32_t>(bits)));
    if (x.size() < kRow && bits + stride < kFloats) continue;
    ExpectRounded(GetParam(), x);
    if (HasFailure()) return;
    x.clear();
  }
}

class Quantization : public testing::TestWithParam<Type> {
 protected:
  void ExpectQuantized(const smx_f32_quantizer& quantizer, const std::vector<float>& x) const {
    std::vector<float> expected;
    for (float element : x) expected.push_back(Quantized(GetParam(), element, quantizer));
    for (const Microkernel& kernel :
         AvailableMicrokernels("f32_" + std::string(NameOf(GetParam())) + "_vcvt")) {
      Bytes y(x.size());
      Apply(kernel, x.size(), x.data(), y.data(), {{}, {}, quantizer});
      EXPECT_TRUE(SameBits(Decode(GetParam(), y.data(), y.size()).data(), expected.data(), x.size()))
          << kernel << ", 1 / scale " << quantizer.inverse_scale << ", zero point " << quantizer.zero_point;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Types, Quantization, testing::Values(smx_datatype_qu8, smx_datatype_qs8),
                         [](const auto& info) { return NameOf(info.param); });

// What is in the middle between two bytes, and the floats beside it: to the even multiple of the scale, whatever the zero point.
TEST_P(Quantization, RoundsToNearestEven) {
  for (float zero_point = LeastOf(GetParam()); zero_point <= LargestOf(GetParam()); zero_point++) {
    for (float inverse_scale : {1.0f, 256.0f, 0x1p-10f}) {
      std::vector<float> x;
      for (float twice = -520.0f; twice <= 520.0f; twice++) {
        const float middle = 0.5f * twice / inverse_scale;
        for (float neighbour : {nextafterf(middle, -INFINITY), middle, nextafterf(middle, INFINITY)}) {
          x.push_back(neighbour);
        }
      }
      ExpectQuantized({inverse_scale, zero_point}, x);
    }
  }
}

TEST_P(Quantization, RoundsFloatsOfAllBits) {
  constexpr uint64_t kFloats = uint64_t{1} << 32;
  std::vector<float> x;
  for (uint64_t bits = 0; bits < kFloats; bits += 40961) x.push_back(FromBits(static_cast<uint32_t>(bits)));
  for (float inverse_scale : {0x1p-126f, 0x1.5p-20f, 1.0f, 255.0f, 0x1.Fp+60f, 0x1p+126f}) {
    ExpectQuantized({inverse_scale, LeastOf(GetParam()) + 77.0f}, x);
  }
}

// A NaN has one result, whatever its bits.
TEST(Conversions, NanBecomesTheQuietNanOfBf16) {
  const std::vector<float> nans = {
      NAN, -NAN, FromBits(0x7F800001), FromBits(0xFF800001), FromBits(0x7FFFFFFF), FromBits(0xFFFFFFFF)};
  for (const Microkernel& kernel : AvailableMicrokernels("f32_bf16_vcvt")) {
    std::vector<uint16_t> y(nans.size());
    Apply(kernel, nans.size(), nans.data(), y.data(), {});
    EXPECT_EQ(y, std::vector<uint16_t>(nans.size(), 0x7FC0)) << kernel;
  }
}

TEST(List, EveryVariantHasATest) {
  ExpectEveryMicrokernelHasATest(TypedMicrokernels());
}

}  // namespace
}  // namespace smx
