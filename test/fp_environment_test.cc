// Every function that computes, in every floating-point environment of its caller: nothing traps, results are the same bits, and
// the environment is as it was, its exception flags too. softmax_nc_f32_test has softmax of floats, under every plan.
#include <float.h>
#include <gtest/gtest.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "include/smxpack.h"
#include "src/gen/microkernels.h"
#include "test/elements.h"
#include "test/extent.h"
#include "test/fp_environments.h"
#include "test/isas.h"
#include "test/rows.h"
#include "test/softmax_tester.h"

namespace smx {
namespace {

using Bytes = std::vector<unsigned char>;
using Sums = std::vector<smx_partial_sum>;

float FromBits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof(f));
  return f;
}

const float kSignalling = FromBits(0x7F800001);

struct Shape {
  size_t rows;
  size_t channels;
};

// Memory as calls take it, of any type.
struct Buffers {
  const void* x;
  const smx_partial_sum* sums;  // of the rows
  void* y;
};

// One operator, from its creation on. Nothing here computes, for that would be in the caller's environment.
struct Operator {
  const char* name;
  smx_datatype input;
  smx_datatype output;
  smx_status (*create)(const Operator& self, smx_operator_t* op);
  smx_status (*set_up)(smx_operator_t op, const Shape& shape, const Buffers& buffers);
};

template <smx_status (*kCreate)(smx_datatype, smx_datatype, uint32_t, smx_operator_t*)>
smx_status Create(const Operator& self, smx_operator_t* op) {
  return kCreate(self.input, self.output, 0, op);
}

template <smx_status (*kCreate)(smx_datatype, uint32_t, smx_operator_t*)>
smx_status CreateReduction(const Operator& self, smx_operator_t* op) {
  return kCreate(self.input, 0, op);
}

smx_status CreateQuantized(const Operator& self, smx_operator_t* op) {
  const smx_quantization quantization = {1.0f / 256.0f, self.output == smx_datatype_qs8 ? -128 : 0};
  return smx_create_softmax_nc_quantized(self.input, 0.1f, self.output, &quantization, 0, op);
}

template <smx_status (*kSetUp)(smx_operator_t, size_t, size_t, size_t, size_t, const void*, void*)>
smx_status SetUpRows(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  return kSetUp(op, shape.rows, shape.channels, shape.channels, shape.channels, buffers.x, buffers.y);
}

// Rows are columns.
template <smx_status (*kSetUp)(smx_operator_t, size_t, size_t, size_t, size_t, size_t, size_t, size_t,
                               const void*, void*)>
smx_status SetUpAxis(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  return kSetUp(op, 1, shape.channels, shape.rows, 0, shape.rows, 0, shape.rows, buffers.x, buffers.y);
}

smx_status SetUpLogSumExp(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  return smx_setup_logsumexp_nc(op, shape.rows, shape.channels, shape.channels, buffers.x,
                                static_cast<float*>(buffers.y));
}

smx_status SetUpPartialSum(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  return smx_setup_partial_sum_nc(op, shape.rows, shape.channels, shape.channels, buffers.x,
                                  static_cast<smx_partial_sum*>(buffers.y));
}

smx_status SetUpScaleBySum(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  return smx_setup_scale_by_partial_sum_nc(op, shape.rows, shape.channels, shape.channels, shape.channels,
                                           buffers.x, buffers.sums, buffers.y);
}

smx_status CreateAttention(const Operator& self, smx_operator_t* op) {
  const smx_attention_options options = {self.input, self.output, self.input, 20.0f, 0};
  return smx_create_attention_softmax(&options, SMX_FLAG_CAUSAL, op);
}

// Rows are queries, and their own masks.
smx_status SetUpAttention(smx_operator_t op, const Shape& shape, const Buffers& buffers) {
  smx_attention attention = {};
  attention.batch_size = attention.heads = 1;
  attention.queries = shape.rows;
  attention.keys = shape.channels;
  attention.input_strides = attention.output_strides = attention.mask_strides = {0, 0, shape.channels, 1};
  attention.input = attention.mask = buffers.x;
  attention.output = buffers.y;
  return smx_setup_attention_softmax(op, &attention);
}

constexpr smx_datatype kF32 = smx_datatype_f32, kF16 = smx_datatype_f16, kBf16 = smx_datatype_bf16,
                       kQu8 = smx_datatype_qu8, kQs8 = smx_datatype_qs8;

