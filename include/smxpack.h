// SMXPACK: softmax operators for inference runtimes. Valid as C11 and as C++17. This header is the manual.
//
// Life cycle: smx_initialize once a process, then for each operator create, setup, run (setup and run as often as
// you like), delete.
//
//     smx_operator_t softmax = NULL;
//     smx_initialize(NULL);
//     smx_create_softmax_nc_f32(0, &softmax);
//     smx_setup_softmax_nc_f32(softmax, rows, channels, channels, channels, logits, probabilities);
//     smx_run_operator(softmax, NULL);
//     smx_delete_operator(softmax);
//
// Method: the Two-Pass Softmax algorithm, M. Dukhan and A. Ablavatski, arXiv:2001.04438. An exponential is kept as a
// mantissa and an exponent, exp(x) = p * 2^n, so that neither overflow nor a pass for the maximum is needed.
//
// Identical bits: the result of a row depends on its elements and the operator's flags alone. It does not depend on
// the instruction set, the algorithm that was chosen, the number of threads, the other rows of the batch, strides,
// alignment, or whether the row was computed in place.
//
// Floating-point environment: functions that compute set rounding to nearest, flush-to-zero and masked exceptions for
// themselves, on the threads of the pool too, and leave the caller's environment as it was, exception flags
// included. Results below FLT_MIN are 0; denormal inputs count as 0.
//
// Bad input gets a status other than smx_status_success and a message to the log callback. Nothing aborts, and no C++
// exception leaves the library. Nothing is read or written outside the rows, not by one byte.
//
// Threads: all functions may be called from any thread. Different operators may be used from different threads at
// once; one operator from one thread at a time.
#ifndef SMXPACK_H_
#define SMXPACK_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pthreadpool.h>

#if defined(SMXPACK_SHARED) && defined(__GNUC__)
#define SMX_API __attribute__((visibility("default")))
#else
#define SMX_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum smx_status {
  smx_status_success = 0,
  /// smx_initialize has not been called, or smx_deinitialize has been called since.
  smx_status_uninitialized = 1,
  /// An argument cannot be used by any operator: NULL, a stride that is too small, a size that overflows, an overlap.
  smx_status_invalid_parameter = 2,
  /// The call does not fit what the operator is or what was called before: run before setup, another type's setup.
  smx_status_invalid_state = 3,
  /// An argument is meaningful, but this library does not support it.
  smx_status_unsupported_parameter = 4,
  /// The processor lacks what the library needs. No supported processor gives it: the scalar kernels always run.
  smx_status_unsupported_hardware = 5,
  /// The allocator returned NULL.
  smx_status_out_of_memory = 6,
};

/// The status's name, such as "smx_status_success"; "smx_status_unknown" for any other value. Never NULL; static.
SMX_API const char* smx_status_to_string(enum smx_status status);

/// Memory for operators comes from here; that of the numerical work is in the operator, so that setup and run allocate
/// nothing. Both functions must be safe to call from any thread.
struct smx_allocator {
  /// Passed to both functions.
  void* context;
  /// Returns `size` bytes aligned for any type, or NULL.
  void* (*allocate)(void* context, size_t size);
  /// Takes back what `allocate` returned. Never called with NULL.
  void (*deallocate)(void* context, void* pointer);
};

/// Makes the library ready: asks cpuinfo for the processor once, and picks a microkernel of each kind.
///
/// The environment variable SMXPACK_ISA=scalar|avx2|avx512f|neon picks the kernels of that instruction set, for tests
/// and field debugging; a name that is unknown, or that the processor does not support, is logged and ignored. Where
/// cpuinfo fails, the scalar kernels are picked; for want of memory it writes a line of its own to stderr before.
///
/// @param allocator  copied; NULL for malloc and free. Ignored where the library is initialised already.
///
/// Idempotent and thread-safe: later calls do nothing until smx_deinitialize.
/// @returns smx_status_success; smx_status_invalid_parameter where one of the allocator's functions is NULL.
SMX_API enum smx_status smx_initialize(const struct smx_allocator* allocator);

/// Forgets what smx_initialize chose, so that the next call chooses anew. Operators must have been deleted before:
/// their memory belongs to the allocator of their smx_initialize. Thread-safe.
/// @returns smx_status_success, also where the library was not initialised.
SMX_API enum smx_status smx_deinitialize(void);

enum smx_log_level {
  smx_log_level_none = 0,
  smx_log_level_error = 1,    // why a call returned another status than success
  smx_log_level_warning = 2,  // what was ignored, such as an unknown SMXPACK_ISA
  smx_log_level_info = 3,     // what was picked, and why the rest was not
};

/// Receives a message, a single line without its newline that is valid during the call. It must not call back into the
/// library, and may be called from several threads at once.
typedef void (*smx_log_callback)(void* context, enum smx_log_level level, const char* message);

