#include "test/elements.h"

#include <fp16.h>
#include <math.h>
#include <string.h>

#include <algorithm>

#include "test/microkernel_fixture.h"

namespace smx {
namespace {

// To the nearer of its two neighbours, in between to the even one.
uint16_t ToBf16(float x) {
  if (isnan(x)) return 0x7FC0;
  const uint32_t towards_zero = Bits(x) >> 16;
  if (isinf(x)) return static_cast<uint16_t>(towards_zero);
  const double magnitude = static_cast<double>(fabsf(x));
  const double down = magnitude - MagnitudeOf(smx_datatype_bf16, towards_zero);
  const double up = MagnitudeOf(smx_datatype_bf16, towards_zero + 1) - magnitude;
  const bool rounds_up = up < down || (up == down && towards_zero % 2 == 1);
  return static_cast<uint16_t>(towards_zero + rounds_up);
}

uint16_t ToHalf(smx_datatype type, float x) {
  return type == smx_datatype_f16 ? fp16_ieee_from_fp32_value(x) : ToBf16(x);
}

}  // namespace

size_t BytesOf(smx_datatype type) {
  return type == smx_datatype_f32 ? sizeof(float) : IsQuantized(type) ? 1 : sizeof(uint16_t);
}

const char* NameOf(smx_datatype type) {
  constexpr const char* kNames[] = {"none", "f32", "f16", "bf16", "qu8", "qs8"};
  return kNames[type];
}

bool IsQuantized(smx_datatype type) {
  return type == smx_datatype_qu8 || type == smx_datatype_qs8;
}

float LeastOf(smx_datatype type) {
  return type == smx_datatype_qu8 ? 0.0f : -128.0f;
}

float LargestOf(smx_datatype type) {
  return LeastOf(type) + 255.0f;
}

float ReadElement(smx_datatype type, const void* element) {
  if (type == smx_datatype_f32) {
    float value;
    memcpy(&value, element, sizeof(value));
    return value;
  }
  if (type == smx_datatype_qu8) return *static_cast<const uint8_t*>(element);
  if (type == smx_datatype_qs8) return *static_cast<const int8_t*>(element);
  uint16_t half;
  memcpy(&half, element, sizeof(half));
  return FromHalf(type, half);
}

void WriteElement(smx_datatype type, float value, void* element) {
  if (type == smx_datatype_f32) {
    memcpy(element, &value, sizeof(value));
  } else if (IsQuantized(type)) {
    *static_cast<uint8_t*>(element) = static_cast<uint8_t>(static_cast<int>(RoundedTo(type, value)));
  } else {
    const uint16_t half = ToHalf(type, value);
    memcpy(element, &half, sizeof(half));
  }
}

std::vector<unsigned char> Encode(smx_datatype type, const float* values, size_t n) {
  std::vector<unsigned char> elements(n * BytesOf(type));
  for (size_t i = 0; i < n; i++) WriteElement(type, values[i], elements.data() + i * BytesOf(type));
  return elements;
}

std::vector<float> Decode(smx_datatype type, const void* elements, size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; i++) {
    values[i] = ReadElement(type, static_cast<const unsigned char*>(elements) + i * BytesOf(type));
  }
  return values;
}

float RoundedTo(smx_datatype type, float value) {
  if (type == smx_datatype_f32) return value;
  if (!IsQuantized(type)) return FromHalf(type, ToHalf(type, value));
  if (isnan(value)) return LeastOf(type);
  return nearbyintf(std::clamp(value, LeastOf(type), LargestOf(type))) + 0.0f;  // there is no -0
}

std::vector<float> RoundedTo(smx_datatype type, const std::vector<float>& values) {
  std::vector<float> rounded;
  for (float value : values) rounded.push_back(RoundedTo(type, value));
  return rounded;
}

float FromHalf(smx_datatype type, uint32_t half) {
  return type == smx_datatype_f16 ? fp16_ieee_to_fp32_value(static_cast<uint16_t>(half))
                                  : FromBits(half << 16);
}

double MagnitudeOf(smx_datatype type, uint32_t half) {
  constexpr uint32_t kMagnitudes = 0x8000;  // the sign is the highest bit
  const double magnitude = static_cast<double>(FromHalf(type, half % kMagnitudes));
  return isinf(magnitude) ? (type == smx_datatype_f16 ? 0x1p16 : 0x1p128) : magnitude;
}

int64_t OrdinalOf(smx_datatype type, float value) {
  const float magnitude = fabsf(value);
  const int64_t ordinal = type == smx_datatype_f32 ? Bits(magnitude) : ToHalf(type, magnitude);
  return signbit(value) ? -ordinal : ordinal;
}

}  // namespace smx
