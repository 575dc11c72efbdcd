// smxpack.h for C++17: operators that delete themselves, and pointers of the types that they were created for; from C++20 on
// spans. Throws nothing, and needs neither exceptions nor RTTI. smxpack.h is the manual: a function here takes the arguments
// and returns the statuses of that which it calls.
//
//     smxpack::Softmax<smx_datatype_f32> softmax;
//     smx_status status = softmax.Create();
//     if (status == smx_status_success) status = softmax.Setup(channels, logits, probabilities);
//     if (status == smx_status_success) status = softmax.Run();
#ifndef SMXPACK_HPP_
#define SMXPACK_HPP_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <type_traits>

#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif

#include "smxpack.h"

namespace smxpack {

/// An element in memory.
template <smx_datatype kType>
using Element =
    std::conditional_t<kType == smx_datatype_f32, float,
                       std::conditional_t<kType == smx_datatype_qu8, uint8_t,
                                          std::conditional_t<kType == smx_datatype_qs8, int8_t, uint16_t>>>;

/// Owns an operator, or none. Moves.
class Operator {
 public:
  [[nodiscard]] smx_status Run(pthreadpool_t threadpool = nullptr) noexcept {
    return smx_run_operator(get(), threadpool);
  }

  [[nodiscard]] smx_status SetScale(float scale) noexcept { return smx_set_scale(get(), scale); }

  /// For the functions of smxpack.h; NULL before Create has succeeded.
  smx_operator_t get() const noexcept { return op_.get(); }

 protected:
  /// create(arguments..., &op), and deletes the operator that was there.
  template <typename Function, typename... Arguments>
  smx_status CreateBy(Function create, Arguments... arguments) noexcept {
    smx_operator_t op = nullptr;
    const smx_status status = create(arguments..., &op);
    op_.reset(op);
    return status;
  }

 private:
  struct Deleter {
    void operator()(smx_operator_t op) const noexcept { smx_delete_operator(op); }
  };
  std::unique_ptr<smx_operator, Deleter> op_;
};

namespace internal {

// `elements` are rows of `channels`.
inline bool AreRows(size_t elements, size_t channels) noexcept {
  return channels != 0 && elements % channels == 0;
}

}  // namespace internal

/// From rows to rows.
template <auto kCreate, auto kSetup, smx_datatype kInput, smx_datatype kOutput>
class Map : public Operator {
 public:
  [[nodiscard]] smx_status Create(uint32_t flags = 0) noexcept {
    return CreateBy(kCreate, kInput, kOutput, flags);
  }

  [[nodiscard]] smx_status Setup(size_t batch_size, size_t channels, size_t input_stride,
                                 size_t output_stride, const Element<kInput>* input,
                                 Element<kOutput>* output) noexcept {
    return kSetup(get(), batch_size, channels, input_stride, output_stride, input, output);
  }

#ifdef __cpp_lib_span
  /// Rows that follow one another without gaps. smx_status_invalid_parameter too where the spans are not whole rows, or not as
  /// many; so in all that follow.
  [[nodiscard]] smx_status Setup(size_t channels, std::span<const Element<kInput>> input,
                                 std::span<Element<kOutput>> output) noexcept {
    if (!internal::AreRows(input.size(), channels) || output.size() != input.size()) {
      return smx_status_invalid_parameter;
    }
    return Setup(input.size() / channels, channels, channels, channels, input.data(), output.data());
  }
#endif
};

template <smx_datatype kInput, smx_datatype kOutput = kInput>
using Softmax = Map<smx_create_softmax_nc, smx_setup_softmax_nc, kInput, kOutput>;

/// Softmax of bytes.
template <smx_datatype kInput, smx_datatype kOutput = kInput>
class QuantizedSoftmax : public Softmax<kInput, kOutput> {
 public:
  /// The output's quantization does not matter where that is of floats.
  [[nodiscard]] smx_status Create(float input_scale, const smx_quantization& output = {},
                                  uint32_t flags = 0) noexcept {
    return this->CreateBy(smx_create_softmax_nc_quantized, kInput, input_scale, kOutput, &output, flags);
  }
};

template <smx_datatype kInput, smx_datatype kOutput = kInput>
using LogSoftmax = Map<smx_create_log_softmax_nc, smx_setup_log_softmax_nc, kInput, kOutput>;

/// Over any axis.
template <auto kCreate, auto kSetup, smx_datatype kInput, smx_datatype kOutput>
class AxisMap : public Operator {
 public:
  [[nodiscard]] smx_status Create(uint32_t flags = 0) noexcept {
    return CreateBy(kCreate, kInput, kOutput, flags);
  }

  [[nodiscard]] smx_status Setup(size_t outer, size_t axis, size_t inner, size_t input_outer_stride,
                                 size_t input_axis_stride, size_t output_outer_stride,
                                 size_t output_axis_stride, const Element<kInput>* input,
                                 Element<kOutput>* output) noexcept {
    return kSetup(get(), outer, axis, inner, input_outer_stride, input_axis_stride, output_outer_stride,
                  output_axis_stride, input, output);
  }

