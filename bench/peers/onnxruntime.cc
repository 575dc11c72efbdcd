// A session of ONNX Runtime with a model of one node, bound to the caller's buffers.
#include <stdexcept>

#include "bench/algorithms.h"
#include "bench/peers/onnxruntime_c_api.h"
#include "bench/peers/peer.h"

namespace smx_peers {
namespace ort {

const OrtAnyFunction* Functions() {
  static const OrtAnyFunction* const functions = OrtGetApiBase()->GetApi(kApiVersion);
  return functions;
}

}  // namespace ort

namespace {

void Check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = ort::GetErrorMessage(status);
  ort::ReleaseStatus(status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

// An object of the library, with the function that releases it.
template <class Object, const auto& kRelease>
struct Releaser {
  void operator()(Object* object) const { kRelease(object); }
};
template <class Object, const auto& kRelease>
using Handle = std::unique_ptr<Object, Releaser<Object, kRelease>>;

// create(arguments..., &object).
template <class Result, class Create, class... Arguments>
Result Make(const Create& create, Arguments... arguments) {
  typename Result::pointer object = nullptr;
  Check(create(arguments..., &object));
  return Result(object);
}

using MemoryInfo = Handle<OrtMemoryInfo, ort::ReleaseMemoryInfo>;
using Session = Handle<OrtSession, ort::ReleaseSession>;
using SessionOptions = Handle<OrtSessionOptions, ort::ReleaseSessionOptions>;
using Value = Handle<OrtValue, ort::ReleaseValue>;
using Binding = Handle<OrtIoBinding, ort::ReleaseIoBinding>;

// Fields of a protocol buffers message.
std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string Field(int number, uint64_t value) {
  return Varint(number << 3) + Varint(value);
}
std::string Field(int number, const std::string& message) {
  return Varint(number << 3 | 2) + Varint(message.size()) + message;
}

int ElementType(const Problem& problem) {
  switch (problem.type) {
    case smx_datatype_f16:
      return ort::kElementTypeFloat16;
    case smx_datatype_bf16:
      return ort::kElementTypeBFloat16;
    default:
      return ort::kElementTypeFloat;
  }
}

// An ONNX model, y = Softmax(x) or LogSoftmax(x). Fields are named as in onnx.proto.
std::string Model(const Problem& problem, const Shape& shape) {
  std::string dims;
  for (const int64_t n : Sizes(problem, shape)) dims += Field(/*dim*/ 1, Field(/*dim_value*/ 1, n));
  const std::string tensor_type = Field(/*elem_type*/ 1, ElementType(problem)) + Field(/*shape*/ 2, dims);
  const std::string type = Field(/*tensor_type*/ 1, tensor_type);
  const auto value_info = [&](const char* name) { return Field(/*name*/ 1, name) + Field(/*type*/ 2, type); };
  constexpr uint64_t kInt = 2;
  const std::string axis =
      Field(/*name*/ 1, "axis") + Field(/*i*/ 3, problem.axis) + Field(/*type*/ 20, kInt);
  const std::string node = Field(/*input*/ 1, "x") + Field(/*output*/ 2, "y") +
                           Field(/*op_type*/ 4, problem.logarithm ? "LogSoftmax" : "Softmax") +
                           Field(/*attribute*/ 5, axis);
  const std::string graph = Field(/*node*/ 1, node) + Field(/*name*/ 2, "softmax") +
                            Field(/*input*/ 11, value_info("x")) + Field(/*output*/ 12, value_info("y"));
  constexpr uint64_t kIrVersion = 7;
  constexpr uint64_t kOpsetVersion = 13;  // the first whose Softmax is over one axis
  return Field(/*ir_version*/ 1, kIrVersion) + Field(/*graph*/ 7, graph) +
         Field(/*opset_import*/ 8, Field(/*version*/ 2, kOpsetVersion));
}

OrtEnv* Environment() {
  static OrtEnv* const environment = [] {
    OrtEnv* created = nullptr;
    Check(ort::CreateEnv(ort::kLoggingLevelWarning, "peers_bench", &created));
    return created;
  }();
  return environment;
}

Session MakeSession(const Problem& problem, const Shape& shape, size_t threads) {
  const SessionOptions options = Make<SessionOptions>(ort::CreateSessionOptions);
  Check(ort::SetIntraOpNumThreads(options.get(), static_cast<int>(threads)));
  Check(ort::SetInterOpNumThreads(options.get(), 1));
  const std::string model = Model(problem, shape);
  return Make<Session>(ort::CreateSessionFromArray, Environment(), model.data(), model.size(), options.get());
}

class OnnxRuntimeSoftmax : public Softmax {
 public:
  OnnxRuntimeSoftmax(const Problem& problem, const Shape& shape, size_t threads)
      : element_type_(ElementType(problem)),
        sizes_(Sizes(problem, shape)),
        bytes_(shape.elements() * ElementBytes(problem)),
        memory_(Make<MemoryInfo>(ort::CreateCpuMemoryInfo, ort::kDeviceAllocator, ort::kMemTypeDefault)),
        session_(MakeSession(problem, shape, threads)),
        binding_(Make<Binding>(ort::CreateIoBinding, session_.get())) {}

  void SetUp(const void* x, void* y) override {
    x_ = Tensor(const_cast<void*>(x));
    y_ = Tensor(y);
    Check(ort::BindInput(binding_.get(), "x", x_.get()));
    Check(ort::BindOutput(binding_.get(), "y", y_.get()));
  }
  void Run() override { Check(ort::RunWithBinding(session_.get(), nullptr, binding_.get())); }

 private:
  Value Tensor(void* data) const {
    return Make<Value>(ort::CreateTensorWithDataAsOrtValue, memory_.get(), data, bytes_, sizes_.data(),
                       sizes_.size(), element_type_);
  }

  int element_type_;
  std::vector<int64_t> sizes_;
  size_t bytes_;
  MemoryInfo memory_;
  Session session_;
  Binding binding_;
  Value x_;
  Value y_;
};

}  // namespace

Peer OnnxRuntime(const Setting& setting) {
  if (ort::Functions() == nullptr)
    throw std::runtime_error("ONNX Runtime: version 5 of its API is not there");
  return {"ONNX Runtime", std::string(OrtGetApiBase()->GetVersionString()) + ", all that the processor has",
          setting.isa == smx_bench::AvailableKernels().front().isa,  // there is no way to hold it to less
          [=](const Shape& shape) {
            return std::make_unique<OnnxRuntimeSoftmax>(setting.problem, shape, setting.threads);
          }};
}

}  // namespace smx_peers