/// Sends messages of `level` and more serious ones to `callback`. Without a callback, which is the default, or with
/// smx_log_level_none, nothing is logged and nothing is printed. Thread-safe; may be called before smx_initialize.
SMX_API void smx_set_log_callback(smx_log_callback callback, void* context, enum smx_log_level level);

/// The instruction set whose kernels were picked: "avx512f", "avx2", "neon" or "scalar". Static.
/// @returns smx_status_success; otherwise *name_out is NULL: smx_status_uninitialized, or smx_status_invalid_parameter
///          where name_out is NULL.
SMX_API enum smx_status smx_get_isa(const char** name_out);

/// The microkernel that was picked for `kernel`, such as "smx_f32_raddextexp_ukernel__avx2_u64" for "f32-raddextexp".
/// Kernels are numbered: `index` counts from 0. Static names.
/// @returns smx_status_success; otherwise *name_out is NULL: smx_status_uninitialized, or smx_status_invalid_parameter
///          where name_out is NULL or index is beyond the last kernel. The latter ends a loop, and is not logged.
SMX_API enum smx_status smx_get_microkernel(size_t index, const char** name_out);

/// An operator: what to compute, for which rows, and the memory that it needs.
typedef struct smx_operator* smx_operator_t;

/// A row that consists of -inf only gives zeros in place of NaN, as attention on a fully masked row wants.
#define SMX_FLAG_MASKED_ROWS_TO_ZERO UINT32_C(0x00000001)

/// The type of elements in memory. All arithmetic is that of f32, and rounds once to the output's type, to nearest even.
enum smx_datatype {
  /// float. Denormal inputs count as 0, results below FLT_MIN are 0.
  smx_datatype_f32 = 1,
  /// IEEE 754 binary16, as uint16_t. Denormals are kept, in inputs and in results.
  smx_datatype_f16 = 2,
  /// The upper half of a float, as uint16_t. Denormals as those of f32.
  smx_datatype_bf16 = 3,
  /// uint8_t, quantised: q stands for scale * (q - zero_point). Of smx_create_softmax_nc_quantized alone.
  smx_datatype_qu8 = 4,
  /// The same of int8_t.
  smx_datatype_qs8 = 5,
  /// uint8_t, 0 for false and any other value for true. Of masks of smx_create_attention_softmax alone.
  smx_datatype_bool = 6,
};

/// Creates an operator that computes softmax over each row of a matrix of floats:
///
///     y[i] = exp(x[i]) / sum_j exp(x[j])
///
/// | row                             | result                                              |
/// |---------------------------------|-----------------------------------------------------|
/// | finite                          | at most 3.25 ULP from the exact value (see below)   |
/// | some -inf, others finite        | those are exactly 0                                 |
/// | all -inf                        | NaN; under SMX_FLAG_MASKED_ROWS_TO_ZERO, 0          |
/// | any NaN                         | all NaN, flag or not                                |
/// | +inf present                    | all NaN                                             |
/// | one element, finite             | 1                                                   |
/// | equal elements of any magnitude | 1/channels, within 1 ULP                            |
/// | +-3.4e38 mixed                  | 0 and 1                                             |
///
/// NaN results are the quiet NaN 0x7FC00000. Finite masks of any size, such as -1e9, -1e20 and -FLT_MAX, are right.
///
/// Error: at most 3.25 ULP was seen on all that the tests draw, for results of 2^-101 and more and at any length; 3.31 below.
/// The bound that holds for every row of every length up to 2^31 is 4.3 ULP. With u = 2^-24: the numerator's
/// exponential is off by at most 1.36 u and the sum by 1.36 u for its terms plus u for the one plain addition on a
/// term's way; compensated additions, the bins that tiles are added in and the reciprocal in two floats add less than
/// 0.07 u. 3.79 u is at most 3.79 ULP; the product rounds once, half an ULP. For results below 2^-101 the product with the
/// reciprocal's low part may be flushed: they may be off by one ULP more.
///
/// @param flags            0, or SMX_FLAG_MASKED_ROWS_TO_ZERO.
/// @param softmax_op_out   receives the operator; NULL where the call fails.
/// @returns smx_status_success; smx_status_uninitialized; smx_status_invalid_parameter where softmax_op_out is NULL or
///          a flag is unknown; smx_status_out_of_memory.
SMX_API enum smx_status smx_create_softmax_nc_f32(uint32_t flags, smx_operator_t* softmax_op_out);

/// Says which rows the next runs compute. Allocates nothing; costs well under a microsecond; shapes may change at every
/// call. The memory is not looked at before smx_run_operator, and must be valid during each run.
///
/// @param softmax_op     from smx_create_softmax_nc_f32.
/// @param batch_size     rows; 0 is allowed, and then run touches nothing and the pointers may be NULL.
/// @param channels       elements of a row, at least 1.
/// @param input_stride   elements (not bytes) from one row's first element to the next one's, at least `channels`.
/// @param output_stride  likewise for the output.
/// @param input, output  the first rows, aligned to 4 bytes. The output may be the input with the same stride (in
///                       place), or interleave with it row by row where strides leave room; other overlap is rejected.
///
/// @returns smx_status_success; otherwise the operator is as it was: smx_status_uninitialized;
///          smx_status_invalid_parameter; smx_status_invalid_state where the operator is of another type.
SMX_API enum smx_status smx_setup_softmax_nc_f32(smx_operator_t softmax_op, size_t batch_size,
                                                 size_t channels, size_t input_stride, size_t output_stride,
                                                 const float* input, float* output);

