// The gate of a mixture of experts. See smx_create_moe_gate_nc in include/smxpack.h.
#include <float.h>
#include <math.h>

#include <algorithm>

#include "src/isa/scalar.h"
#include "src/kernels/topk.h"
#include "src/operators/layout.h"
#include "src/operators/operator.h"
#include "src/operators/rows.h"
#include "src/runtime/fp_environment.h"
#include "src/runtime/log.h"
#include "src/runtime/parallelize.h"

namespace {

// The rows are those of the logits; their output is the weights, k a row.
struct MoeGate {
  smx_rows rows;
  enum smx_gate_scores scores;
  size_t k;
  const float* bias;
  int32_t* indices;

  size_t experts() const { return rows.channels; }
  bool normalizes() const { return (rows.flags & SMX_FLAG_NORMALIZE_WEIGHTS) != 0; }
  // Whether a weight is a part of what all experts sum up to; otherwise it is made of the chosen logits.
  bool gathers_scores() const { return scores == smx_gate_scores_softmax && !normalizes(); }
  const smx_microkernels& kernels() const { return rows.base.microkernels; }
};

MoeGate* Gate(smx_operator* op) {
  return reinterpret_cast<MoeGate*>(op);
}
const MoeGate* Gate(const smx_operator* op) {
  return reinterpret_cast<const MoeGate*>(op);
}

// Of tokens that go together: as many as the kernel wants, even of the longest rows.
constexpr size_t kElementsTogether = SMX_TOPK_ROWS * SMX_TOPK_ROW;

// Rows of floats, one a token.
struct Matrix {
  const float* first;
  size_t stride;
};

// What a run computes with beside the operator: softmax of rows of all experts, and of the chosen ones.
struct Run {
  const MoeGate& gate;
  smx_scale scale;  // of directed logits: not negative
  smx_rows all;
  smx_rows chosen;
};

// Of directed logits.
[[gnu::noinline]] smx_rows SoftmaxOver(const MoeGate& gate, const smx_scale& scale, size_t channels) {
  smx_rows rows = gate.rows;
  rows.types = smx_find_types(smx_datatype_f32, smx_datatype_f32);
  rows.scale = scale;
  rows.channels = channels;
  rows.output_stride = channels;
  rows.serial_plan = smx_plan_rows(&rows, 1);
  return rows;
}

void Softmax(const smx_rows& softmax, size_t tokens, const Matrix& x, float* y) {
  smx_rows rows = softmax;
  rows.batch_size = tokens;
  rows.input = x.first;
  rows.input_stride = x.stride;
  rows.output = y;
  smx_run_rows(&rows, nullptr);
}

// x = 1 / (1 + exp(-scale * x)), as e / (1 + e) with e = exp(scale * x). From 2^32 on, e makes it 1.
void Sigmoid(const Run& run, size_t n, float* x) {
  constexpr smx_f32_reciprocal kOne = {1.0f, 0.0f, 0};
  const smx_f32_exponential& exponential = run.scale.exponential;
  const smx_staging staging = smx_staging_of(&run.scale, false, 0.0f);
  const float most = 32.0f * exponential.ln2;
  for (size_t i = 0; i < n; i++) {
    const float staged = smx_staged(&staging, x[i]);
    x[i] = staged > most ? most : staged;
  }
  run.gate.kernels().f32_vscaleextexp(n, x, x, &kOne, &exponential);
  for (size_t i = 0; i < n; i++) {
    const float y = x[i] / (1.0f + x[i]);
    x[i] = y != y ? NAN : y;
  }
}

// Flushed below FLT_MIN before it is rounded, which not all processors do by themselves. Small rather than fast.
[[gnu::cold]] void Multiply(float factor, size_t n, float* x) {
  for (size_t i = 0; i < n; i++) {
    const double product = static_cast<double>(x[i]) * static_cast<double>(factor);
    x[i] = fabs(product) < static_cast<double>(FLT_MIN) ? 0.0f : static_cast<float>(product);
  }
}

// The logits as floats, negated under a negative scale, and zeros under one of 0: then those of the largest products
// with the scale are the largest.
Matrix DirectedLogits(const MoeGate& gate, size_t first, size_t tokens, float* buffer) {
  const smx_rows& rows = gate.rows;
  const size_t stride = rows.input_stride * rows.types->input_bytes;
  const char* x = static_cast<const char*>(rows.input) + first * stride;
  const float direction = rows.scale.direction;
  if (rows.types->input == smx_datatype_f32 && direction == 1.0f) {
    return {reinterpret_cast<const float*>(x), rows.input_stride};
  }
  const size_t experts = gate.experts();
  for (size_t t = 0; t < tokens; t++) {
    rows.types->to_f32(gate.kernels(), experts, x + t * stride, buffer + t * experts);
  }
  if (direction != 1.0f) Multiply(direction, tokens * experts, buffer);
  return {buffer, experts};
}

// Of all experts.
void Score(const Run& run, size_t tokens, const Matrix& logits, float* scores) {
  if (run.gate.scores == smx_gate_scores_softmax) return Softmax(run.all, tokens, logits, scores);
  const size_t experts = run.gate.experts();
  for (size_t t = 0; t < tokens; t++)
    std::copy_n(logits.first + t * logits.stride, experts, scores + t * experts);
  if (run.gate.scores == smx_gate_scores_sigmoid) return Sigmoid(run, tokens * experts, scores);
  if (run.scale.value != 1.0f) Multiply(run.scale.value, tokens * experts, scores);
}

void AddBias(size_t tokens, size_t experts, const float* bias, const float* scores, float* sums) {
  for (size_t t = 0; t < tokens; t++) {
    for (size_t i = 0; i < experts; i++) sums[t * experts + i] = scores[t * experts + i] + bias[i];
  }
}

// For one token, by insertion: where there are few, lanes would be idle.
void ChooseForOne(size_t n, size_t k, const float* x, int32_t* indices) {
  double best[SMX_TOPK];
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    const double key = scalar_to_key(x[i], smx_topk_rank(i));
    if (count == k && key < best[k - 1]) continue;
    size_t at = count < k ? count++ : k - 1;
    for (; at > 0 && best[at - 1] < key; at--) best[at] = best[at - 1];
    best[at] = key;
  }
  for (size_t j = 0; j < k; j++) indices[j] = smx_topk_index(best[j]);
}

