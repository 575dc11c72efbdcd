#include "bench/peers/subjects.h"

#include <algorithm>
#include <stdexcept>

#include "bench/algorithms.h"
#include "bench/operator.h"
#include "bench/peers/row_loop.h"
#include "bench/rooflines.h"

namespace smx_peers {
namespace {

void Check(smx_status status) {
  if (status != smx_status_success) throw std::runtime_error(smx_status_to_string(status));
}

const smx_bench::OperatorKind& KindOf(const Problem& problem) {
  if (problem.axis == 0) return problem.logarithm ? smx_bench::kLogSoftmaxAxis : smx_bench::kSoftmaxAxis;
  return problem.logarithm ? smx_bench::kLogSoftmax : smx_bench::kSoftmax;
}

class OurSoftmax : public Softmax {
 public:
  OurSoftmax(const std::string& isa, const Shape& shape, const Setting& setting)
      : op_(isa.c_str(), KindOf(setting.problem), setting.problem.type),
        shape_(shape),
        threadpool_(smx_bench::MakeThreadPool(setting.threads)) {
    if (op_.get() == nullptr) throw std::runtime_error("the operator could not be created for " + isa);
  }

  void SetUp(const void* x, void* y) override { Check(op_.SetUp(shape_, x, y)); }
  void Run() override { Check(smx_run_operator(op_.get(), threadpool_.get())); }

 private:
  smx_bench::Operator op_;
  Shape shape_;
  smx_bench::ThreadPool threadpool_;
};

// Not a softmax, but measured as one, on the bytes of the problem's elements.
class RooflineRun : public Softmax {
 public:
  RooflineRun(const smx_bench::Roofline& roofline, const Shape& shape, const Setting& setting)
      : roofline_(roofline),
        words_((shape.elements() * ElementBytes(setting.problem) + sizeof(float) - 1) / sizeof(float)),
        threadpool_(smx_bench::MakeThreadPool(setting.threads)) {}

  void SetUp(const void* x, void* y) override {
    x_ = static_cast<const float*>(x);
    y_ = static_cast<float*>(y);
  }
  void Run() override { smx_bench::RunRoofline(roofline_, threadpool_.get(), words_, x_, y_); }

 private:
  const smx_bench::Roofline& roofline_;
  size_t words_;  // an odd number of halves has a word of the padding that buffers have
  smx_bench::ThreadPool threadpool_;
  const float* x_ = nullptr;
  float* y_ = nullptr;
};

Peer OfRoofline(const smx_bench::Roofline& roofline, const Setting& setting) {
  return {roofline.name, roofline.method, true, [&roofline, setting](const Shape& shape) {
            return std::make_unique<RooflineRun>(roofline, shape, setting);
          }};
}

// A three-pass algorithm over every row.
Peer OfBaseline(const smx_bench::Algorithm& algorithm, const smx_bench::Kernels& kernels, size_t threads) {
  const auto row = [&algorithm, &kernels](size_t n, const float* x, float* y) {
    algorithm.run(kernels, n, x, y);
  };
  return {std::string(algorithm.name) + " " + kernels.isa, algorithm.variants(kernels), true,
          [=](const Shape& shape) { return std::make_unique<RowLoop<decltype(row)>>(row, shape, threads); }};
}

Peer OfOperator(const std::string& isa, const Setting& setting) {
  return {"smxpack " + isa, isa, true,
          [=](const Shape& shape) { return std::make_unique<OurSoftmax>(isa, shape, setting); }};
}

constexpr const char* kBaselines[] = {"three-pass-reload", "three-pass-recompute"};

}  // namespace

std::vector<Subject> Subjects(const Setting& setting, const std::vector<Peer>& found) {
  std::vector<Subject> subjects;
  for (size_t i = 0; i < smx_bench::kRooflineCount; i++) {
    subjects.push_back({OfRoofline(smx_bench::GetRooflines()[i], setting), Role::kRoofline});
  }
  for (const Peer& peer : found) {
    if (peer.refusal.empty()) subjects.push_back({peer, peer.keeps_to_isa ? Role::kPeer : Role::kAside});
  }

  const std::vector<smx_bench::Kernels>& all = smx_bench::AvailableKernels();
  auto kernels =
      std::find_if(all.begin(), all.end(), [&](const smx_bench::Kernels& k) { return setting.isa == k.isa; });
  for (Role role = Role::kPeer; kernels != all.end(); ++kernels, role = Role::kAside) {
    // The scalar kernels are a reference: whoever wants them timed asks for them.
    if (role == Role::kAside && std::string(kernels->isa) == "scalar") break;
    for (const char* name : kBaselines) {
      if (!setting.problem.IsDefault()) break;
      subjects.push_back({OfBaseline(*smx_bench::FindAlgorithm(name), *kernels, setting.threads), role});
    }
    subjects.push_back({OfOperator(kernels->isa, setting), role == Role::kPeer ? Role::kOurs : role});
  }
  return subjects;
}

std::vector<std::string> AvailableIsas() {
  std::vector<std::string> isas;
  for (const smx_bench::Kernels& kernels : smx_bench::AvailableKernels()) isas.emplace_back(kernels.isa);
  return isas;
}

}  // namespace smx_peers