/// Softmax of other types: as smx_create_softmax_nc_f32, which it is where both types are smx_datatype_f32.
///
/// Results are those of f32, with the input's elements as they are, rounded once more to the output's type: of f16 and bf16
/// fewer than one in a thousand differs from the exact value, correctly rounded, and then by one ULP. The result of
/// 1/channels and others may be denormal in f16; it is kept. NaN results are 0x7E00 in f16, 0x7FC0 in bf16.
///
/// @param input_type, output_type  the same, or one of them smx_datatype_f32.
/// @returns as smx_create_softmax_nc_f32; smx_status_unsupported_parameter for other pairs of types,
///          quantised ones among them.
SMX_API enum smx_status smx_create_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                              uint32_t flags, smx_operator_t* softmax_op_out);

/// As smx_setup_softmax_nc_f32. Pointers are aligned to their elements. In place where the types are the same.
SMX_API enum smx_status smx_setup_softmax_nc(smx_operator_t softmax_op, size_t batch_size, size_t channels,
                                             size_t input_stride, size_t output_stride, const void* input,
                                             void* output);

/// What a quantised element q stands for: scale * (q - zero_point).
struct smx_quantization {
  /// Positive and finite, not denormal.
  float scale;
  /// One of the type's numbers: 0 to 255 of smx_datatype_qu8, -128 to 127 of smx_datatype_qs8.
  int32_t zero_point;
};

/// Creates an operator that computes softmax over each row of a matrix of bytes:
///
///     p[i] = exp(input_scale * x[i]) / sum_j exp(input_scale * x[j])
///     y[i] = rint(p[i] / output->scale) + output->zero_point, or the nearest to it that the type has
///
/// or, where the output is of floats, y[i] = p[i]. The input's zero point is not asked for: it cancels.
///
/// Probabilities are those of smx_create_softmax_nc_f32 on the same numbers under a scale of input_scale, with its errors and as independent of all
/// else, to the bit. rint is to nearest, ties to even. A byte is within 0.5003 steps of the exact value, brought to the ends of the type;
/// within one step where output->scale is below 2^-100. Every row has a result: there is neither NaN nor infinity.
///
/// A probability is at most 1: a scale of 1/256 and zero points of 0 for smx_datatype_qu8 and -128 for smx_datatype_qs8 use the whole type, and 1
/// itself becomes the largest byte. Smaller scales resolve smaller probabilities, and larger ones become the largest byte.
///
/// @param input_type        smx_datatype_qu8 or smx_datatype_qs8.
/// @param input_scale       positive and finite, not denormal. Under smx_set_scale, that of the elements is the product of both, rounded to a float.
/// @param output_type       the same, or smx_datatype_f32.
/// @param output            copied. Not looked at for smx_datatype_f32, and may be NULL then.
/// @param flags             0, or SMX_FLAG_MASKED_ROWS_TO_ZERO, which changes nothing: no byte is -inf.
/// @param softmax_op_out    receives the operator, for smx_setup_softmax_nc; NULL where the call fails.
/// @returns as smx_create_softmax_nc; smx_status_invalid_parameter for a scale or a zero point that is none.
SMX_API enum smx_status smx_create_softmax_nc_quantized(enum smx_datatype input_type, float input_scale,
                                                        enum smx_datatype output_type,
                                                        const struct smx_quantization* output, uint32_t flags,
                                                        smx_operator_t* softmax_op_out);

/// Creates an operator that computes softmax over any axis of a tensor: of element i of step a of slice o,
///
///     y[o, a, i] = exp(x[o, a, i]) / sum_b exp(x[o, b, i])
///
/// A column (o, i) is a row of smx_create_softmax_nc, and has its results, bit for bit. Channels of NCHW images, batch-first
/// sequences and the like need no transpose: columns that lie side by side are computed as the lanes of vectors, and few of
/// them are brought into rows on the way.
///
/// Parameters, types, flags and statuses as smx_create_softmax_nc.
SMX_API enum smx_status smx_create_softmax_axis(enum smx_datatype input_type, enum smx_datatype output_type,
                                                uint32_t flags, smx_operator_t* softmax_op_out);