void Choose(const MoeGate& gate, size_t tokens, const Matrix& keys, int32_t* indices) {
  const size_t n = gate.experts(), k = gate.k;
  if (tokens >= SMX_TOPK_ROWS) return gate.kernels().f32_topk(tokens, n, k, keys.first, keys.stride, indices);
  for (size_t t = 0; t < tokens; t++) ChooseForOne(n, k, keys.first + t * keys.stride, indices + t * k);
}

void Gather(size_t tokens, size_t k, const Matrix& x, const int32_t* indices, float* y) {
  for (size_t t = 0; t < tokens; t++) {
    for (size_t j = 0; j < k; j++)
      y[t * k + j] = x.first[t * x.stride + static_cast<size_t>(indices[t * k + j])];
  }
}

// w[j] /= sum(w). Processors differ in whether they flush before or after they round: the last operation before a flush
// is a product with a power of two. Small rather than fast, for k is.
[[gnu::cold]] void Normalize(size_t k, float of_zeros, float* w) {
  double sum = 0.0;
  for (size_t j = 0; j < k; j++) sum += static_cast<double>(w[j]);
  for (size_t j = 0; j < k; j++) {
    const double part = static_cast<double>(w[j]) / sum * 0x1p32;
    w[j] = sum > 0.0 ? static_cast<float>(part) * 0x1p-32f : sum == 0.0 ? of_zeros : NAN;
  }
}