const Operator kOperators[] = {
    {"softmax_f32_f16", kF32, kF16, Create<smx_create_softmax_nc>, SetUpRows<smx_setup_softmax_nc>},
    {"softmax_f16", kF16, kF16, Create<smx_create_softmax_nc>, SetUpRows<smx_setup_softmax_nc>},
    {"softmax_bf16", kBf16, kBf16, Create<smx_create_softmax_nc>, SetUpRows<smx_setup_softmax_nc>},
    {"softmax_qu8", kQu8, kQu8, CreateQuantized, SetUpRows<smx_setup_softmax_nc>},
    {"softmax_qs8", kQs8, kQs8, CreateQuantized, SetUpRows<smx_setup_softmax_nc>},
    {"softmax_qu8_f32", kQu8, kF32, CreateQuantized, SetUpRows<smx_setup_softmax_nc>},
    {"log_softmax_f32", kF32, kF32, Create<smx_create_log_softmax_nc>, SetUpRows<smx_setup_log_softmax_nc>},
    {"log_softmax_bf16_f32", kBf16, kF32, Create<smx_create_log_softmax_nc>,
     SetUpRows<smx_setup_log_softmax_nc>},
    {"logsumexp_f32", kF32, kF32, CreateReduction<smx_create_logsumexp_nc>, SetUpLogSumExp},
    {"logsumexp_f16", kF16, kF32, CreateReduction<smx_create_logsumexp_nc>, SetUpLogSumExp},
    {"partial_sum", kF32, kF32, CreateReduction<smx_create_partial_sum_nc>, SetUpPartialSum},
    {"scale_by_partial_sum", kF32, kF32, Create<smx_create_scale_by_partial_sum_nc>, SetUpScaleBySum},
    {"attention_f32", kF32, kF32, CreateAttention, SetUpAttention},
    {"attention_bf16_f32", kBf16, kF32, CreateAttention, SetUpAttention},
    {"softmax_axis_f32", kF32, kF32, Create<smx_create_softmax_axis>, SetUpAxis<smx_setup_softmax_axis>},
    {"softmax_axis_f16", kF16, kF16, Create<smx_create_softmax_axis>, SetUpAxis<smx_setup_softmax_axis>},
    {"log_softmax_axis", kF32, kF32, Create<smx_create_log_softmax_axis>,
     SetUpAxis<smx_setup_log_softmax_axis>},
};

class FpEnvironmentTest : public testing::TestWithParam<std::string> {
 protected:
  static void TearDownTestSuite() {
    printf("%zu calls under %zu floating-point environments\n", runs_, FpEnvironments().size());
  }

  void SetUp() override {
    UseIsa(GetParam());
    smx_thresholds thresholds;
    ASSERT_EQ(smx_get_thresholds(&thresholds), smx_status_success);
    thresholds.task_elements = 1;
    ASSERT_EQ(smx_set_thresholds(&thresholds), smx_status_success);
  }

  // Calls run(y) under every `step`-th environment, on the pool's threads too, and expects the status and the bytes of the first
  // call.
  template <class Run>
  static void Test(size_t bytes, pthreadpool_t pool, size_t step, const Run& run) {
    constexpr unsigned char kUntouched = 0xA5;
    Bytes expected(bytes, kUntouched);
    const smx_status expected_status = run(expected.data());
    for (size_t i = 0; i < FpEnvironments().size(); i += step) {
      const FpEnvironment& environment = FpEnvironments()[i];
      SCOPED_TRACE(testing::Message() << std::hex << environment.control << " " << environment.flags);
      Bytes y(bytes, kUntouched);
      std::atomic<size_t> changed{0};
      const FpEnvironment mine = GetFpEnvironment();
      OnEachThread(pool, [&] { SetFpEnvironment(environment); });
      const FpEnvironment before = GetFpEnvironment();  // processors may lack traps
      const smx_status status = run(y.data());
      OnEachThread(pool, [&] {
        changed += !(GetFpEnvironment() == before);
        SetFpEnvironment(mine);
      });
      runs_++;
      ASSERT_EQ(status, expected_status);
      ASSERT_EQ(changed, 0u);
      ASSERT_EQ(y, expected);
    }
  }

  static size_t runs_;
};

size_t FpEnvironmentTest::runs_ = 0;

INSTANTIATE_TEST_SUITE_P(, FpEnvironmentTest, testing::ValuesIn(AvailableIsas()),
                         [](const auto& info) { return info.param; });

// Sums of rows of floats, in the default environment.
Sums SumsOf(const Shape& shape, float scale, const void* x) {
  Sums sums(shape.rows);
  smx_operator_t op = nullptr;
  EXPECT_EQ(smx_create_partial_sum_nc(kF32, 0, &op), smx_status_success);
  EXPECT_EQ(smx_set_scale(op, scale), smx_status_success);
  EXPECT_EQ(smx_setup_partial_sum_nc(op, shape.rows, shape.channels, shape.channels, x, sums.data()),
            smx_status_success);
  EXPECT_EQ(smx_run_operator(op, nullptr), smx_status_success);
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
  return sums;
}

// From the creation to the deletion.
smx_status RunOperator(const Operator& of, const Shape& shape, float scale, const Buffers& buffers,
                       pthreadpool_t pool) {
  smx_operator_t op = nullptr;
  smx_status status = of.create(of, &op);
  if (status == smx_status_success) status = smx_set_scale(op, scale);
  if (status == smx_status_success) status = of.set_up(op, shape, buffers);
  if (status == smx_status_success) status = smx_run_operator(op, pool);
  smx_delete_operator(op);
  return status;
}

