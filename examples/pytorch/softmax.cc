// The softmax of PyTorch's CPU backend by SMXPACK: kernels that take the place of PyTorch's own for aten::_softmax,
// aten::_log_softmax and aten::_masked_softmax, so that models run on them unchanged.
//
//     torch.ops.load_library(".../libsmxpack_pytorch.so")
//
// What SMXPACK does not compute, such as elements of double, goes to PyTorch's own kernels as before.
#include <ATen/Parallel.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_log_softmax_cpu_dispatch.h>
#include <ATen/ops/_masked_softmax_cpu_dispatch.h>
#include <ATen/ops/_softmax_cpu_dispatch.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <smxpack.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <string>

namespace {

std::atomic<bool> is_enabled{true};
std::atomic<int64_t> calls{0};

constexpr size_t kTypes = smx_datatype_bf16 + 1;
constexpr int64_t kTaskElements = 32768;  // what PyTorch takes for worth a task

// 0 where SMXPACK has no such elements.
smx_datatype TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return smx_datatype_f32;
    case at::kHalf:
      return smx_datatype_f16;
    case at::kBFloat16:
      return smx_datatype_bf16;
    default:
      return smx_datatype{};
  }
}

void Check(smx_status status) {
  TORCH_CHECK(status == smx_status_success, "SMXPACK: ", smx_status_to_string(status));
}

// An operator of one thread, made when it is first needed: operators serve one thread at a time, and the threads of
// at::parallel_for are PyTorch's own.
class Operator {
 public:
  Operator() = default;
  Operator(const Operator&) = delete;
  ~Operator() { smx_delete_operator(op_); }

  template <class Create>
  smx_operator_t Get(const Create& create) {
    if (op_ == nullptr) {
      Check(smx_initialize(nullptr));
      Check(create(&op_));
    }
    return op_;
  }

 private:
  smx_operator_t op_ = nullptr;
};

// A tensor as the axis operators take it: element (o, a, i) is at o * outer_stride + a * axis_stride + i.
struct Layout {
  int64_t outer = 1, axis = 1, inner = 1;
  int64_t outer_stride = 1, axis_stride = 1;
};

// Dimensions begin to end - 1 as one; false where no single stride goes through them.
bool Fold(const at::Tensor& tensor, int64_t begin, int64_t end, int64_t* size, int64_t* stride) {
  for (int64_t d = end; d-- > begin;) {
    if (tensor.size(d) == 1) continue;
    if (*size == 1) *stride = tensor.stride(d);
    if (tensor.stride(d) != *size * *stride) return false;
    *size *= tensor.size(d);
  }
  return true;
}

// Of a tensor that is not empty. False where it has another form.
bool LayoutOf(const at::Tensor& tensor, int64_t dim, Layout* layout) {
  int64_t inner_stride = 1;
  if (!Fold(tensor, dim + 1, tensor.dim(), &layout->inner, &inner_stride) ||
      !Fold(tensor, 0, dim, &layout->outer, &layout->outer_stride) ||
      !Fold(tensor, dim, std::min(dim + 1, tensor.dim()), &layout->axis, &layout->axis_stride)) {
    return false;
  }
  // Rows that are columns in memory are faster as a copy.
  const bool has_strided_rows = layout->inner == 1 && layout->axis > 1 && layout->axis_stride != 1;
  return inner_stride == 1 && !has_strided_rows;
}

using CreateFunction = smx_status (*)(smx_datatype, smx_datatype, uint32_t, smx_operator_t*);
using SetupFunction = smx_status (*)(smx_operator_t, size_t, size_t, size_t, size_t, size_t, size_t, size_t,
                                     const void*, void*);

template <CreateFunction kCreate, SetupFunction kSetup>
class Softmax {
 public:
  // False where SMXPACK does not compute it, or where there is nothing to compute.
  static bool Run(const at::Tensor& self, int64_t dim, bool half_to_float, const at::Tensor& out) {
    if (TypeOf(self) == 0 || half_to_float || self.numel() == 0) return false;
    if (out.scalar_type() != self.scalar_type() || out.sizes() != self.sizes()) return false;
    return Softmax(self, dim, out).Compute() ||
           (!self.is_contiguous() && Softmax(self.contiguous(), dim, out).Compute());
  }