// From what was gathered for the chosen experts to their weights, in place.
void Weigh(const Run& run, size_t tokens, float* w) {
  const MoeGate& gate = run.gate;
  const size_t k = gate.k;
  if (gate.gathers_scores()) return;
  if (gate.scores != smx_gate_scores_sigmoid) return Softmax(run.chosen, tokens, {w, k}, w);
  Sigmoid(run, tokens * k, w);
  if (!gate.normalizes()) return;
  const float of_zeros = smx_special_probability(&gate.rows, -INFINITY);
  for (size_t t = 0; t < tokens; t++) Normalize(k, of_zeros, w + t * k);
}

// A buffer holds what is selected by or gathered from, and the weights when nothing else needs it.
void RunTogether(const Run& run, size_t first, size_t tokens) {
  const MoeGate& gate = run.gate;
  const size_t experts = gate.experts();
  float buffers[2][kElementsTogether];
  const Matrix logits = DirectedLogits(gate, first, tokens, buffers[0]);
  const Matrix scores = {buffers[1], experts};
  if (gate.gathers_scores() || gate.bias != nullptr) Score(run, tokens, logits, buffers[1]);
  float* spare = gate.gathers_scores() ? buffers[0] : buffers[1];
  if (gate.bias != nullptr) AddBias(tokens, experts, gate.bias, scores.first, spare);

  const Matrix keys = gate.bias != nullptr ? Matrix{spare, experts} : logits;
  int32_t* indices = gate.indices + first * gate.k;
  Choose(gate, tokens, keys, indices);

  const smx_types& types = *gate.rows.types;
  char* output = static_cast<char*>(gate.rows.output) + first * gate.k * types.output_bytes;
  const bool is_f32 = types.output == smx_datatype_f32;
  float* weights = is_f32 ? reinterpret_cast<float*>(output) : spare;
  Gather(tokens, gate.k, gate.gathers_scores() ? scores : logits, indices, weights);
  Weigh(run, tokens, weights);
  if (!is_f32) types.from_f32(gate.kernels(), tokens * gate.k, weights, output, gate.rows.quantizer);
}

// Whole groups of lanes, that are worth a task.
size_t TokensPerTask(const MoeGate& gate) {
  const size_t worth =
      std::min((gate.rows.base.thresholds.task_elements - 1) / gate.experts(), gate.rows.batch_size);
  return (worth / SMX_TOPK_ROWS + 1) * SMX_TOPK_ROWS;
}

void RunGate(smx_operator* op, pthreadpool_t threadpool) {
  const MoeGate& gate = *Gate(op);
  const size_t batch_size = gate.rows.batch_size;
  if (batch_size == 0) return;
  smx_scale scale = gate.rows.scale;
  scale.value = fabsf(scale.value);
  scale.direction = fabsf(scale.direction);
  const Run run = {gate, scale, SoftmaxOver(gate, scale, gate.experts()), SoftmaxOver(gate, scale, gate.k)};
  const size_t together = kElementsTogether / gate.experts() / SMX_TOPK_ROWS * SMX_TOPK_ROWS;
  const auto run_some = [&](size_t start, size_t count) {
    for (size_t t = 0; t < count; t += together) RunTogether(run, start + t, std::min(together, count - t));
  };
  const size_t tokens_per_task = TokensPerTask(gate);
  const bool is_one_task = batch_size <= tokens_per_task;
  smx_parallelize(is_one_task ? nullptr : threadpool, batch_size, tokens_per_task, run_some);
}

void DescribePlan(const smx_operator* op, size_t, smx_plan* plan_out) {
  *plan_out = {"tokens-as-lanes", "experts are found by networks that take a token a lane", false, 0,
               TokensPerTask(*Gate(op))};
}

const char* SetScale(smx_operator* op, float scale) {
  return smx_set_rows_scale(&Gate(op)->rows, scale);
}

constexpr smx_operator_type kMoeGateNc = {"moe_gate_nc", RunGate, DescribePlan, SetScale};

