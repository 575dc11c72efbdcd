// The softmax of attention against the same by PyTorch, by sweeps of our own, and against plain softmax of as many elements, all on
// the calling thread and on the same buffers, which stay warm. Figures that are compared come from one run:
//
//     attention_bench --benchmark_enable_random_interleaving=true --benchmark_repetitions=15
//         --benchmark_report_aggregates_only=true
//
// Names are <mask>/<subject>/<batch>x<heads>x<queries>x<keys>. Masks are added floats or booleans, one for all heads, or that of
// causality. `sweeps` makes all logits, and then their softmax in place; `plain` leaves the mask out. What PyTorch has no operator for is
// there beside plain softmax: slopes, sinks, soft-caps.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/buffers.h"
#include "bench/measure.h"
#include "include/smxpack.h"

namespace {

constexpr float kScale = 0.125f;

struct Shape {
  int64_t batch, heads, queries, keys;

  size_t rows() const { return static_cast<size_t>(batch * heads * queries); }
  size_t row() const { return static_cast<size_t>(keys); }
  size_t elements() const { return rows() * row(); }
  std::vector<int64_t> sizes() const { return {batch, heads, queries, keys}; }
};

constexpr Shape kShapes[] = {{1, 32, 16, 16},   {1, 16, 32, 32},  {1, 2, 64, 64},   {1, 4, 64, 128},
                             {1, 2, 64, 512},   {1, 1, 32, 1024}, {1, 1, 32, 1500}, {1, 1, 32, 2048},
                             {1, 1, 32, 3000},  {1, 1, 8, 4096},  {8, 32, 1, 512},  {1, 32, 128, 128},
                             {1, 16, 512, 512}, {1, 4, 64, 4096}, {1, 32, 1, 4096}, {16, 32, 512, 512},
                             {1, 32, 1, 32768}};

enum class Mask { kFloats, kBooleans, kCausal, kSlopes, kSinks, kSoftcap };
constexpr const char* kMaskNames[] = {"floats", "booleans", "causal", "slopes", "sinks", "softcap"};

struct Masks {
  at::Tensor floats, booleans;

