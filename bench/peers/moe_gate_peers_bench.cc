// The gate of a mixture of experts beside PyTorch's softmax and topk, in one process on the same buffers:
//
//     moe_gate_peers_bench --benchmark_filter='(PyTorch|moe-gate/softmax/.*types:f32)'
//         --benchmark_enable_random_interleaving=true --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
//
// By itself PyTorch takes no more than AVX2: ATEN_CPU_CAPABILITY=avx512 asks for more.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <string>

#include "bench/measure.h"
#include "bench/moe_gate.h"
#include "bench/operator.h"

namespace {

using smx_bench::kChosen;
using smx_bench::Shape;

struct Gate {
  at::Tensor logits, probabilities, weights, indices;

  Gate(const Shape& shape, const float* x)
      : logits(at::from_blob(const_cast<float*>(x), Sizes(shape.rows, shape.channels), at::kFloat)),
        probabilities(at::empty_like(logits)),
        weights(at::empty(Sizes(shape.rows, kChosen), at::kFloat)),
        indices(at::empty(Sizes(shape.rows, kChosen), at::kLong)) {}

  static std::vector<int64_t> Sizes(size_t rows, size_t columns) {
    return {static_cast<int64_t>(rows), static_cast<int64_t>(columns)};
  }
  void Run() {
    at::softmax_out(probabilities, logits, 1);
    at::topk_out(weights, indices, probabilities, static_cast<int64_t>(kChosen), 1);
  }
};

// Whether the operator chooses the same, where probabilities are not the same.
bool Agrees(const Shape& shape, const float* x, const Gate& gate) {
  std::vector<float> weights(shape.rows * kChosen);
  std::vector<int32_t> indices(shape.rows * kChosen);
  smx_operator_t op = nullptr;
  smx_initialize(nullptr);
  smx_create_moe_gate_nc(smx_datatype_f32, smx_datatype_f32, smx_gate_scores_softmax, 0, &op);
  smx_setup_moe_gate_nc(op, shape.rows, shape.channels, kChosen, shape.channels, x, nullptr, weights.data(),
                        indices.data());
  smx_run_operator(op, nullptr);
  smx_delete_operator(op);
  const float* peer_weights = gate.weights.data_ptr<float>();
  const int64_t* peer_indices = gate.indices.data_ptr<int64_t>();
  size_t others = 0;
  for (size_t i = 0; i < weights.size(); i++) {
    if (std::abs(weights[i] - peer_weights[i]) > 1e-5f) return false;
    others += indices[i] != peer_indices[i];
  }
  return others <= weights.size() / 1000;
}

void Register(const Shape& shape) {
  const std::string name = "moe-gate/PyTorch/types:f32/rows:" + std::to_string(shape.rows) +
                           "/channels:" + std::to_string(shape.channels);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    at::NoGradGuard no_grad;
    at::set_num_threads(1);
    smx_bench::Buffers<> buffers(shape.elements(), smx_bench::Buffering::kWarm);
    const float* x = buffers.Next().x;
    Gate gate(shape, x);
    gate.Run();
    if (!Agrees(shape, x, gate)) return state.SkipWithError("the results are not the same");
    for (auto _ : state) gate.Run();
    smx_bench::ReportRates(state, shape.elements(), sizeof(float), 1);
  })->UseRealTime();
}

void RegisterAll() {
  for (const Shape& shape : smx_bench::kGateShapes) Register(shape);
  smx_bench::RegisterMoeGates();
}

}  // namespace

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, RegisterAll);
}
