// PyTorch's softmax, called from C++.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <stdlib.h>

#include <sstream>

#include "bench/peers/peer.h"

namespace smx_peers {
namespace {

class PyTorchSoftmax : public Softmax {
 public:
  explicit PyTorchSoftmax(const Shape& shape)
      : sizes_{static_cast<int64_t>(shape.rows), static_cast<int64_t>(shape.channels)} {}

  void SetUp(const float* x, float* y) override {
    x_ = at::from_blob(const_cast<float*>(x), sizes_);
    y_ = at::from_blob(y, sizes_);
  }
  void Run() override { at::softmax_out(y_, x_, /*dim=*/1); }

 private:
  at::NoGradGuard no_grad_;
  std::vector<int64_t> sizes_;
  at::Tensor x_;
  at::Tensor y_;
};

// "AVX2", of a line such as "  - CPU capability usage: AVX2".
std::string Capability() {
  const std::string before = "CPU capability usage: ";
  std::istringstream lines(at::show_config());
  for (std::string line; std::getline(lines, line);) {
    const size_t found = line.find(before);
    if (found != std::string::npos) return line.substr(found + before.size());
  }
  return "unknown instructions";
}

}  // namespace

Peer PyTorch(const Setting& setting) {
  // By itself it takes no more than AVX2 (github.com/pytorch/pytorch/issues/80252); users who want AVX512 set this.
  if (setting.isa == "avx2") setenv("ATEN_CPU_CAPABILITY", "avx2", 1);
  if (setting.isa == "scalar") setenv("ATEN_CPU_CAPABILITY", "default", 1);
  at::set_num_threads(static_cast<int>(setting.threads));
  return {"PyTorch", SMXPACK_PEER_VERSION ", " + Capability(), true,
          [](const Shape& shape) { return std::make_unique<PyTorchSoftmax>(shape); }};
}

}  // namespace smx_peers