/// Says which tensor the next runs compute: element (o, a, i) is at o * outer_stride + a * axis_stride + i. Of a dense tensor,
/// axis_stride is `inner`, and outer_stride is axis * inner. Allocates nothing; as smx_setup_softmax_nc in all else.
///
/// @param softmax_op     from smx_create_softmax_axis.
/// @param outer          slices, the product of the dimensions before the axis: 1 for the first one.
/// @param axis           steps of the axis, at least 1.
/// @param inner          columns of a slice, the product of the dimensions behind the axis: 1 for the last one. Where outer or
///                       inner is 0, run touches nothing, and the pointers may be NULL.
/// @param input_outer_stride, input_axis_stride, output_outer_stride, output_axis_stride
///                       elements (not bytes) from one slice, and from one step, to the next. No two elements may share a
///                       place: the smaller stride is at least `inner`, and the larger one spans all of the smaller one's.
///                       Either may be the larger one. Of a dimension of 1, the stride does not matter.
/// @param input, output  the first elements, aligned to their types. The output may be the input with the same strides (in
///                       place, where the types are the same), or lie in gaps of it, with the same strides in elements of
///                       the same size; other overlap is rejected.
///
/// Threads share the columns: those that are lanes of vectors 16 at a time, others one by one (docs/choosing.md). A single
/// column is not split over threads, but where it is a contiguous row.
///
/// @returns as smx_setup_softmax_nc.
SMX_API enum smx_status smx_setup_softmax_axis(smx_operator_t softmax_op, size_t outer, size_t axis,
                                               size_t inner, size_t input_outer_stride,
                                               size_t input_axis_stride, size_t output_outer_stride,
                                               size_t output_axis_stride, const void* input, void* output);

/// Creates an operator that computes the logarithm of softmax over each row:
///
///     y[i] = x[i] - log(sum_j exp(x[j]))
///
/// | row                         | result                                                   |
/// |-----------------------------|----------------------------------------------------------|
/// | finite                      | at most 2 ULP of max(|y|, 1) from the exact value (seen) |
/// | some -inf, others finite    | those are -inf                                           |
/// | all -inf                    | NaN; under SMX_FLAG_MASKED_ROWS_TO_ZERO, -inf            |
/// | any NaN, or +inf present    | all NaN                                                  |
/// | one element, finite         | 0                                                        |
/// | equal elements              | -log(channels)                                           |
/// | +-3.4e38 mixed              | finite, or -inf where the exact result rounds to it      |
///
/// The bits are as independent as those of softmax. A result close to 0, that of an element that dominates its row, is off by
/// 8 * 2^-24 of itself and 2^-46 at most: the sum is compared with the largest term alone.
///
/// Parameters, types and statuses as smx_create_softmax_nc. Error in f16 and bf16: one more rounding.
SMX_API enum smx_status smx_create_log_softmax_nc(enum smx_datatype input_type, enum smx_datatype output_type,
                                                  uint32_t flags, smx_operator_t* log_softmax_op_out);

/// As smx_setup_softmax_nc.
SMX_API enum smx_status smx_setup_log_softmax_nc(smx_operator_t log_softmax_op, size_t batch_size,
                                                 size_t channels, size_t input_stride, size_t output_stride,
                                                 const void* input, void* output);

/// The sum of the exponentials of a piece of a row, from smx_create_partial_sum_nc. It may be copied, stored and sent between
/// processes and processors of the same byte order. Its members are the library's matter:
/// sum_k bins[k] * 2^(32 * (top - k)) is the sum of exp(scale * x - shift), shift 0 or, where scale * max is beyond +-2^14, that. `max` is the largest element,
/// and the negated least one where the scale is negative.
struct smx_partial_sum {
  int64_t bins[4];
  int32_t top;
  int32_t has_nan;
  float max;
  float scale;
};

/// Creates an operator for rows that are spread over buffers, threads, processes or machines: it reduces a piece of each row to the
/// sum of its exponentials. Then smx_merge_partial_sums makes the sum of the row of those of its pieces, and
/// smx_create_scale_by_partial_sum_nc the results of each piece: split-KV attention, a vocabulary split over devices.
///
/// Any grouping and order of pieces gives the same sum, bit for bit, and pieces that consist of whole tiles (16384 elements, but for the
/// row's last piece) give the bits that smx_create_softmax_nc gives for the whole row. That is so where the row's
/// largest element is within +-2^14, whatever else it holds: masks of any size, -inf, pieces that consist of nothing else.
/// Of other rows results are within 3.25 ULP too, but their bits may depend on how they were cut, and merged.
///
/// A piece of -inf only counts for nothing; NaN in a piece makes the row NaN, and +inf as well.
///
/// @param input_type           any.
/// @param flags                0.
/// @param partial_sum_op_out   receives the operator; NULL where the call fails.
/// @returns as smx_create_softmax_nc.
SMX_API enum smx_status smx_create_partial_sum_nc(enum smx_datatype input_type, uint32_t flags,
                                                  smx_operator_t* partial_sum_op_out);

/// As smx_setup_softmax_nc, but that `output` receives one sum a row, contiguous.
SMX_API enum smx_status smx_setup_partial_sum_nc(smx_operator_t partial_sum_op, size_t batch_size,
                                                 size_t channels, size_t input_stride, const void* input,
                                                 struct smx_partial_sum* output);

