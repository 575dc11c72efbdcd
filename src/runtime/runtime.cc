#include "src/runtime/runtime.h"

#include <cpuinfo.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

#include "src/plan/softmax_plan.h"
#include "src/runtime/dispatch.h"
#include "src/runtime/log.h"

namespace {

pthread_mutex_t runtime_mutex = PTHREAD_MUTEX_INITIALIZER;
smx_runtime runtime;
std::atomic<bool> initialized{false};

void* AllocateByMalloc(void*, size_t size) {
  return malloc(size);
}
void DeallocateByFree(void*, void* pointer) {
  free(pointer);
}

// What the C library knows of a cache; 0 where it does not.
size_t SystemCacheBytes([[maybe_unused]] int level) {
#if defined(_SC_LEVEL2_CACHE_SIZE) && defined(_SC_LEVEL3_CACHE_SIZE)
  const long bytes = sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? static_cast<size_t>(bytes) : 0;
#else
  return 0;
#endif
}

// Of one core. cpuinfo reads caches from files that a container or a virtual machine may lack.
size_t L2Bytes(bool cpuinfo_ready) {
  const cpuinfo_cache* cache = cpuinfo_ready ? cpuinfo_get_l2_cache(0) : nullptr;
  if (cache == nullptr || cache->size == 0) return SystemCacheBytes(2);
  return cache->processor_count > 2 ? cache->size / cache->processor_count : cache->size;
}

size_t LastLevelBytes(bool cpuinfo_ready) {
  const size_t bytes = cpuinfo_ready ? cpuinfo_get_max_cache_size() : 0;
  return bytes != 0 ? bytes : SystemCacheBytes(3);
}

// Without this file cpuinfo fails, and writes so to stderr.
bool InitializeCpuinfo() {
#if defined(__linux__)
  if (access("/proc/cpuinfo", R_OK) != 0) return false;
#endif
  return cpuinfo_initialize();
}

void Initialize(const smx_allocator* allocator) {
  runtime.allocator =
      allocator != nullptr ? *allocator : smx_allocator{nullptr, AllocateByMalloc, DeallocateByFree};
  const bool cpuinfo_ready = InitializeCpuinfo();
  if (!cpuinfo_ready) smx_log_warning("cpuinfo failed to initialise: scalar kernels are used");
  runtime.isa = smx_dispatch(getenv("SMXPACK_ISA"), cpuinfo_ready, &runtime.microkernels);
  runtime.default_thresholds = smx_default_thresholds(L2Bytes(cpuinfo_ready), LastLevelBytes(cpuinfo_ready));
  runtime.thresholds = runtime.default_thresholds;
}

}  // namespace

enum smx_status smx_initialize(const struct smx_allocator* allocator) {
  if (allocator != nullptr && (allocator->allocate == nullptr || allocator->deallocate == nullptr)) {
    smx_log_error("smx_initialize: the allocator lacks a function");
    return smx_status_invalid_parameter;
  }
  pthread_mutex_lock(&runtime_mutex);
  if (!initialized.load(std::memory_order_relaxed)) {
    Initialize(allocator);
    initialized.store(true, std::memory_order_release);
  }
  pthread_mutex_unlock(&runtime_mutex);
  return smx_status_success;
}

enum smx_status smx_deinitialize(void) {
  pthread_mutex_lock(&runtime_mutex);
  initialized.store(false, std::memory_order_release);
  pthread_mutex_unlock(&runtime_mutex);
  return smx_status_success;
}

bool smx_is_initialized(void) {
  return initialized.load(std::memory_order_acquire);
}

bool smx_get_runtime(struct smx_runtime* runtime_out) {
  pthread_mutex_lock(&runtime_mutex);
  const bool is_initialized = smx_is_initialized();
  if (is_initialized) *runtime_out = runtime;
  pthread_mutex_unlock(&runtime_mutex);
  return is_initialized;
}

enum smx_status smx_get_thresholds(struct smx_thresholds* thresholds_out) {
  if (thresholds_out == nullptr) {
    smx_log_error("smx_get_thresholds: thresholds_out is NULL");
    return smx_status_invalid_parameter;
  }
  smx_runtime current;
  if (!smx_get_runtime(&current)) {
    smx_log_error("smx_get_thresholds: the library is not initialised");
    return smx_status_uninitialized;
  }
  *thresholds_out = current.thresholds;
  return smx_status_success;
}

enum smx_status smx_set_thresholds(const struct smx_thresholds* thresholds) {
  if (!smx_is_initialized()) {
    smx_log_error("smx_set_thresholds: the library is not initialised");
    return smx_status_uninitialized;
  }
  if (thresholds != nullptr && (thresholds->streamed_bytes == 0 || thresholds->task_elements == 0)) {
    smx_log_error("smx_set_thresholds: streamed_bytes or task_elements is 0");
    return smx_status_invalid_parameter;
  }
  pthread_mutex_lock(&runtime_mutex);
  runtime.thresholds = thresholds != nullptr ? *thresholds : runtime.default_thresholds;
  pthread_mutex_unlock(&runtime_mutex);
  return smx_status_success;
}

enum smx_status smx_get_isa(const char** name_out) {
  if (name_out == nullptr) {
    smx_log_error("smx_get_isa: name_out is NULL");
    return smx_status_invalid_parameter;
  }
  smx_runtime current;
  const bool is_initialized = smx_get_runtime(&current);
  *name_out = is_initialized ? current.isa : nullptr;
  if (is_initialized) return smx_status_success;
  smx_log_error("smx_get_isa: the library is not initialised");
  return smx_status_uninitialized;
}

enum smx_status smx_get_microkernel(size_t index, const char** name_out) {
  if (name_out == nullptr) {
    smx_log_error("smx_get_microkernel: name_out is NULL");
    return smx_status_invalid_parameter;
  }
  *name_out = nullptr;
  smx_runtime current;
  if (!smx_get_runtime(&current)) {
    smx_log_error("smx_get_microkernel: the library is not initialised");
    return smx_status_uninitialized;
  }
  *name_out = smx_microkernel_name(&current.microkernels, index);
  return *name_out != nullptr ? smx_status_success : smx_status_invalid_parameter;
}

const char* smx_status_to_string(enum smx_status status) {
  switch (status) {
    case smx_status_success:
      return "smx_status_success";
    case smx_status_uninitialized:
      return "smx_status_uninitialized";
    case smx_status_invalid_parameter:
      return "smx_status_invalid_parameter";
    case smx_status_invalid_state:
      return "smx_status_invalid_state";
    case smx_status_unsupported_parameter:
      return "smx_status_unsupported_parameter";
    case smx_status_unsupported_hardware:
      return "smx_status_unsupported_hardware";
    case smx_status_out_of_memory:
      return "smx_status_out_of_memory";
  }
  return "smx_status_unknown";
}
