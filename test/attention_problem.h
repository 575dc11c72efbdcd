// Problems of attention, what include/smxpack.h says of each, and the run of one with its checks on what is touched.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cmath>
#include <functional>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "test/guarded_buffer.h"
#include "test/rows_operator.h"

namespace smx::attention {

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
  // Makes rows of elements, and some of a mask's, in place of the family.
  std::function<std::vector<float>(size_t n, uint64_t seed)> rows;
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

std::ostream& operator<<(std::ostream& out, const Problem& p);

struct Setting {
  std::string isa = "scalar";
  size_t threads = 0;
  size_t task_elements = 0;   // of the thresholds, where it is not 0
  size_t streamed_bytes = 0;  // likewise
  GuardedEdge edge = GuardedEdge::kEnd;
};

struct Result {
  std::vector<std::vector<float>> rows;  // of all keys
  std::vector<float> logsumexp;
};

// A row's logits, of the keys that are seen.
struct Logits {
  std::vector<float> rounded;
  std::vector<long double> exact;
};

std::vector<Logits> LogitsOf(const Problem& p);

// Softmax of logits that attention makes: the flags and the scale that are left to it.
RowsRun RunOf(const Problem& p);

// Runs the problem, and checks what is touched. Padding that is not written counts as 0.
Result Compute(const Problem& p, const Setting& setting);

// The rows by smx_create_softmax_nc and smx_create_logsumexp_nc with the scalar kernels.
Result Expected(const Problem& p, const std::vector<Logits>& logits);

// Fails where the run gives other bits.
void ExpectResult(const Problem& p, const Setting& setting, const Result& expected);

// What follows draws from anything that has Below(bound), a number from 0 to below it.
template <class T, class Random>
T OneOf(Random* random, std::initializer_list<T> values) {
  return values.begin()[random->Below(static_cast<uint32_t>(values.size()))];
}

// Strides of a dense tensor with gaps, with queries or heads further out.
template <class Random>
smx_attention_strides DenseStrides(const smx_attention& n, Random* random) {
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

// With options, sizes and strides at random; elements and masks follow from the seed.
template <class Random>
Problem DrawProblem(Random* random) {
  Problem p;
  p.options.input_type = OneOf(random, {smx_datatype_f32, smx_datatype_f16, smx_datatype_bf16});
  p.options.output_type = OneOf(random, {smx_datatype_f32, smx_datatype_f16, smx_datatype_bf16});
  p.options.mask_type = OneOf(random, {smx_datatype{}, smx_datatype{}, smx_datatype_f32, smx_datatype_f16,
                                       smx_datatype_bf16, smx_datatype_bool});
  p.options.softcap = OneOf(random, {0.0f, 0.0f, 2.0f, 30.0f, 50.0f});
  p.sizes.batch_size = 1 + random->Below(3);
  p.sizes.heads = 1 + random->Below(4);
  p.sizes.queries = 1 + random->Below(6);
  const uint32_t longest = OneOf<uint32_t>(random, {4, 40, 40, 130, 1100});
  p.sizes.keys = 1 + random->Below(longest);
  p.options.window = OneOf<size_t>(random, {0, 0, 1, 7, p.sizes.keys});
  p.flags = random->Below(8);
  p.scale = OneOf(random, {1.0f, 0.125f, 0.08838835f, 3.0f, -0.7f, 0.0f});
  p.input_strides = DenseStrides(p.sizes, random);
  p.output_strides = DenseStrides(p.sizes, random);
  if (p.options.mask_type != 0) {
    p.mask_strides = DenseStrides(p.sizes, random);
    if (random->Below(2) == 0) p.mask_strides.head = 0;
    if (random->Below(2) == 0) p.mask_strides.batch = 0;
    if (random->Below(3) == 0) p.mask_strides.query = 0;
    if (random->Below(8) == 0) p.mask_strides.key = 0;
  }
  if (random->Below(4) == 0) {
    for (size_t h = 0; h < p.sizes.heads; h++) p.slopes.push_back(std::ldexp(1.0f, -static_cast<int>(h)));
  }
  if (random->Below(4) == 0) {
    for (size_t h = 0; h < p.sizes.heads; h++)
      p.sinks.push_back(static_cast<float>(random->Below(65)) / 16.0f - 2.0f);
  }
  if (random->Below(3) == 0) {
    for (size_t b = 0; b < p.sizes.batch_size; b++) {
      p.key_lengths.push_back(random->Below(static_cast<uint32_t>(p.sizes.keys) + 3));
    }
  }
  if (random->Below(4) == 0) {
    for (size_t b = 0; b < p.sizes.batch_size; b++) {
      p.first_positions.push_back(
          static_cast<int64_t>(random->Below(static_cast<uint32_t>(p.sizes.keys) + 4)) - 2);
    }
  }
  p.in_place = p.options.input_type == p.options.output_type && random->Below(3) == 0;
  p.wants_logsumexp = random->Below(4) == 0;
  return p;
}

}  // namespace smx::attention
