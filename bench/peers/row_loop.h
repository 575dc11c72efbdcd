// A softmax that is a function of one row of floats.
#pragma once

#include <pthreadpool.h>

#include "bench/operator.h"
#include "bench/peers/peer.h"

namespace smx_peers {

// Calls function(channels, x, y) for every row; each thread takes rows that follow each other.
template <class Function>
class RowLoop : public Softmax {
 public:
  RowLoop(Function function, const Shape& shape, size_t threads)
      : function_(function),
        shape_(shape),
        rows_per_thread_((shape.rows + threads - 1) / threads),
        threadpool_(smx_bench::MakeThreadPool(threads)) {}

  void SetUp(const void* x, void* y) override {
    x_ = static_cast<const float*>(x);
    y_ = static_cast<float*>(y);
  }

  void Run() override {
    pthreadpool_parallelize_1d_tile_1d(
        threadpool_.get(),
        [](void* self, size_t first, size_t count) {
          const RowLoop& loop = *static_cast<const RowLoop*>(self);
          const size_t channels = loop.shape_.channels;
          for (size_t row = first; row < first + count; row++) {
            loop.function_(channels, loop.x_ + row * channels, loop.y_ + row * channels);
          }
        },
        this, shape_.rows, rows_per_thread_, 0);
  }

 private:
  Function function_;
  Shape shape_;
  size_t rows_per_thread_;
  smx_bench::ThreadPool threadpool_;
  const float* x_ = nullptr;
  float* y_ = nullptr;
};

}  // namespace smx_peers
