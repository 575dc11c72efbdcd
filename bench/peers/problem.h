// What is computed of a matrix.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

#include "bench/shape.h"
#include "include/smxpack.h"

namespace smx_peers {

struct Problem {
  bool logarithm = false;                // log-softmax
  smx_datatype type = smx_datatype_f32;  // of input and output
  int axis = 1;  // over the last axis of rows x channels; 0: over the first one of channels x rows

  bool IsDefault() const { return !logarithm && type == smx_datatype_f32 && axis == 1; }
};

// Each sets a member, of the text that the command line has for it. Whether there is one.
bool ParseFunction(const std::string& text, Problem* problem);
bool ParseType(const std::string& text, Problem* problem);
bool ParseAxis(const std::string& text, Problem* problem);

// "log-softmax of bf16 over axis 1".
std::string ToString(const Problem& problem);

// What names of results have of it: "/function:log-softmax/type:bf16", without what is the default.
std::string NameFields(const Problem& problem);

// The matrix's two dimensions.
std::vector<int64_t> Sizes(const Problem& problem, const smx_bench::Shape& shape);

// 2 or 4.
size_t ElementBytes(const Problem& problem);

}  // namespace smx_peers