  /// A dense tensor.
  [[nodiscard]] smx_status Setup(size_t outer, size_t axis, size_t inner, const Element<kInput>* input,
                                 Element<kOutput>* output) noexcept {
    return Setup(outer, axis, inner, axis * inner, inner, axis * inner, inner, input, output);
  }
};

template <smx_datatype kInput, smx_datatype kOutput = kInput>
using SoftmaxAxis = AxisMap<smx_create_softmax_axis, smx_setup_softmax_axis, kInput, kOutput>;

template <smx_datatype kInput, smx_datatype kOutput = kInput>
using LogSoftmaxAxis = AxisMap<smx_create_log_softmax_axis, smx_setup_log_softmax_axis, kInput, kOutput>;

/// Probabilities of attention. The types are those of the options.
class AttentionSoftmax : public Operator {
 public:
  [[nodiscard]] smx_status Create(const smx_attention_options& options, uint32_t flags = 0) noexcept {
    return CreateBy(smx_create_attention_softmax, &options, flags);
  }

  [[nodiscard]] smx_status Setup(const smx_attention& attention) noexcept {
    return smx_setup_attention_softmax(get(), &attention);
  }
};

/// From rows to a result each.
template <auto kCreate, auto kSetup, smx_datatype kInput, typename Result>
class Reduction : public Operator {
 public:
  [[nodiscard]] smx_status Create(uint32_t flags = 0) noexcept { return CreateBy(kCreate, kInput, flags); }

  [[nodiscard]] smx_status Setup(size_t batch_size, size_t channels, size_t input_stride,
                                 const Element<kInput>* input, Result* output) noexcept {
    return kSetup(get(), batch_size, channels, input_stride, input, output);
  }

#ifdef __cpp_lib_span
  [[nodiscard]] smx_status Setup(size_t channels, std::span<const Element<kInput>> input,
                                 std::span<Result> output) noexcept {
    if (!internal::AreRows(input.size(), channels) || output.size() != input.size() / channels) {
      return smx_status_invalid_parameter;
    }
    return Setup(output.size(), channels, channels, input.data(), output.data());
  }
#endif
};

template <smx_datatype kInput>
using LogSumExp = Reduction<smx_create_logsumexp_nc, smx_setup_logsumexp_nc, kInput, float>;

template <smx_datatype kInput>
using PartialSum = Reduction<smx_create_partial_sum_nc, smx_setup_partial_sum_nc, kInput, smx_partial_sum>;

template <smx_datatype kInput, smx_datatype kOutput = kInput>
class ScaleByPartialSum : public Operator {
 public:
  [[nodiscard]] smx_status Create(uint32_t flags = 0) noexcept {
    return CreateBy(smx_create_scale_by_partial_sum_nc, kInput, kOutput, flags);
  }

  [[nodiscard]] smx_status Setup(size_t batch_size, size_t channels, size_t input_stride,
                                 size_t output_stride, const Element<kInput>* input,
                                 const smx_partial_sum* sums, Element<kOutput>* output) noexcept {
    return smx_setup_scale_by_partial_sum_nc(get(), batch_size, channels, input_stride, output_stride, input,
                                             sums, output);
  }

#ifdef __cpp_lib_span
  [[nodiscard]] smx_status Setup(size_t channels, std::span<const Element<kInput>> input,
                                 std::span<const smx_partial_sum> sums,
                                 std::span<Element<kOutput>> output) noexcept {
    if (!internal::AreRows(input.size(), channels) || output.size() != input.size() ||
        sums.size() != input.size() / channels) {
      return smx_status_invalid_parameter;
    }
    return Setup(sums.size(), channels, channels, channels, input.data(), sums.data(), output.data());
  }
#endif
};

template <smx_datatype kInput, smx_datatype kWeight = kInput>
class MoeGate : public Operator {
 public:
  [[nodiscard]] smx_status Create(smx_gate_scores scores = smx_gate_scores_softmax,
                                  uint32_t flags = 0) noexcept {
    return CreateBy(smx_create_moe_gate_nc, kInput, kWeight, scores, flags);
  }

  [[nodiscard]] smx_status Setup(size_t batch_size, size_t experts, size_t k, size_t input_stride,
                                 const Element<kInput>* logits, const float* bias, Element<kWeight>* weights,
                                 int32_t* indices) noexcept {
    return smx_setup_moe_gate_nc(get(), batch_size, experts, k, input_stride, logits, bias, weights, indices);
  }

#ifdef __cpp_lib_span
  /// An empty bias is none.
  [[nodiscard]] smx_status Setup(size_t experts, size_t k, std::span<const Element<kInput>> logits,
                                 std::span<const float> bias, std::span<Element<kWeight>> weights,
                                 std::span<int32_t> indices) noexcept {
    if (!internal::AreRows(logits.size(), experts) || (!bias.empty() && bias.size() != experts) ||
        weights.size() != logits.size() / experts * k || indices.size() != weights.size()) {
      return smx_status_invalid_parameter;
    }
    return Setup(logits.size() / experts, experts, k, experts, logits.data(),
                 bias.empty() ? nullptr : bias.data(), weights.data(), indices.data());
  }
#endif
};

#ifdef __cpp_lib_span
[[nodiscard]] inline smx_status MergePartialSums(std::span<smx_partial_sum> sums,
                                                 std::span<const smx_partial_sum> others) noexcept {
  if (others.size() != sums.size()) return smx_status_invalid_parameter;
  return smx_merge_partial_sums(sums.size(), sums.data(), others.data());
}
#endif

}  // namespace smxpack

#endif  // SMXPACK_HPP_