 private:
  Softmax(const at::Tensor& self, int64_t dim, const at::Tensor& out)
      : type_(TypeOf(self)),
        element_bytes_(self.element_size()),
        input_(static_cast<const char*>(self.data_ptr())),
        output_(static_cast<char*>(out.data_ptr())),
        has_layout_(LayoutOf(self, dim, &in_) && LayoutOf(out, dim, &out_)) {}

  // The library itself says which strides and overlaps it takes.
  bool Compute() const {
    if (!has_layout_ || Setup(0, in_.outer, 0, in_.inner) != smx_status_success) return false;

    // Tasks are slices, or pieces of a slice where there are few: whole vectors of columns that lie side by side.
    const int64_t pieces = std::max(int64_t{1}, std::min(at::get_num_threads() / in_.outer, in_.inner / 64));
    const int64_t columns = (in_.inner / pieces + 63) / 64 * 64;
    const int64_t elements = in_.axis * std::min(columns, in_.inner);
    at::parallel_for(0, in_.outer * pieces, std::max(int64_t{1}, kTaskElements / elements),
                     [&](int64_t begin, int64_t end) {
                       if (pieces == 1) return ComputeTask(begin, end - begin, 0, in_.inner);
                       for (int64_t i = begin; i < end; i++) {
                         const int64_t first = i % pieces * columns;
                         ComputeTask(i / pieces, 1, first, std::min(columns, in_.inner - first));
                       }
                     });
    return true;
  }

  void ComputeTask(int64_t slice, int64_t slices, int64_t column, int64_t columns) const {
    if (columns <= 0) return;
    Check(Setup(slice, slices, column, columns));
    Check(smx_run_operator(ThreadsOperator(), nullptr));
  }

  smx_status Setup(int64_t slice, int64_t slices, int64_t column, int64_t columns) const {
    return kSetup(ThreadsOperator(), slices, in_.axis, columns, in_.outer_stride, in_.axis_stride,
                  out_.outer_stride, out_.axis_stride,
                  input_ + (slice * in_.outer_stride + column) * element_bytes_,
                  output_ + (slice * out_.outer_stride + column) * element_bytes_);
  }

  smx_operator_t ThreadsOperator() const {
    thread_local Operator operators[kTypes];
    return operators[type_].Get([&](smx_operator_t* op) { return kCreate(type_, type_, 0, op); });
  }

  const smx_datatype type_;
  const int64_t element_bytes_;
  const char* const input_;
  char* const output_;
  Layout in_, out_;
  const bool has_layout_;
};

using SoftmaxKernel = Softmax<smx_create_softmax_axis, smx_setup_softmax_axis>;
using LogSoftmaxKernel = Softmax<smx_create_log_softmax_axis, smx_setup_log_softmax_axis>;

bool Counted(bool is_computed) {
  calls += is_computed;
  return is_computed;
}

at::Tensor EmptyLike(const at::Tensor& self) {
  return at::empty(self.sizes(), self.options().memory_format(at::MemoryFormat::Contiguous));
}

// An operator that returns a tensor, and the one that writes it to `out`; PyTorch's own have the errors of wrong arguments.
template <class Kernel, auto kOriginal>
at::Tensor Functional(const at::Tensor& self, int64_t dim, bool half_to_float) {
  const int64_t dims = std::max(self.dim(), int64_t{1});
  if (is_enabled && dim >= -dims && dim < dims) {
    const at::Tensor out = EmptyLike(self);
    if (Counted(Kernel::Run(self, at::maybe_wrap_dim(dim, dims), half_to_float, out))) return out;
  }
  return kOriginal(self, dim, half_to_float);
}

