#include "bench/peers/problem.h"

#include "bench/buffers.h"

namespace smx_peers {
namespace {

const char* FunctionName(const Problem& problem) {
  return problem.logarithm ? "log-softmax" : "softmax";
}

}  // namespace

bool ParseFunction(const std::string& text, Problem* problem) {
  problem->logarithm = text == "log-softmax";
  return text == FunctionName(*problem);
}

bool ParseType(const std::string& text, Problem* problem) {
  for (const smx_datatype type : {smx_datatype_f32, smx_datatype_f16, smx_datatype_bf16}) {
    problem->type = type;
    if (text == smx_bench::TypeName(type)) return true;
  }
  return false;
}

bool ParseAxis(const std::string& text, Problem* problem) {
  problem->axis = text != "0";
  return text == std::to_string(problem->axis);
}

std::string ToString(const Problem& problem) {
  return std::string(FunctionName(problem)) + " of " + smx_bench::TypeName(problem.type) + " over axis " +
         std::to_string(problem.axis);
}

std::string NameFields(const Problem& problem) {
  std::string fields;
  if (problem.logarithm) fields += std::string("/function:") + FunctionName(problem);
  if (problem.type != smx_datatype_f32) fields += std::string("/type:") + smx_bench::TypeName(problem.type);
  if (problem.axis != 1) fields += "/axis:" + std::to_string(problem.axis);
  return fields;
}

std::vector<int64_t> Sizes(const Problem& problem, const smx_bench::Shape& shape) {
  std::vector<int64_t> sizes = {static_cast<int64_t>(shape.rows), static_cast<int64_t>(shape.channels)};
  if (problem.axis == 0) std::swap(sizes[0], sizes[1]);
  return sizes;
}

size_t ElementBytes(const Problem& problem) {
  return problem.type == smx_datatype_f32 ? sizeof(float) : sizeof(uint16_t);
}

}  // namespace smx_peers
