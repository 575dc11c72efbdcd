// XNNPACK's softmax operator.
#include <xnnpack.h>

#include <stdexcept>

#include "bench/operator.h"
#include "bench/peers/peer.h"

namespace smx_peers {
namespace {

void Check(xnn_status status) {
  if (status != xnn_status_success) throw std::runtime_error("XNNPACK: status " + std::to_string(status));
}

class XnnpackSoftmax : public Softmax {
 public:
  XnnpackSoftmax(const Shape& shape, size_t threads)
      : rows_(shape.rows), threadpool_(smx_bench::MakeThreadPool(threads)) {
    Check(xnn_create_softmax_nc_f32(shape.channels, shape.channels, shape.channels, 0, &op_));
  }
  ~XnnpackSoftmax() override { xnn_delete_operator(op_); }

  void SetUp(const void* x, void* y) override {
    Check(xnn_setup_softmax_nc_f32(op_, rows_, static_cast<const float*>(x), static_cast<float*>(y),
                                   threadpool_.get()));
  }
  void Run() override { Check(xnn_run_operator(op_, threadpool_.get())); }

 private:
  size_t rows_;
  smx_bench::ThreadPool threadpool_;
  xnn_operator_t op_ = nullptr;
};

}  // namespace

Peer Xnnpack(const Setting& setting) {
  Check(xnn_initialize(nullptr));
  return {"XNNPACK", SMXPACK_PEER_VERSION, true, OfFloatRows(setting.problem, [=](const Shape& shape) {
            return std::make_unique<XnnpackSoftmax>(shape, setting.threads);
          })};
}

}  // namespace smx_peers