  explicit Masks(const Shape& shape) {
    floats = at::randn({shape.queries, shape.keys});
    booleans = at::rand({shape.queries, shape.keys}) > 0.25;
  }
  static at::Tensor Causal(const Shape& shape) {
    return at::ones({shape.queries, shape.keys}, at::kBool).tril(shape.keys - shape.queries);
  }
};

using Run = std::function<void(const float* x, float* y)>;
using Operator = std::shared_ptr<smx_operator>;

Operator MakeSoftmax() {
  smx_operator_t op = nullptr;
  smx_create_softmax_nc(smx_datatype_f32, smx_datatype_f32, 0, &op);
  return {op, smx_delete_operator};
}

void RunSoftmax(const Operator& op, const Shape& shape, const float* x, float* y) {
  smx_setup_softmax_nc(op.get(), shape.rows(), shape.row(), shape.row(), shape.row(), x, y);
  smx_run_operator(op.get(), nullptr);
}

Run Plain(const Shape& shape) {
  const Operator op = MakeSoftmax();
  smx_set_scale(op.get(), kScale);
  return [=](const float* x, float* y) { RunSoftmax(op, shape, x, y); };
}

Run Fused(const Shape& shape, Mask kind) {
  smx_attention_options options = {smx_datatype_f32, smx_datatype_f32, smx_datatype{}, 0.0f, 0};
  if (kind == Mask::kFloats) options.mask_type = smx_datatype_f32;
  if (kind == Mask::kBooleans) options.mask_type = smx_datatype_bool;
  if (kind == Mask::kSoftcap) options.softcap = 30.0f;
  smx_operator_t created = nullptr;
  smx_create_attention_softmax(&options, kind == Mask::kCausal ? SMX_FLAG_CAUSAL : 0, &created);
  const Operator op(created, smx_delete_operator);
  smx_set_scale(op.get(), kScale);
  const Masks masks(shape);
  const size_t keys = shape.row(), queries = static_cast<size_t>(shape.queries),
               heads = static_cast<size_t>(shape.heads);
  smx_attention attention = {};
  attention.batch_size = static_cast<size_t>(shape.batch);
  attention.heads = heads;
  attention.queries = queries;
  attention.keys = keys;
  attention.input_strides = attention.output_strides = {heads * queries * keys, queries * keys, keys, 1};
  attention.mask_strides = {0, 0, keys, 1};
  if (kind == Mask::kFloats) attention.mask = masks.floats.data_ptr();
  if (kind == Mask::kBooleans) attention.mask = masks.booleans.data_ptr();
  const std::vector<float> of_heads(heads, 0.125f);
  return [=](const float* x, float* y) mutable {
    attention.input = x;
    attention.output = y;
    if (kind == Mask::kSlopes) attention.slopes = of_heads.data();
    if (kind == Mask::kSinks) attention.sinks = of_heads.data();
    smx_setup_attention_softmax(op.get(), &attention);
    smx_run_operator(op.get(), nullptr);
    benchmark::DoNotOptimize(masks);
  };
}

// A loop as a compiler vectorises it.
void MakeLogits(const Shape& shape, const float* x, const float* mask, float* y) {
  const size_t rows = shape.rows(), keys = shape.row(), queries = static_cast<size_t>(shape.queries);
  for (size_t r = 0; r < rows; r++) {
    const float* row_mask = mask + r % queries * keys;
    for (size_t k = 0; k < keys; k++) y[r * keys + k] = kScale * x[r * keys + k] + row_mask[k];
  }
}

Run Sweeps(const Shape& shape, Mask kind) {
  const Operator op = MakeSoftmax();
  const Masks masks(shape);
  at::Tensor mask = masks.floats;
  if (kind != Mask::kFloats) {
    const at::Tensor sees = kind == Mask::kCausal ? Masks::Causal(shape) : masks.booleans;
    mask = at::zeros({shape.queries, shape.keys}).masked_fill(sees.logical_not(), -INFINITY);
  }
  return [=](const float* x, float* y) {
    MakeLogits(shape, x, mask.data_ptr<float>(), y);
    RunSoftmax(op, shape, y, y);
  };
}

// As torch.nn.functional.scaled_dot_product_attention computes it where it has no fused kernel, without allocating.
Run PyTorch(const Shape& shape, Mask kind) {
  const Masks masks(shape);
  const at::Tensor hidden = (kind == Mask::kCausal ? Masks::Causal(shape) : masks.booleans).logical_not();
  return [=](const float* x, float* y) {
    const at::NoGradGuard no_grad;
    const at::Tensor logits = at::from_blob(const_cast<float*>(x), shape.sizes());
    at::Tensor result = at::from_blob(y, shape.sizes());
    if (kind == Mask::kFloats) {
      at::add_out(result, masks.floats, logits, kScale);
    } else {
      at::mul_out(result, logits, at::scalar_tensor(kScale));
      result.masked_fill_(hidden, -INFINITY);
    }
    at::softmax_out(result, result, -1);
  };
}

void Register(const std::string& mask, const std::string& subject, const Shape& shape,
              const std::function<Run()>& make) {
  std::string name = mask + "/" + subject + "/";
  for (const int64_t size : shape.sizes()) name += (name.back() == '/' ? "" : "x") + std::to_string(size);
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    const Run run = make();
    smx_bench::Measure(state, shape.elements(), smx_bench::Buffering::kWarm, {1, 1}, run);
  });
}

void RegisterAll() {
  smx_initialize(nullptr);
  at::set_num_threads(1);
  for (const Shape& shape : kShapes) {
    for (const Mask mask : {Mask::kFloats, Mask::kBooleans, Mask::kCausal}) {
      const std::string name = kMaskNames[static_cast<int>(mask)];
      Register(name, "fused", shape, [=] { return Fused(shape, mask); });
      Register(name, "sweeps", shape, [=] { return Sweeps(shape, mask); });
      Register(name, "plain", shape, [=] { return Plain(shape); });
      Register(name, "pytorch", shape, [=] { return PyTorch(shape, mask); });
    }
    for (const Mask mask : {Mask::kSlopes, Mask::kSinks, Mask::kSoftcap}) {
      const std::string name = kMaskNames[static_cast<int>(mask)];
      Register(name, "fused", shape, [=] { return Fused(shape, mask); });
      Register(name, "plain", shape, [=] { return Plain(shape); });
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return smx_bench::RunBenchmarks(argc, argv, RegisterAll);
}
