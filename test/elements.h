// Elements in memory, and their conversion in the default floating-point environment: what the library's is held against. Those
// of quantised types are the numbers that bytes are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "include/smxpack.h"

namespace smx {

size_t BytesOf(smx_datatype type);
// Such as "bf16".
const char* NameOf(smx_datatype type);

bool IsQuantized(smx_datatype type);
// The least and the largest number of a quantised type.
float LeastOf(smx_datatype type);
float LargestOf(smx_datatype type);

float ReadElement(smx_datatype type, const void* element);
// Rounded to nearest even, to the ends of what bytes are; of NaN the library's, the least byte.
void WriteElement(smx_datatype type, float value, void* element);

std::vector<unsigned char> Encode(smx_datatype type, const float* values, size_t n);
std::vector<float> Decode(smx_datatype type, const void* elements, size_t n);

// The element closest to a float, as a float.
float RoundedTo(smx_datatype type, float value);
std::vector<float> RoundedTo(smx_datatype type, const std::vector<float>& values);

// The value of a number of 16 bits; of infinity what would be next if exponents went on.
float FromHalf(smx_datatype type, uint32_t half);
double MagnitudeOf(smx_datatype type, uint32_t half);

// The number of elements of a type from 0 to a finite one: two that are neighbours differ by 1.
int64_t OrdinalOf(smx_datatype type, float value);

}  // namespace smx
