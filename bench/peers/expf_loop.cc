// What a compiler makes of softmax as everybody writes it: three loops over expf, vectorised under -O3 -ffast-math, the
// flags of this file, with the vectors of libmvec.
#include <math.h>

#include "bench/peers/peer.h"
#include "bench/peers/row_loop.h"

namespace smx_peers {
namespace {

using Function = void(size_t n, const float* x, float* y);

// A macro, because a template cannot take an instruction set as its argument.
#define SMX_DEFINE_SOFTMAX(function, attributes)                  \
  attributes void function(size_t n, const float* x, float* y) {  \
    float max = x[0];                                             \
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max; \
    float sum = 0.0f;                                             \
    for (size_t i = 0; i < n; i++) {                              \
      const float e = expf(x[i] - max);                           \
      y[i] = e;                                                   \
      sum += e;                                                   \
    }                                                             \
    const float scale = 1.0f / sum;                               \
    for (size_t i = 0; i < n; i++) y[i] *= scale;                 \
  }

SMX_DEFINE_SOFTMAX(Baseline, )
#if defined(__x86_64__)
SMX_DEFINE_SOFTMAX(Avx2, __attribute__((target("avx2,fma"))))
#if defined(__clang__)
SMX_DEFINE_SOFTMAX(Avx512, __attribute__((target("avx512f"))))
#else
SMX_DEFINE_SOFTMAX(Avx512, __attribute__((target("avx512f,prefer-vector-width=512"))))
#endif
#endif
#undef SMX_DEFINE_SOFTMAX

Function* FunctionFor(const std::string& isa) {
#if defined(__x86_64__)
  if (isa == "avx512f") return Avx512;
  if (isa == "avx2") return Avx2;
#endif
  (void)isa;
  return Baseline;
}

}  // namespace

Peer ExpfLoop(const Setting& setting) {
  Function* const function = FunctionFor(setting.isa);
  return {"expf loop", SMXPACK_COMPILER " " SMXPACK_EXPF_LOOP_FLAGS ", " + setting.isa, true,
          OfFloatRows(setting.problem, [=](const Shape& shape) {
            return std::make_unique<RowLoop<Function*>>(function, shape, setting.threads);
          })};
}

}  // namespace smx_peers