/// sums[i] += others[i], each the sum of a piece of one row, under the same scale. Associative and commutative as smx_create_partial_sum_nc says; a
/// user-defined reduction of MPI. Needs no smx_initialize; thread-safe on different sums.
/// @param count  sums; 0 is allowed, and then the pointers may be NULL.
/// @returns smx_status_success; smx_status_invalid_parameter where a pointer is NULL or scales differ, and then nothing is written.
SMX_API enum smx_status smx_merge_partial_sums(size_t count, struct smx_partial_sum* sums,
                                               const struct smx_partial_sum* others);

/// Creates an operator that computes softmax of a piece of each row, given the sum of the whole row:
///
///     y[i] = exp(x[i]) / sum
///
/// Parameters, results and statuses as smx_create_softmax_nc, of the row that the sum is of.
SMX_API enum smx_status smx_create_scale_by_partial_sum_nc(enum smx_datatype input_type,
                                                           enum smx_datatype output_type, uint32_t flags,
                                                           smx_operator_t* scale_op_out);

/// As smx_setup_softmax_nc.
/// @param sums  one a row, contiguous; read by each run, and not to be written meanwhile. A sum that is not from
///              smx_setup_partial_sum_nc and smx_merge_partial_sums gives any results.
SMX_API enum smx_status smx_setup_scale_by_partial_sum_nc(smx_operator_t scale_op, size_t batch_size,
                                                          size_t channels, size_t input_stride,
                                                          size_t output_stride, const void* input,
                                                          const struct smx_partial_sum* sums, void* output);

/// Log-softmax over any axis: as smx_create_softmax_axis, with the results of smx_create_log_softmax_nc.
SMX_API enum smx_status smx_create_log_softmax_axis(enum smx_datatype input_type,
                                                    enum smx_datatype output_type, uint32_t flags,
                                                    smx_operator_t* log_softmax_op_out);

/// As smx_setup_softmax_axis.
SMX_API enum smx_status smx_setup_log_softmax_axis(smx_operator_t log_softmax_op, size_t outer, size_t axis,
                                                   size_t inner, size_t input_outer_stride,
                                                   size_t input_axis_stride, size_t output_outer_stride,
                                                   size_t output_axis_stride, const void* input,
                                                   void* output);

/// Query q of a batch entry sees the keys at positions up to its own, and no later ones.
#define SMX_FLAG_CAUSAL UINT32_C(0x00000002)

/// The results of keys from a batch entry's length on are zeros; without the flag they are not written.
#define SMX_FLAG_PADDING_TO_ZERO UINT32_C(0x00000004)

/// What smx_create_attention_softmax creates. All zero but for the types, nothing is added.
struct smx_attention_options {
  /// f32, f16 or bf16, in any combination.
  enum smx_datatype input_type;
  enum smx_datatype output_type;
  /// The type of the mask that setup is given: f32, f16, bf16, or bool, where false leaves a key out; 0: there is none.
  enum smx_datatype mask_type;
  /// c of c * tanh(. / c), positive and finite; 0: there is none. A denormal counts as 0.
  float softcap;
  /// Keys at distances from a query's position below this are seen, and no others; 0: all.
  size_t window;
};

/// Creates an operator that computes the probabilities of attention: over the keys k of each batch entry b, head h and query q,
///
///     s[k] = softcap * tanh(scale * x[b, h, q, k] / softcap)            (scale * x without a softcap)
///          - slope[h] * |position[b] + q - k|                           (where there are slopes)
///          + mask[b, h, q, k]                                           (where there is a mask)
///     y[b, h, q, k] = exp(s[k]) / (sum_j exp(s[j]) + exp(sink[h]))      (the last where there are sinks)
///
/// over the keys that the query sees. Those are within the entry's length, under SMX_FLAG_CAUSAL at no later position than
/// position[b] + q, and at distances below the window. Others have the result 0, and neither they nor their mask are read;
/// keys from the entry's length on are padding, whose results are 0 under SMX_FLAG_PADDING_TO_ZERO and else not written.
/// A mask of -inf or false leaves a key out whatever x holds, NaN too (a row in which an added mask hides NaN or +inf may be computed
/// anew); a mask that is added is added even where it is -1e9.
///
/// The scale is that of smx_set_scale: 1 / sqrt(d). The mask is added after the softcap, as ONNX's Attention has it.
///
/// Results are those of smx_create_softmax_nc on a row that consists of the s of the seen keys, and of the sink behind them, bit for bit, with
/// its errors and edge cases: a query that sees no key, or whose s are all -inf, gives NaN, or zeros under SMX_FLAG_MASKED_ROWS_TO_ZERO; with
/// a sink it gives zeros. So a decoding step has the bits that the whole sequence at once has. s is rounded to a float: where nothing is added and
/// there is no softcap, not at all, with a mask or slopes alone once, and once more for each of the others; tanh is within 5 ULP. An error of s is one of its
/// result: half an ULP of s = 8 is 2^-22 of y, 4 ULP.
///
/// A fused operator: no logits are stored, but those of a tile in cache.
///
/// @param options   copied.
/// @param flags     SMX_FLAG_MASKED_ROWS_TO_ZERO, SMX_FLAG_CAUSAL, SMX_FLAG_PADDING_TO_ZERO, or some of them, or 0.
/// @param attention_softmax_op_out  receives the operator; NULL where the call fails.
/// @returns smx_status_success; smx_status_uninitialized; smx_status_invalid_parameter where a pointer is NULL, a flag is unknown or the softcap is
///          not as it must be; smx_status_unsupported_parameter for other types; smx_status_out_of_memory.
SMX_API enum smx_status smx_create_attention_softmax(const struct smx_attention_options* options,
                                                     uint32_t flags,
                                                     smx_operator_t* attention_softmax_op_out);

