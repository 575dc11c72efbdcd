// PyTorch's softmax, called from C++.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <stdlib.h>

#include <sstream>

#include "bench/peers/peer.h"

namespace smx_peers {
namespace {

at::ScalarType TypeOf(const Problem& problem) {
  switch (problem.type) {
    case smx_datatype_f16:
      return at::kHalf;
    case smx_datatype_bf16:
      return at::kBFloat16;
    default:
      return at::kFloat;
  }
}

class PyTorchSoftmax : public Softmax {
 public:
  PyTorchSoftmax(const Problem& problem, const Shape& shape)
      : problem_(problem), sizes_(Sizes(problem, shape)) {}

  void SetUp(const void* x, void* y) override {
    x_ = at::from_blob(const_cast<void*>(x), sizes_, TypeOf(problem_));
    y_ = at::from_blob(y, sizes_, TypeOf(problem_));
  }
  void Run() override {
    if (problem_.logarithm) {
      at::log_softmax_out(y_, x_, problem_.axis);
    } else {
      at::softmax_out(y_, x_, problem_.axis);
    }
  }

 private:
  at::NoGradGuard no_grad_;
  Problem problem_;
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
          [problem = setting.problem](const Shape& shape) {
            return std::make_unique<PyTorchSoftmax>(problem, shape);
          }};
}

}  // namespace smx_peers