[[gnu::cold]] smx_status CheckNumbers(size_t experts, size_t k) {
  const bool is_unsupported = experts > SMX_TOPK_ROW || k > SMX_TOPK;
  const char* reason = k == 0                   ? "k is 0"
                       : k > experts            ? "k is above experts"
                       : experts > SMX_TOPK_ROW ? "experts is above 512"
                       : is_unsupported         ? "k is above 64"
                                                : nullptr;
  if (reason == nullptr) return smx_status_success;
  smx_log_error("setup %s: %s", kMoeGateNc.name, reason);
  return k != 0 && k <= experts ? smx_status_unsupported_parameter : smx_status_invalid_parameter;
}

// What is written overlaps nothing else.
[[gnu::cold]] smx_status CheckMemory(const smx_layout (&layouts)[4]) {
  constexpr const char* kNames[] = {"logits", "bias", "weights", "indices"};
  constexpr size_t kWritten = 2;
  for (size_t i = 0; i < 3; i++) {
    if (layouts[i].rows == 0 && i == 1) continue;
    for (size_t j = std::max(i + 1, kWritten); j < 4; j++) {
      const char* reason = smx_invalid_layouts(&layouts[i], &layouts[j], false);
      if (reason == nullptr) continue;
      smx_log_error("setup %s: %s as input, %s as output: %s", kMoeGateNc.name, kNames[i], kNames[j], reason);
      return smx_status_invalid_parameter;
    }
  }
  return smx_status_success;
}

}  // namespace

enum smx_status smx_create_moe_gate_nc(enum smx_datatype input_type, enum smx_datatype weight_type,
                                       enum smx_gate_scores scores, uint32_t flags, smx_operator_t* op_out) {
  const enum smx_status status = smx_create_rows(
      &kMoeGateNc, sizeof(MoeGate), "moe_gate_op_out", smx_rows_softmax, input_type, weight_type, nullptr,
      SMX_FLAG_NORMALIZE_WEIGHTS | SMX_FLAG_MASKED_ROWS_TO_ZERO, flags, op_out);
  if (status != smx_status_success) return status;
  Gate(*op_out)->scores = scores;
  switch (scores) {
    case smx_gate_scores_softmax:
    case smx_gate_scores_logits:
    case smx_gate_scores_sigmoid:
      return smx_status_success;
  }
  smx_log_error("create %s: unknown scores %d", kMoeGateNc.name, static_cast<int>(scores));
  smx_delete_operator(*op_out);
  *op_out = nullptr;
  return smx_status_invalid_parameter;
}

enum smx_status smx_setup_moe_gate_nc(smx_operator_t moe_gate_op, size_t batch_size, size_t experts, size_t k,
                                      size_t input_stride, const void* logits, const float* bias,
                                      void* weights, int32_t* indices) {
  enum smx_status status = smx_check_operator(moe_gate_op, &kMoeGateNc);
  if (status == smx_status_success) status = CheckNumbers(experts, k);
  if (status != smx_status_success) return status;
  MoeGate* gate = Gate(moe_gate_op);
  smx_rows* rows = &gate->rows;
  const size_t biases = bias != nullptr && batch_size > 0 ? 1 : 0;
  status = CheckMemory({{batch_size, experts, input_stride, rows->types->input_bytes, logits},
                        {biases, experts, experts, sizeof(float), bias},
                        {batch_size, k, k, rows->types->output_bytes, weights},
                        {batch_size, k, k, sizeof(int32_t), indices}});
  if (status != smx_status_success) return status;
  rows->batch_size = batch_size;
  rows->channels = experts;
  rows->input_stride = input_stride;
  rows->output_stride = k;
  rows->input = logits;
  rows->output = weights;
  rows->base.is_set_up = true;
  gate->k = k;
  gate->bias = bias;
  gate->indices = indices;
  return smx_status_success;
}
