#include "src/operators/attention_logits.h"

#include <math.h>
#include <string.h>

#include <algorithm>

namespace {

// Elements that pass through all steps before the next ones do: they and their mask stay in a level 1 cache.
constexpr size_t kChunk = 1024;

// Of n of a mask's elements, as they are or, where one stands for all, so many of it.
template <class Element>
const Element* Spread(const char* mask, size_t n, size_t key_stride, Element* buffer) {
  const Element* first = reinterpret_cast<const Element*>(mask);
  if (key_stride != 0) return first;
  std::fill_n(buffer, n, *first);
  return buffer;
}

// logits[i] = scale * x[i] + mask[i].
void AddMask(const smx_attention_logits& row, size_t start, size_t n, const float* x, float* logits,
             float scale) {
  const smx_attention_maker& maker = *row.maker;
  const smx_microkernels& kernels = *maker.microkernels;
  const char* mask = row.mask + start * maker.mask_key_stride * maker.mask_bytes;
  if (maker.mask_type == smx_datatype_bool) {
    uint8_t buffer[kChunk];
    return kernels.qu8_f32_vselect(n, Spread(mask, n, maker.mask_key_stride, buffer), x, logits, scale);
  }
  float buffer[kChunk];
  const char* floats = mask;
  if (maker.mask_type != smx_datatype_f32) {
    maker.mask->to_f32(kernels, maker.mask_key_stride == 0 ? 1 : n, mask, buffer);
    floats = reinterpret_cast<const char*>(buffer);
  }
  kernels.f32_vaddmask(n, x, Spread(floats, n, maker.mask_key_stride, buffer), logits, scale);
}

// f32-vaddslope's first: all distances are integers that a float holds.
float FirstDistance(int64_t distance) {
  constexpr int64_t kLargest = int64_t{1} << 24;
  return static_cast<float>(std::clamp(distance, -kLargest, kLargest - static_cast<int64_t>(kChunk)));
}

void MakeChunk(const smx_attention_logits& row, size_t start, size_t n, float* logits) {
  const smx_attention_maker& maker = *row.maker;
  const smx_microkernels& kernels = *maker.microkernels;
  const char* elements = row.x + start * maker.input->input_bytes;
  const float* x = logits;
  float scale = maker.scale;
  if (maker.input_type == smx_datatype_f32) {
    x = reinterpret_cast<const float*>(elements);
  } else {
    maker.input->to_f32(kernels, n, elements, logits);
  }
  if (maker.softcap != 0.0f) {
    kernels.f32_vsoftcap(n, x, logits, scale / maker.softcap, maker.softcap);
    x = logits;
    scale = 1.0f;
  }
  if (row.slope != nullptr) {
    const float first = FirstDistance(row.distance + static_cast<int64_t>(start));
    kernels.f32_vaddslope(n, x, logits, scale, *row.slope, first);
    x = logits;
    scale = 1.0f;
  }
  if (row.mask != nullptr) {
    AddMask(row, start, n, x, logits, scale);
  } else if (scale != 1.0f) {
    kernels.f32_vaddslope(n, x, logits, scale, 0.0f, 0.0f);
  } else if (x != logits) {
    memcpy(logits, x, n * sizeof(float));
  }
}

}  // namespace

void smx_make_attention_logits(const struct smx_logits* logits, size_t start, size_t n, float* tile) {
  const smx_attention_logits& row = *reinterpret_cast<const smx_attention_logits*>(logits);
  const size_t end = std::min(start + n, row.keys);
  for (size_t i = start; i < end; i += kChunk) {
    MakeChunk(row, i, std::min(kChunk, end - i), tile + (i - start));
  }
  if (start + n > row.keys) tile[row.keys - start] = *row.sink;
}
