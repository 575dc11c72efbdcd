#include "src/operators/types.h"

#include <fp16.h>
#include <string.h>

#include <algorithm>

#include "src/isa/scalar.h"

namespace {

struct F32 {
  using Element = float;
  static constexpr smx_datatype kDatatype = smx_datatype_f32;
  static Element From(float value) { return value; }
  static bool IsNan(Element x) { return x != x; }
};

struct F16 {
  using Element = uint16_t;
  static constexpr smx_datatype kDatatype = smx_datatype_f16;
  static Element From(float value) { return fp16_ieee_from_fp32_value(value); }
  static bool IsNan(Element x) { return (x & 0x7FFF) > 0x7C00; }
};

struct Bf16 {
  using Element = uint16_t;
  static constexpr smx_datatype kDatatype = smx_datatype_bf16;
  static Element From(float value) { return scalar_to_bf16(value); }
  static bool IsNan(Element x) { return (x & 0x7FFF) > 0x7F80; }
};

template <class Byte, smx_datatype kType>
struct Quantized {
  using Element = Byte;
  static constexpr smx_datatype kDatatype = kType;
  static bool IsNan(Element) { return false; }
};
using Qu8 = Quantized<uint8_t, smx_datatype_qu8>;
using Qs8 = Quantized<int8_t, smx_datatype_qs8>;

template <class Type>
constexpr bool kIsQuantized = sizeof(typename Type::Element) == 1;

template <class Type>
const typename Type::Element* Input(const void* x) {
  return static_cast<const typename Type::Element*>(x);
}
template <class Type>
typename Type::Element* Output(void* y) {
  return static_cast<typename Type::Element*>(y);
}

// Functions of smx_types from a member of smx_microkernels.
template <class X, auto kSum>
void Sum(const smx_microkernels& kernels, size_t n, const void* x, size_t following, smx_f32_extended* sum,
         const smx_f32_exponential& exponential) {
  (kernels.*kSum)(n, Input<X>(x), following, sum, &exponential);
}

template <class X, auto kMax>
void Max(const smx_microkernels& kernels, size_t n, const void* x, float* max) {
  (kernels.*kMax)(n, Input<X>(x), max);
}

// The kernel's last argument is the quantizer where the output is quantised.
template <class Y, class Kernel, class... Arguments>
void CallForOutput(Kernel* kernel, const smx_f32_quantizer& quantizer, Arguments... arguments) {
  if constexpr (kIsQuantized<Y>) {
    kernel(arguments..., &quantizer);
  } else {
    kernel(arguments...);
  }
}

template <class X, class Y, auto kScale, auto kStream>
void Scale(const smx_microkernels& kernels, bool streams, size_t n, const void* x, void* y,
           const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential,
           const smx_f32_quantizer& quantizer) {
  CallForOutput<Y>(streams ? kernels.*kStream : kernels.*kScale, quantizer, n, Input<X>(x), Output<Y>(y),
                   &reciprocal, &exponential);
}

template <class Y, auto kScale>
void ScaleF32(const smx_microkernels& kernels, size_t n, float* x, void* y,
              const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential,
              const smx_f32_quantizer&) {
  (kernels.*kScale)(n, x, Output<Y>(y), &reciprocal, &exponential);
}

template <class Y, auto kConvert>
void ScaleF32InPlace(const smx_microkernels& kernels, size_t n, float* x, void* y,
                     const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential,
                     const smx_f32_quantizer& quantizer) {
  kernels.f32_vscaleextexp(n, x, x, &reciprocal, &exponential);
  (kernels.*kConvert)(n, x, Output<Y>(y), &quantizer);
}

template <class X, class Y, auto kSubtract>
void Subtract(const smx_microkernels& kernels, size_t n, const void* x, void* y,
              const smx_f32_logarithm& logarithm) {
  (kernels.*kSubtract)(n, Input<X>(x), Output<Y>(y), &logarithm);
}

template <class X, auto kConvert>
void ToF32(const smx_microkernels& kernels, size_t n, const void* x, float* y) {
  (kernels.*kConvert)(n, Input<X>(x), y);
}

template <class Y, auto kConvert>
void FromF32(const smx_microkernels& kernels, size_t n, const float* x, void* y,
             const smx_f32_quantizer& quantizer) {
  CallForOutput<Y>(kernels.*kConvert, quantizer, n, x, Output<Y>(y));
}

void Copy(const smx_microkernels&, size_t n, const void* x, float* y) {
  memcpy(y, x, n * sizeof(float));
}

template <class X>
bool HasNan(size_t n, const void* x) {
  bool has_nan = false;
  for (size_t i = 0; i < n; i++) has_nan |= X::IsNan(Input<X>(x)[i]);
  return has_nan;
}

template <class Y>
void Fill(size_t n, void* y, float value) {
  if (value == 0.0f) {  // is most of what attention leaves out, and all bits are 0 in every type
    memset(y, 0, n * sizeof(typename Y::Element));
    return;
  }
  std::fill_n(Output<Y>(y), n, Y::From(value));
}

using Kernels = smx_microkernels;

// X and Y are types, x and y their names in those of kernels, xy the name of the pair.
#define SMX_PAIR(X, x, Y, xy, stream, scale_f32, subtract, fill, to_f32, from_f32)                        \
  {                                                                                                       \
    X::kDatatype, Y::kDatatype, sizeof(X::Element), sizeof(Y::Element), Sum<X, &Kernels::x##_raddextexp>, \
        Max<X, &Kernels::x##_rmax>, HasNan<X>,                                                            \
        Scale<X, Y, &Kernels::xy##_vscaleextexp, &Kernels::xy##_##stream>, scale_f32, subtract, fill,     \
        to_f32, from_f32                                                                                  \
  }
#define SMX_TYPES(X, x, Y, y, xy, to_f32, from_f32)                               \
  SMX_PAIR(X, x, Y, xy, vstreamextexp, (ScaleF32<Y, &Kernels::y##_vscaleextexp>), \
           (Subtract<X, Y, &Kernels::xy##_vsubextc>), Fill<Y>, to_f32, from_f32)
#define SMX_QUANTIZED(X, x, Y, xy, scale_f32, to_f32, from_f32) \
  SMX_PAIR(X, x, Y, xy, vscaleextexp, scale_f32, nullptr, nullptr, to_f32, from_f32)

constexpr auto kFromF16 = ToF32<F16, &Kernels::f16_f32_vcvt>;
constexpr auto kFromBf16 = ToF32<Bf16, &Kernels::bf16_f32_vcvt>;
constexpr auto kToF16 = FromF32<F16, &Kernels::f32_f16_vcvt>;
constexpr auto kToBf16 = FromF32<Bf16, &Kernels::f32_bf16_vcvt>;
constexpr auto kFromQu8 = ToF32<Qu8, &Kernels::qu8_f32_vcvt>;
constexpr auto kFromQs8 = ToF32<Qs8, &Kernels::qs8_f32_vcvt>;
constexpr auto kToQu8 = FromF32<Qu8, &Kernels::f32_qu8_vcvt>;
constexpr auto kToQs8 = FromF32<Qs8, &Kernels::f32_qs8_vcvt>;

constexpr smx_types kTypes[] = {
    SMX_TYPES(F32, f32, F32, f32, f32, Copy, nullptr),
    SMX_TYPES(F16, f16, F16, f32_f16, f16, kFromF16, kToF16),
    SMX_TYPES(Bf16, bf16, Bf16, f32_bf16, bf16, kFromBf16, kToBf16),
    SMX_TYPES(F16, f16, F32, f32, f16_f32, kFromF16, nullptr),
    SMX_TYPES(Bf16, bf16, F32, f32, bf16_f32, kFromBf16, nullptr),
    SMX_TYPES(F32, f32, F16, f32_f16, f32_f16, Copy, kToF16),
    SMX_TYPES(F32, f32, Bf16, f32_bf16, f32_bf16, Copy, kToBf16),
    SMX_QUANTIZED(Qu8, qu8, Qu8, qu8, (ScaleF32InPlace<Qu8, &Kernels::f32_qu8_vcvt>), kFromQu8, kToQu8),
    SMX_QUANTIZED(Qs8, qs8, Qs8, qs8, (ScaleF32InPlace<Qs8, &Kernels::f32_qs8_vcvt>), kFromQs8, kToQs8),
    SMX_QUANTIZED(Qu8, qu8, F32, qu8_f32, (ScaleF32<F32, &Kernels::f32_vscaleextexp>), kFromQu8, nullptr),
    SMX_QUANTIZED(Qs8, qs8, F32, qs8_f32, (ScaleF32<F32, &Kernels::f32_vscaleextexp>), kFromQs8, nullptr),
};
#undef SMX_QUANTIZED
#undef SMX_TYPES
#undef SMX_PAIR

}  // namespace

const smx_types* smx_find_types(enum smx_datatype input, enum smx_datatype output) {
  for (const smx_types& types : kTypes) {
    if (types.input == input && types.output == output) return &types;
  }
  return nullptr;
}
