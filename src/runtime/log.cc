#include "src/runtime/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

namespace {

struct Sink {
  smx_log_callback callback;
  void* context;
  smx_log_level level;
};

pthread_mutex_t sink_mutex = PTHREAD_MUTEX_INITIALIZER;
Sink sink = {nullptr, nullptr, smx_log_level_none};

Sink CurrentSink() {
  pthread_mutex_lock(&sink_mutex);
  const Sink current = sink;
  pthread_mutex_unlock(&sink_mutex);
  return current;
}

}  // namespace

void smx_set_log_callback(smx_log_callback callback, void* context, enum smx_log_level level) {
  pthread_mutex_lock(&sink_mutex);
  sink = {callback, context, level};
  pthread_mutex_unlock(&sink_mutex);
}

void smx_log(enum smx_log_level level, const char* format, ...) {
  const Sink current = CurrentSink();
  if (current.callback == nullptr || level > current.level) return;
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  current.callback(current.context, level, message);
}
