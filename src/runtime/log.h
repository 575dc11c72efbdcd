// Messages to the application's callback. Nothing is ever printed.
#pragma once

#include "include/smxpack.h"

#ifdef __cplusplus
extern "C" {
#endif

void smx_log(enum smx_log_level level, const char* format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}  // extern "C"
#endif

#define smx_log_error(...) smx_log(smx_log_level_error, __VA_ARGS__)
#define smx_log_warning(...) smx_log(smx_log_level_warning, __VA_ARGS__)
#define smx_log_info(...) smx_log(smx_log_level_info, __VA_ARGS__)