template <class Kernel, auto kOriginal>
at::Tensor& Out(const at::Tensor& self, int64_t dim, bool half_to_float, at::Tensor& out) {
  const int64_t dims = std::max(self.dim(), int64_t{1});
  if (is_enabled && dim >= -dims && dim < dims &&
      Counted(Kernel::Run(self, at::maybe_wrap_dim(dim, dims), half_to_float, out))) {
    return out;
  }
  return kOriginal(self, dim, half_to_float, out);
}

smx_operator_t AttentionOperator(smx_datatype type) {
  thread_local Operator operators[kTypes];
  return operators[type].Get([&](smx_operator_t* op) {
    const smx_attention_options options = {type, type, smx_datatype_bool, 0.0f, 0};
    return smx_create_attention_softmax(&options, 0, op);
  });
}

// Over contiguous rows, with a mask that is true where a key counts.
void RunMaskedSoftmax(const at::Tensor& self, const at::Tensor& mask, const at::Tensor& out) {
  const smx_datatype type = TypeOf(self);
  const int64_t keys = self.size(-1), row_bytes = keys * self.element_size();
  const auto* input = static_cast<const char*>(self.data_ptr());
  auto* output = static_cast<char*>(out.data_ptr());
  const bool* seen = mask.data_ptr<bool>();
  const int64_t rows_per_task = std::max(int64_t{1}, kTaskElements / keys);
  at::parallel_for(0, self.numel() / keys, rows_per_task, [&](int64_t begin, int64_t end) {
    smx_attention attention = {};
    attention.batch_size = attention.heads = 1;
    attention.queries = end - begin;
    attention.keys = keys;
    attention.input_strides.query = attention.output_strides.query = attention.mask_strides.query = keys;
    attention.input_strides.key = attention.output_strides.key = attention.mask_strides.key = 1;
    attention.input = input + begin * row_bytes;
    attention.output = output + begin * row_bytes;
    attention.mask = seen + begin * keys;
    const smx_operator_t op = AttentionOperator(type);
    Check(smx_setup_attention_softmax(op, &attention));
    Check(smx_run_operator(op, nullptr));
  });
}

// PyTorch's mask is true where it leaves a key out, and has the shape of its input, whether it is of keys (1) or general (2).
at::Tensor MaskedSoftmax(const at::Tensor& self, const at::Tensor& mask, c10::optional<int64_t> dim,
                         c10::optional<int64_t> mask_type) {
  const bool is_over_last = self.dim() > 0 && (!dim || *dim == -1 || *dim == self.dim() - 1);
  const bool is_masked = mask.scalar_type() == at::kBool && mask.sizes() == self.sizes() &&
                         (mask_type == int64_t{1} || mask_type == int64_t{2});
  if (is_enabled && TypeOf(self) != 0 && self.numel() > 0 && is_over_last && is_masked) {
    const at::Tensor out = EmptyLike(self);
    RunMaskedSoftmax(self.contiguous(), mask.logical_not().contiguous(), out);
    calls++;
    return out;
  }
  return at::cpu::_masked_softmax(self, mask, dim, mask_type);
}

// PyTorch warns of each kernel that takes another's place, which is what this library is for.
class NoWarnings : public c10::WarningHandler {
 public:
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
};

}  // namespace

TORCH_LIBRARY(smxpack, m) {
  // Whether SMXPACK computes what it can, as it does from the start, or PyTorch everything.
  m.def("enable", [](bool is_on) { is_enabled = is_on; });
  // Calls that SMXPACK has computed.
  m.def("calls", []() -> int64_t { return calls; });
}

TORCH_LIBRARY_IMPL(aten, CPU, m) {
  NoWarnings no_warnings;
  const c10::Warning::WarningHandlerGuard guard(&no_warnings);
  m.impl("_softmax", Functional<SoftmaxKernel, at::cpu::_softmax>);
  m.impl("_softmax.out", Out<SoftmaxKernel, at::cpu::_softmax_outf>);
  m.impl("_log_softmax", Functional<LogSoftmaxKernel, at::cpu::_log_softmax>);
  m.impl("_log_softmax.out", Out<LogSoftmaxKernel, at::cpu::_log_softmax_outf>);
  m.impl("_masked_softmax", MaskedSoftmax);
}