/// Elements (not bytes) from one batch entry, head, query and key to the next.
struct smx_attention_strides {
  size_t batch;
  size_t head;
  size_t query;
  size_t key;
};

/// What an attention softmax is computed of. All but the sizes, the input and the output may be zero.
struct smx_attention {
  size_t batch_size;
  size_t heads;
  size_t queries;
  size_t keys;
  /// The key's stride is 1, others may be 0: rows share elements then.
  struct smx_attention_strides input_strides;
  /// The key's stride is 1, and no two rows share an element. Of a dimension of 1, the stride does not matter.
  struct smx_attention_strides output_strides;
  const void* input;
  /// May be the input, with its strides and of its type, and may not overlap anything else.
  void* output;
  /// Any strides, so that 0 broadcasts; the key's is 1 or 0. NULL where mask_type is 0, and not otherwise.
  struct smx_attention_strides mask_strides;
  const void* mask;
  /// One a head, or NULL (ALiBi, arXiv:2108.12409). Positions count as they are to distances of 2^24 - 2^14 at least.
  const float* slopes;
  /// The logit of an attention sink, one a head, or NULL. It is not scaled.
  const float* sinks;
  /// Of each batch entry the number of its keys that are no padding, or NULL: all. A larger number counts as `keys`.
  const size_t* key_lengths;
  /// Of each batch entry the position of its first query among the keys, or NULL: so that its last query is at its last key.
  const int64_t* first_positions;
  /// Receives log(sum_j exp(s[j]) + exp(sink)) of each row, [batch_size][heads][queries] of them, contiguous; or NULL. As smx_create_logsumexp_nc
  /// has it. Rows of up to 1024 keys take longer with it.
  float* logsumexp;
};

/// Says what the next runs compute. Allocates nothing. The struct is copied; what it points to is read by each run, and
/// must be valid then.
/// @returns as smx_setup_softmax_nc. Where batch_size, heads, queries or keys is 0, run touches nothing, and all pointers may be NULL.
SMX_API enum smx_status smx_setup_attention_softmax(smx_operator_t attention_softmax_op,
                                                    const struct smx_attention* attention);

/// Creates an operator that computes the logarithm of the sum of exponentials of each row, one float a row:
///
///     y = log(sum_j exp(x[j]))
///
/// | row                       | result                                                  |
/// |---------------------------|---------------------------------------------------------|
/// | finite                    | at most 2 ULP of max(|y|, 1) from the exact value (seen)|
/// | -inf beside others        | as if absent                                            |
/// | all -inf                  | -inf                                                    |
/// | any NaN                   | NaN                                                     |
/// | +inf present, no NaN      | +inf                                                    |
/// | one element               | that element, exactly; 0 where it is denormal in f32    |
/// | equal elements            | x + log(channels)                                       |
///
/// @param input_type           any; the output is f32.
/// @param flags                0.
/// @param logsumexp_op_out     receives the operator; NULL where the call fails.
/// @returns as smx_create_softmax_nc.
SMX_API enum smx_status smx_create_logsumexp_nc(enum smx_datatype input_type, uint32_t flags,
                                                smx_operator_t* logsumexp_op_out);

/// As smx_setup_softmax_nc, but that `output` receives one float a row, contiguous.
SMX_API enum smx_status smx_setup_logsumexp_nc(smx_operator_t logsumexp_op, size_t batch_size,
                                               size_t channels, size_t input_stride, const void* input,
                                               float* output);

/// What a gate scores an expert of logit x by.
enum smx_gate_scores {
  /// s[i] = exp(x[i]) / sum_j exp(x[j]), the sum over all experts: softmax before the selection.
  smx_gate_scores_softmax = 1,
  /// s[i] = x[i], and weights are softmax of the chosen experts: softmax after the selection.
  smx_gate_scores_logits = 2,
  /// s[i] = 1 / (1 + exp(-x[i])).
  smx_gate_scores_sigmoid = 3,
};

