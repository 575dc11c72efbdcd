// The part of ONNX Runtime's C API that one session needs. The npm package holds the library without its header.
//
// OrtApi is a table of functions that only grows: slots 0 to 101 are version 1 of the API, 102 to 118 version 2, and so
// on to slot 149, the last of version 5; these sizes are asserted where the table is defined (onnxruntime_c_api.cc). What
// a slot holds is in OrtApi of onnxruntime_c_api.h, in its order.
#pragma once

#include <stddef.h>
#include <stdint.h>

extern "C" {

struct OrtEnv;
struct OrtIoBinding;
struct OrtMemoryInfo;
struct OrtRunOptions;
struct OrtSession;
struct OrtSessionOptions;
struct OrtStatus;  // NULL where a call succeeded
struct OrtValue;

using OrtAnyFunction = void (*)(void);

struct OrtApiBase {
  const OrtAnyFunction* (*GetApi)(uint32_t version);  // NULL where the library does not know the version
  const char* (*GetVersionString)(void);
};

const OrtApiBase* OrtGetApiBase(void);
}

namespace smx_peers::ort {

constexpr uint32_t kApiVersion = 5;  // the first that has all of these slots

// Of the enumerations.
constexpr int kLoggingLevelWarning = 2;
constexpr int kElementTypeFloat = 1;
constexpr int kElementTypeFloat16 = 10;
constexpr int kElementTypeBFloat16 = 16;
constexpr int kDeviceAllocator = 0;
constexpr int kMemTypeDefault = 0;

// The table.
const OrtAnyFunction* Functions();

// A function of the table: slot and type.
template <size_t kSlot, class Function>
struct Entry;

template <size_t kSlot, class Result, class... Arguments>
struct Entry<kSlot, Result(Arguments...)> {
  Result operator()(Arguments... arguments) const {
    return reinterpret_cast<Result (*)(Arguments...)>(Functions()[kSlot])(arguments...);
  }
};

constexpr Entry<2, const char*(const OrtStatus*)> GetErrorMessage{};
constexpr Entry<3, OrtStatus*(int, const char*, OrtEnv**)> CreateEnv{};
constexpr Entry<8, OrtStatus*(const OrtEnv*, const void*, size_t, const OrtSessionOptions*, OrtSession**)>
    CreateSessionFromArray{};
constexpr Entry<10, OrtStatus*(OrtSessionOptions**)> CreateSessionOptions{};
constexpr Entry<24, OrtStatus*(OrtSessionOptions*, int)> SetIntraOpNumThreads{};
constexpr Entry<25, OrtStatus*(OrtSessionOptions*, int)> SetInterOpNumThreads{};
constexpr Entry<49, OrtStatus*(const OrtMemoryInfo*, void*, size_t, const int64_t*, size_t, int, OrtValue**)>
    CreateTensorWithDataAsOrtValue{};
constexpr Entry<69, OrtStatus*(int, int, OrtMemoryInfo**)> CreateCpuMemoryInfo{};
constexpr Entry<93, void(OrtStatus*)> ReleaseStatus{};
constexpr Entry<94, void(OrtMemoryInfo*)> ReleaseMemoryInfo{};
constexpr Entry<95, void(OrtSession*)> ReleaseSession{};
constexpr Entry<96, void(OrtValue*)> ReleaseValue{};
constexpr Entry<100, void(OrtSessionOptions*)> ReleaseSessionOptions{};
constexpr Entry<133, OrtStatus*(OrtSession*, const OrtRunOptions*, const OrtIoBinding*)> RunWithBinding{};
constexpr Entry<134, OrtStatus*(OrtSession*, OrtIoBinding**)> CreateIoBinding{};
constexpr Entry<135, void(OrtIoBinding*)> ReleaseIoBinding{};
constexpr Entry<136, OrtStatus*(OrtIoBinding*, const char*, const OrtValue*)> BindInput{};
constexpr Entry<137, OrtStatus*(OrtIoBinding*, const char*, const OrtValue*)> BindOutput{};

}  // namespace smx_peers::ort