// Rows that kernels take several at a time, that they take alone, and of several tiles.
TEST_P(FpEnvironmentTest, OfOperatorsNeitherMattersNorChanges) {
  for (const Shape& shape : {Shape{6, 40}, Shape{2, 1100}, Shape{1, 2 * SMX_TILE + 1}}) {
    const bool is_short = shape.channels <= SMX_BLOCK;
    if (RunsSparseTests() && !is_short) continue;
    for (const char* family : {"normal_30", "million", "denormal", "one_nan", "mask_minus_flt_max"}) {
      std::vector<float> x;
      for (size_t row = 0; row < shape.rows; row++) {
        const std::vector<float> drawn = MakeRow(family, shape.channels, row);
        x.insert(x.end(), drawn.begin(), drawn.end());
      }
      x[x.size() / 2] = kSignalling;
      for (const Operator& of : kOperators) {
        const Bytes input = Encode(of.input, x.data(), x.size());
        for (float scale : {1.0f, -0.7f, 1e20f}) {
          if (scale != 1.0f && !is_short) continue;
          const Sums sums = SumsOf(shape, scale, x.data());
          for (size_t threads : {0, 2}) {
            SCOPED_TRACE(testing::Message() << of.name << ", " << shape.rows << " x " << shape.channels
                                            << ", " << family << ", scale " << scale);
            const size_t bytes =
                std::max(x.size() * BytesOf(of.output), shape.rows * sizeof(smx_partial_sum));
            const size_t step = threads > 0 ? 191 : is_short && !RunsSparseTests() ? 7 : 53;
            ASSERT_NO_FATAL_FAILURE(Test(bytes, Pool(threads), step, [&](void* y) {
              return RunOperator(of, shape, scale, {input.data(), sums.data(), y}, Pool(threads));
            }));
          }
        }
      }
    }
  }
}

// Of pieces within the kernels' range, and under shifts.
TEST_P(FpEnvironmentTest, OfMergesNeitherMattersNorChanges) {
  constexpr Shape kShape = {2, 40};
  for (float scale : {1.0f, -0.7f, 1e20f, 1e-38f}) {
    std::vector<Sums> pieces;
    for (const char* family : {"normal_4", "million", "denormal", "one_nan", "all_minus_inf"}) {
      std::vector<float> x = MakeRow(family, kShape.rows * kShape.channels, 1);
      pieces.push_back(SumsOf(kShape, scale, x.data()));
      for (float& element : x) element *= 1.0001f;
      pieces.push_back(SumsOf(kShape, scale, x.data()));
    }
    for (const Sums& sums : pieces) {
      for (const Sums& others : pieces) {
        ASSERT_NO_FATAL_FAILURE(Test(sizeof(sums[0]) * sums.size(), nullptr, 7, [&](void* y) {
          memcpy(y, sums.data(), sizeof(sums[0]) * sums.size());
          return smx_merge_partial_sums(sums.size(), static_cast<smx_partial_sum*>(y), others.data());
        }));
      }
    }
  }
}

// Comparisons raise exceptions too: of NaN, and of denormals.
TEST_P(FpEnvironmentTest, OfScalesNeitherMattersNorChanges) {
  smx_operator_t op = nullptr;
  ASSERT_EQ(smx_create_softmax_nc(kF32, kF32, 0, &op), smx_status_success);
  const float x[] = {0.0f, 1.0f, 2.0f};
  for (float scale : {0.0f, 1e-45f, FLT_MIN, 1.0f, FLT_MAX, INFINITY, NAN, kSignalling}) {
    SCOPED_TRACE(scale);
    ASSERT_NO_FATAL_FAILURE(Test(sizeof(x), nullptr, 1, [&](void* y) {
      const smx_status status = smx_set_scale(op, scale);
      smx_setup_softmax_nc(op, 1, 3, 3, 3, x, y);
      smx_run_operator(op, nullptr);
      return status;
    }));
    ASSERT_NO_FATAL_FAILURE(Test(0, nullptr, 1, [&](void*) {
      smx_operator_t quantized = nullptr;
      const smx_quantization output = {scale, 0};
      const smx_status status = smx_create_softmax_nc_quantized(kQu8, 1.0f, kQu8, &output, 0, &quantized);
      smx_delete_operator(quantized);
      return status;
    }));
    ASSERT_NO_FATAL_FAILURE(Test(0, nullptr, 1, [&](void*) {
      smx_operator_t quantized = nullptr;
      const smx_status status = smx_create_softmax_nc_quantized(kQu8, scale, kF32, nullptr, 0, &quantized);
      smx_delete_operator(quantized);
      return status;
    }));
  }
  EXPECT_EQ(smx_delete_operator(op), smx_status_success);
}

}  // namespace
}  // namespace smx