/// Weights are divided by the sum of the token's k.
#define SMX_FLAG_NORMALIZE_WEIGHTS UINT32_C(0x00000008)

/// Creates an operator that is the gate of a mixture of experts: of the logits of each token, one an expert, it chooses k
/// experts and gives their indices and weights, the first choice first.
///
/// Chosen are the experts of the largest s[i] + bias[i], the sum rounded to a float; without a bias, those of the largest
/// x[i], whose order is exact where scores round to the same. Of equal ones the lower index is chosen first. NaN counts
/// as more than all numbers, and as equal to other NaN; -0 and denormals are 0. The bias has no part in weights:
///
/// | scores                  | weight of expert i                                                               |
/// |-------------------------|----------------------------------------------------------------------------------|
/// | smx_gate_scores_softmax | s[i], the bits of smx_create_softmax_nc at i                                     |
/// | the same, normalised    | as of smx_gate_scores_logits, which it is equal to                               |
/// | smx_gate_scores_logits  | exp(x[i]) / sum over the chosen, the bits of smx_create_softmax_nc of their row  |
/// | smx_gate_scores_sigmoid | s[i]                                                                             |
/// | the same, normalised    | s[i] / sum over the chosen, of rounded scores, added in their order in double    |
///
/// | logits              | chosen       | softmax                | sigmoid | sigmoid, normalised         |
/// |---------------------|--------------|------------------------|---------|-----------------------------|
/// | NaN                 | first        | all NaN                | its NaN | all NaN, where it is chosen |
/// | +inf                | next         | all NaN                | 1       | a part as that of 1         |
/// | -inf beside others  | last         | 0                      | 0       | 0                           |
/// | all -inf            | 0, 1, 2, ... | NaN; with the flag, 0  | 0       | NaN; with the flag, 0       |
///
/// The flag is SMX_FLAG_MASKED_ROWS_TO_ZERO; of normalised sigmoids it is for all tokens whose chosen scores are 0. "All NaN" of
/// smx_gate_scores_logits is where a NaN or +inf is chosen, which without a bias is wherever there is one. With a bias, what
/// counts in the second column is s[i] + bias[i]: a bias of -inf is for experts that are not to be chosen while there are others.
///
/// Error of softmax as that of smx_create_softmax_nc; of sigmoids at most 2.9 ULP, and 2.5 was seen; of normalised sigmoids at most
/// 7.3 ULP, and 2.5 was seen. Scores and weights below FLT_MIN are 0. Bits are as independent of all else as those of smx_create_softmax_nc.
/// smx_set_scale replaces x[i] by scale * x[i], in the choice as well: a negative scale chooses the smallest first.
///
/// @param input_type       of the logits: smx_datatype_f32, smx_datatype_f16 or smx_datatype_bf16.
/// @param weight_type      the same, or one of the two smx_datatype_f32. Weights are those of f32, rounded once more.
/// @param flags            0, or any of SMX_FLAG_NORMALIZE_WEIGHTS, which changes nothing for smx_gate_scores_logits, and
///                         SMX_FLAG_MASKED_ROWS_TO_ZERO.
/// @param moe_gate_op_out  receives the operator; NULL where the call fails.
/// @returns as smx_create_softmax_nc; smx_status_invalid_parameter for unknown scores.
SMX_API enum smx_status smx_create_moe_gate_nc(enum smx_datatype input_type, enum smx_datatype weight_type,
                                               enum smx_gate_scores scores, uint32_t flags,
                                               smx_operator_t* moe_gate_op_out);

/// Says which tokens the next runs choose experts for; as smx_setup_softmax_nc.
///
/// @param batch_size    tokens; 0 is allowed, and then run touches nothing and the pointers may be NULL.
/// @param experts       1 to 512.
/// @param k             experts to choose for each token: 1 to 64, and no more than there are.
/// @param input_stride  elements from one token's first logit to the next one's, at least `experts`.
/// @param logits        the first token's.
/// @param bias          of the choice: one an expert, or NULL.
/// @param weights       k a token, contiguous. Neither they nor the indices may overlap anything else.
/// @param indices       likewise.
///
/// @returns as smx_setup_softmax_nc; smx_status_unsupported_parameter for more experts, or more to choose.
SMX_API enum smx_status smx_setup_moe_gate_nc(smx_operator_t moe_gate_op, size_t batch_size, size_t experts,
                                              size_t k, size_t input_stride, const void* logits,
                                              const float* bias, void* weights, int32_t* indices);

