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
void Sum(const smx_microkernels& kernels, size_t n, const void* x, smx_f32_extended* sum,
         const smx_f32_exponential& exponential) {
  (kernels.*kSum)(n, Input<X>(x), sum, &exponential);
}

template <class X, auto kMax>
void Max(const smx_microkernels& kernels, size_t n, const void* x, float* max) {
  (kernels.*kMax)(n, Input<X>(x), max);
}

template <class X, class Y, auto kScale, auto kStream>
void Scale(const smx_microkernels& kernels, bool streams, size_t n, const void* x, void* y,
           const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential) {
  (streams ? kernels.*kStream : kernels.*kScale)(n, Input<X>(x), Output<Y>(y), &reciprocal, &exponential);
}

template <class Y, auto kScale>
void ScaleF32(const smx_microkernels& kernels, size_t n, const float* x, void* y,
              const smx_f32_reciprocal& reciprocal, const smx_f32_exponential& exponential) {
  (kernels.*kScale)(n, x, Output<Y>(y), &reciprocal, &exponential);
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
void FromF32(const smx_microkernels& kernels, size_t n, const float* x, void* y) {
  (kernels.*kConvert)(n, x, Output<Y>(y));
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
  std::fill_n(Output<Y>(y), n, Y::From(value));
}

using Kernels = smx_microkernels;

// X and Y are types, x and y their names in those of kernels, xy the name of the pair.
#define SMX_TYPES(X, x, Y, y, xy, to_f32, from_f32)                                                        \
  {                                                                                                        \
    X::kDatatype, Y::kDatatype, sizeof(X::Element), sizeof(Y::Element), Sum<X, &Kernels::x##_raddextexp>,  \
        Max<X, &Kernels::x##_rmax>, HasNan<X>,                                                             \
        Scale<X, Y, &Kernels::xy##_vscaleextexp, &Kernels::xy##_vstreamextexp>,                            \
        ScaleF32<Y, &Kernels::y##_vscaleextexp>, Subtract<X, Y, &Kernels::xy##_vsubextc>, Fill<Y>, to_f32, \
        from_f32                                                                                           \
  }

constexpr auto kFromF16 = ToF32<F16, &Kernels::f16_f32_vcvt>;
constexpr auto kFromBf16 = ToF32<Bf16, &Kernels::bf16_f32_vcvt>;
constexpr auto kToF16 = FromF32<F16, &Kernels::f32_f16_vcvt>;
constexpr auto kToBf16 = FromF32<Bf16, &Kernels::f32_bf16_vcvt>;

constexpr smx_types kTypes[] = {
    SMX_TYPES(F32, f32, F32, f32, f32, Copy, nullptr),
    SMX_TYPES(F16, f16, F16, f32_f16, f16, kFromF16, kToF16),
    SMX_TYPES(Bf16, bf16, Bf16, f32_bf16, bf16, kFromBf16, kToBf16),
    SMX_TYPES(F16, f16, F32, f32, f16_f32, kFromF16, nullptr),
    SMX_TYPES(Bf16, bf16, F32, f32, bf16_f32, kFromBf16, nullptr),
    SMX_TYPES(F32, f32, F16, f32_f16, f32_f16, Copy, kToF16),
    SMX_TYPES(F32, f32, Bf16, f32_bf16, f32_bf16, Copy, kToBf16),
};
#undef SMX_TYPES

}  // namespace

const smx_types* smx_find_types(enum smx_datatype input, enum smx_datatype output) {
  for (const smx_types& types : kTypes) {
    if (types.input == input && types.output == output) return &types;
  }
  return nullptr;
}
