// oneDNN's softmax and log-softmax primitives.
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

#include "bench/peers/peer.h"

namespace smx_peers {
namespace {

dnnl::memory::data_type TypeOf(const Problem& problem) {
  switch (problem.type) {
    case smx_datatype_f16:
      return dnnl::memory::data_type::f16;
    case smx_datatype_bf16:
      return dnnl::memory::data_type::bf16;
    default:
      return dnnl::memory::data_type::f32;
  }
}

template <class Primitive>
dnnl::primitive Make(const dnnl::engine& engine, const dnnl::memory::desc& layout, int axis) {
  return Primitive(typename Primitive::primitive_desc(
      typename Primitive::desc(dnnl::prop_kind::forward_inference, layout, axis), engine));
}

class OneDnnSoftmax : public Softmax {
 public:
  OneDnnSoftmax(const Problem& problem, const Shape& shape)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        layout_(Sizes(problem, shape), TypeOf(problem), dnnl::memory::format_tag::ab),
        x_(layout_, engine_, nullptr),
        y_(layout_, engine_, nullptr),
        softmax_(problem.logarithm ? Make<dnnl::logsoftmax_forward>(engine_, layout_, problem.axis)
                                   : Make<dnnl::softmax_forward>(engine_, layout_, problem.axis)),
        arguments_({{DNNL_ARG_SRC, x_}, {DNNL_ARG_DST, y_}}) {}

  void SetUp(const void* x, void* y) override {
    x_.set_data_handle(const_cast<void*>(x));
    y_.set_data_handle(y);
  }
  void Run() override {
    softmax_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::memory::desc layout_;
  dnnl::memory x_;
  dnnl::memory y_;
  dnnl::primitive softmax_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

const char* NameOf(dnnl::cpu_isa isa) {
  switch (isa) {
    case dnnl::cpu_isa::sse41:
      return "SSE4.1";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx2_vnni:
      return "AVX2";
    default:
      return "up to AVX512";
  }
}

}  // namespace

Peer OneDnn(const Setting& setting) {
  if (setting.isa == "avx2") dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  if (setting.isa == "scalar") dnnl::set_max_cpu_isa(dnnl::cpu_isa::sse41);
  omp_set_num_threads(static_cast<int>(setting.threads));
  const dnnl_version_t& version = *dnnl_version();
  return {"oneDNN",
          std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
              std::to_string(version.patch) + ", " + NameOf(dnnl::get_effective_cpu_isa()),
          true, [problem = setting.problem](const Shape& shape) {
            return std::make_unique<OneDnnSoftmax>(problem, shape);
          }};
}

}  // namespace smx_peers