/// Sets the factor of the elements: from the next run on, a row's elements are scale * x[i] in place of x[i], in all that the
/// operator's formulas say. A temperature's reciprocal; 1 / sqrt(d) of attention. It is 1 before.
///
/// The product is not rounded, so that results have the errors that are stated for a scale of 1; log-softmax rounds it once.
/// Infinite elements times 0 are NaN, negative scales turn -inf into +inf; other results that follow from the product are as the tables say. A
/// product that is beyond the largest float is not infinite: x = 3e38 under a scale of 100 is as any other number.
///
/// Scales from 2^-40 to 2^40 cost nothing: they change constants of the kernels. Others, those below 0 among them, cost a copy of each tile.
///
/// @param op     any; may have been set up. Must not be called while the operator runs.
/// @param scale  finite, and its product with input_scale too; a denormal counts as 0. Pieces of a row, and the sums that pieces are scaled by, need the same.
/// @returns smx_status_success; smx_status_uninitialized; smx_status_invalid_parameter where op is NULL or the scale is not
///          finite, and then it is as it was.
SMX_API enum smx_status smx_set_scale(smx_operator_t op, float scale);

/// Computes what the last setup said. Allocates nothing. Blocks until the result is there.
///
/// @param op          an operator that has been set up.
/// @param threadpool  from pthreadpool_create; NULL runs on the calling thread. Rows are spread over the pool's threads
///                    in groups worth a task; long rows that are left when each thread has had as many as every other
///                    are split over all of them. A pool serves one run at a time (pthreadpool's rule).
/// @returns smx_status_success; smx_status_uninitialized; smx_status_invalid_parameter where op is NULL;
///          smx_status_invalid_state where it has not been set up, and then nothing is written.
SMX_API enum smx_status smx_run_operator(smx_operator_t op, pthreadpool_t threadpool);

/// Where the planner goes from one algorithm to the next. Every choice gives the same bits; they differ in speed.
struct smx_thresholds {
  /// Elements: rows no longer than this are computed as lanes, one row a lane, where there are enough of them to fill lanes; of use
  /// up to 64. 0: never.
  size_t lane_channels;
  /// Elements: rows no longer than this are computed several at a time, in one pass, a lone row likewise; of use up to 1024, and in softmax of
  /// several rows up to 3071, where all of them and their output fill no more than 1 MiB, or causality or a window has queries see different keys.
  /// 0: never.
  size_t grouped_channels;
  /// Bytes: where a row and its output fit, terms are stored and rescaled, one exponential an element; larger rows take two
  /// passes. By default the larger of a core's level 2 cache and 16 MiB of the last-level cache: what is reported of
  /// the latter may be the whole host's, and is not trusted beyond that.
  size_t stored_bytes;
  /// Bytes: where a row and its output fill as much, or all rows that go several at a time and theirs, the output is written past
  /// the caches. By default the size of the last-level cache, but 16 MiB to 64 MiB.
  size_t streamed_bytes;
  /// Elements: shorter rows are not split over threads; at least 32768.
  size_t split_channels;
  /// Elements that are worth a task: a job that has fewer runs on the calling thread. At least 1.
  size_t task_elements;
};

/// The thresholds that operators get which are created from now on.
/// @returns smx_status_success; otherwise *thresholds_out is not written: smx_status_uninitialized, or
///          smx_status_invalid_parameter where thresholds_out is NULL.
SMX_API enum smx_status smx_get_thresholds(struct smx_thresholds* thresholds_out);

/// Sets the thresholds of operators that are created from now on, until smx_deinitialize. Thread-safe.
///
/// @param thresholds  copied; NULL sets the defaults again, which follow from the caches that cpuinfo reports.
/// @returns smx_status_success; smx_status_uninitialized; smx_status_invalid_parameter where streamed_bytes or task_elements
///          is 0, and then nothing is changed.
SMX_API enum smx_status smx_set_thresholds(const struct smx_thresholds* thresholds);

/// How an operator would run what it was last set up for.
struct smx_plan {
  /// "rows-as-lanes" (tiny rows, transposed in registers), "several-rows" (at a time, in one pass over short ones),
  /// "store-and-rescale" (one exponential an element, while a row fits in cache) or "two-pass"; over another axis than the
  /// last, "columns-as-lanes" (one exponential an element), of longer columns "columns-by-blocks" (two), or of few
  /// "columns-as-rows" (transposed in a panel); of gates "tokens-as-lanes". Static.
  const char* algorithm;
  /// Why, as a comparison of the shape with a threshold. Static.
  const char* reason;
  /// Whether the output is written past the caches.
  bool streams_output;
  /// The last rows of the batch, each of which is split over all threads.
  size_t split_rows;
  /// Rows, or columns, that a task computes of those before, which are spread over the threads.
  size_t rows_per_task;
};

/// Tells what smx_run_operator would do with a pool of `threads` threads.
/// @returns smx_status_success; otherwise *plan_out is not written: smx_status_invalid_parameter where an argument is
///          NULL; smx_status_invalid_state before setup.
SMX_API enum smx_status smx_get_plan(smx_operator_t op, size_t threads, struct smx_plan* plan_out);

/// Deletes an operator. NULL is fine. Must not be called while the operator runs.
/// @returns smx_status_success.
SMX_API enum smx_status smx_delete_operator(smx_operator_t op);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // SMXPACK_H_
