// A session of ONNX Runtime with a model of one node, bound to the caller's buffers.
#include <stdexcept>

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

// An ONNX model, y = Softmax(x) over the last axis. Fields are named as in onnx.proto.
std::string Model(const Shape& shape) {
  const auto dim = [](size_t n) { return Field(/*dim*/ 1, Field(/*dim_value*/ 1, n)); };
  const std::string tensor_type = Field(/*elem_type*/ 1, ort::kElementTypeFloat) +
                                  Field(/*shape*/ 2, dim(shape.rows) + dim(shape.channels));
  const std::string type = Field(/*tensor_type*/ 1, tensor_type);
  const auto value_info = [&](const char* name) { return Field(/*name*/ 1, name) + Field(/*type*/ 2, type); };
  const std::string node =
      Field(/*input*/ 1, "x") + Field(/*output*/ 2, "y") + Field(/*op_type*/ 4, "Softmax");
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

Session MakeSession(const Shape& shape, size_t threads) {
  const SessionOptions options = Make<SessionOptions>(ort::CreateSessionOptions);
  Check(ort::SetIntraOpNumThreads(options.get(), static_cast<int>(threads)));
  Check(ort::SetInterOpNumThreads(options.get(), 1));
  const std::string model = Model(shape);
  return Make<Session>(ort::CreateSessionFromArray, Environment(), model.data(), model.size(), options.get());
}

class OnnxRuntimeSoftmax : public Softmax {
 public:
  OnnxRuntimeSoftmax(const Shape& shape, size_t threads)
      : shape_(shape),
        memory_(Make<MemoryInfo>(ort::CreateCpuMemoryInfo, ort::kDeviceAllocator, ort::kMemTypeDefault)),
        session_(MakeSession(shape, threads)),
        binding_(Make<Binding>(ort::CreateIoBinding, session_.get())) {}

  void SetUp(const float* x, float* y) override {
    x_ = Tensor(const_cast<float*>(x));
    y_ = Tensor(y);
    Check(ort::BindInput(binding_.get(), "x", x_.get()));
    Check(ort::BindOutput(binding_.get(), "y", y_.get()));
  }
  void Run() override { Check(ort::RunWithBinding(session_.get(), nullptr, binding_.get())); }

 private:
  Value Tensor(float* data) const {
    const int64_t sizes[] = {static_cast<int64_t>(shape_.rows), static_cast<int64_t>(shape_.channels)};
    return Make<Value>(ort::CreateTensorWithDataAsOrtValue, memory_.get(), data,
                       shape_.elements() * sizeof(float), sizes, std::size(sizes), ort::kElementTypeFloat);
  }

  Shape shape_;
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
          setting.isa == "avx512f" || setting.isa == "neon",  // there is no way to hold it to less
          [=](const Shape& shape) { return std::make_unique<OnnxRuntimeSoftmax>(shape, setting.threads); }};
}

}  // namespace smx_peers
