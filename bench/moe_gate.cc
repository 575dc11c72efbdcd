#include "bench/moe_gate.h"

#include <string>
#include <vector>

#include "bench/algorithms.h"
#include "bench/measure.h"
#include "bench/operator.h"

namespace smx_bench {
namespace {

int32_t* SharedIndices(size_t n) {
  static std::vector<int32_t> indices;
  if (indices.size() < n) indices.resize(n);
  return indices.data();
}

const float* SharedBias(size_t n) {
  static const std::vector<float> bias(512, 0.125f);
  return n <= bias.size() ? bias.data() : nullptr;
}

template <smx_gate_scores kScores, uint32_t kFlags, bool kHasBias>
constexpr OperatorKind Gate(const char* name) {
  return {name,
          [](smx_datatype type, smx_operator_t* op) {
            return smx_create_moe_gate_nc(type, smx_datatype_f32, kScores, kFlags, op);
          },
          [](smx_operator_t op, const Shape& shape, const void* x, void* y, smx_partial_sum*) {
            const float* bias = kHasBias ? SharedBias(shape.channels) : nullptr;
            return smx_setup_moe_gate_nc(op, shape.rows, shape.channels, kChosen, shape.channels, x, bias, y,
                                         SharedIndices(shape.rows * kChosen));
          },
          {1, 0}};
}

// Softmax before the selection and after it, and as DeepSeek-V3 has it.
constexpr uint32_t kNormalize = SMX_FLAG_NORMALIZE_WEIGHTS;
constexpr OperatorKind kGates[] = {
    Gate<smx_gate_scores_softmax, 0, false>("softmax"),
    Gate<smx_gate_scores_logits, 0, false>("logits"),
    Gate<smx_gate_scores_sigmoid, kNormalize, true>("sigmoid,bias,normalized"),
};

template <class Type>
void Register(const Kernels& kernels, const OperatorKind& kind, const Shape& shape) {
  const std::string name = std::string("moe-gate/") + kind.name + "/isa:" + kernels.isa +
                           "/types:" + TypeName(Type::kDatatype) + "/rows:" + std::to_string(shape.rows) +
                           "/channels:" + std::to_string(shape.channels);
  benchmark::RegisterBenchmark(name.c_str(), [=, &kernels, &kind](benchmark::State& state) {
    Operator op(kernels.isa, kind, Type::kDatatype);
    if (op.get() == nullptr) return state.SkipWithError("the operator could not be created for this ISA");
    Measure<Type, F32>(state, shape.elements(), Buffering::kWarm, kind.traffic, [&](const auto* x, float* y) {
      op.SetUp(shape, x, y);
      smx_run_operator(op.get(), nullptr);
    });
  })->UseRealTime();
}

}  // namespace

void RegisterMoeGates() {
  for (const Shape& shape : kGateShapes) {
    for (const Kernels& kernels : AvailableKernels()) {
      for (const OperatorKind& kind : kGates) {
        Register<F32>(kernels, kind, shape);
        Register<F16>(kernels, kind, shape);
        Register<Bf16>(kernels, kind, shape);
      }
    }
  }
}

}  // namespace smx_bench
