// include/smxpack.h is valid C11 (and C17), and every symbol that it declares exists.
#include <smxpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L || defined(__cplusplus)
#error "this test is about C11"
#endif

#if !defined(SMXPACK_H_)
#error "the header is guarded"
#endif

SMX_API int main(void);  // may stand before any declaration

static int failures = 0;

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                         \
    }                                                                     \
  } while (0)

struct counters {
  int allocations;
  int deallocations;
  int messages;
};

static void* allocate(void* context, size_t size) {
  ((struct counters*)context)->allocations++;
  return malloc(size);
}

static void deallocate(void* context, void* pointer) {
  ((struct counters*)context)->deallocations++;
  free(pointer);
}

static void receive(void* context, enum smx_log_level level, const char* message) {
  CHECK(level == smx_log_level_error && strchr(message, '\n') == NULL);
  ((struct counters*)context)->messages++;
}

static void check_enumerators(void) {
  CHECK(smx_status_success == 0);
  CHECK(smx_status_uninitialized == 1);
  CHECK(smx_status_invalid_parameter == 2);
  CHECK(smx_status_invalid_state == 3);
  CHECK(smx_status_unsupported_parameter == 4);
  CHECK(smx_status_unsupported_hardware == 5);
  CHECK(smx_status_out_of_memory == 6);
  CHECK(strcmp(smx_status_to_string(smx_status_success), "smx_status_success") == 0);
  CHECK(smx_log_level_none == 0);
  CHECK(smx_log_level_error == 1);
  CHECK(smx_log_level_warning == 2);
  CHECK(smx_log_level_info == 3);
  CHECK(SMX_FLAG_MASKED_ROWS_TO_ZERO == 1);
  CHECK(SMX_FLAG_NORMALIZE_WEIGHTS == 8);
  CHECK(smx_gate_scores_softmax == 1);
  CHECK(smx_gate_scores_logits == 2);
  CHECK(smx_gate_scores_sigmoid == 3);
}

static void check_softmax(smx_operator_t op) {
  const float x[2][4] = {{1.0f, 1.0f, 1.0f, 1.0f}, {-1e9f, 5.0f, -1e9f, 5.0f}};
  const float expected[2][4] = {{0.25f, 0.25f, 0.25f, 0.25f}, {0.0f, 0.5f, 0.0f, 0.5f}};
  float y[2][4];
  struct smx_plan plan = {NULL, NULL, true, 1, 0};
  CHECK(smx_setup_softmax_nc_f32(op, 2, 4, 4, 4, &x[0][0], &y[0][0]) == smx_status_success);
  CHECK(smx_get_plan(op, 2, &plan) == smx_status_success);
  CHECK(plan.algorithm != NULL && strcmp(plan.algorithm, "several-rows") == 0);
  CHECK(plan.reason != NULL && strlen(plan.reason) > 0);
  CHECK(!plan.streams_output && plan.split_rows == 0 && plan.rows_per_task > 0);

  CHECK(smx_run_operator(op, NULL) == smx_status_success);
  CHECK(memcmp(y, expected, sizeof(y)) == 0);

  pthreadpool_t pool = pthreadpool_create(2);
  memset(y, 0, sizeof(y));
  CHECK(smx_run_operator(op, pool) == smx_status_success);
  CHECK(memcmp(y, expected, sizeof(y)) == 0);
  pthreadpool_destroy(pool);
}

static void check_quantized(void) {
  const int8_t x[4] = {-128, 127, -128, 127};
  const int8_t expected[4] = {-128, 0, -128, 0};
  const struct smx_quantization output = {.scale = 1.0f / 256.0f, .zero_point = -128};
  int8_t y[4];
  smx_operator_t op = NULL;
  CHECK(smx_create_softmax_nc_quantized(smx_datatype_qs8, 0.1f, smx_datatype_qs8, &output, 0, &op) ==
        smx_status_success);
  CHECK(smx_setup_softmax_nc(op, 1, 4, 4, 4, x, y) == smx_status_success);
  CHECK(smx_run_operator(op, NULL) == smx_status_success);
  CHECK(memcmp(y, expected, sizeof(y)) == 0);
  CHECK(smx_delete_operator(op) == smx_status_success);
}

static void check_moe_gate(void) {
  const float x[4] = {0.0f, 5.0f, 5.0f, 1.0f};
  const int32_t expected[2] = {1, 2};
  float weights[2];
  int32_t indices[2];
  smx_operator_t op = NULL;
  CHECK(smx_create_moe_gate_nc(smx_datatype_f32, smx_datatype_f32, smx_gate_scores_softmax,
                               SMX_FLAG_NORMALIZE_WEIGHTS, &op) == smx_status_success);
  CHECK(smx_setup_moe_gate_nc(op, 1, 4, 2, 4, x, NULL, weights, indices) == smx_status_success);
  CHECK(smx_run_operator(op, NULL) == smx_status_success);
  CHECK(memcmp(indices, expected, sizeof(indices)) == 0);
  CHECK(weights[0] == 0.5f && weights[1] == 0.5f);
  CHECK(smx_delete_operator(op) == smx_status_success);
}

static void check_thresholds(void) {
  struct smx_thresholds thresholds = {0, 0, 0, 0, 0, 0};
  CHECK(smx_get_thresholds(&thresholds) == smx_status_success);
  CHECK(thresholds.lane_channels == 40 && thresholds.grouped_channels == 3071);
  CHECK(thresholds.stored_bytes > 0 && thresholds.streamed_bytes > 0);
  CHECK(thresholds.split_channels >= 32768 && thresholds.task_elements > 0);

  const struct smx_thresholds invalid = {.lane_channels = 32};
  CHECK(smx_set_thresholds(&invalid) == smx_status_invalid_parameter);
  CHECK(smx_set_thresholds(&thresholds) == smx_status_success);
  CHECK(smx_set_thresholds(NULL) == smx_status_success);
}

int main(void) {
  struct counters counters = {0, 0, 0};
  const struct smx_allocator allocator = {
      .context = &counters, .allocate = allocate, .deallocate = deallocate};
  const smx_log_callback callback = receive;
  const char* name = NULL;
  smx_operator_t op = NULL;

  check_enumerators();
  smx_set_log_callback(callback, &counters, smx_log_level_error);
  CHECK(smx_create_softmax_nc_f32(0, &op) == smx_status_uninitialized && op == NULL);
  CHECK(counters.messages == 1);

  CHECK(smx_initialize(&allocator) == smx_status_success);
  CHECK(smx_get_isa(&name) == smx_status_success && name != NULL);
  CHECK(smx_get_microkernel(0, &name) == smx_status_success && name != NULL);
  check_thresholds();
  CHECK(smx_create_softmax_nc_f32(SMX_FLAG_MASKED_ROWS_TO_ZERO, &op) == smx_status_success && op != NULL);
  check_softmax(op);
  check_quantized();
  check_moe_gate();
  CHECK(smx_delete_operator(op) == smx_status_success);
  CHECK(counters.allocations > 0 && counters.allocations == counters.deallocations);
  CHECK(smx_deinitialize() == smx_status_success);
  smx_set_log_callback(NULL, NULL, smx_log_level_none);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
