// The library's functions, as one shared object has them.
#pragma once

#include "include/smxpack.h"

#define FOREACH_FUNCTION(FUNCTION)    \
  FUNCTION(smx_initialize)            \
  FUNCTION(smx_deinitialize)          \
  FUNCTION(smx_set_log_callback)      \
  FUNCTION(smx_set_thresholds)        \
  FUNCTION(smx_get_thresholds)        \
  FUNCTION(smx_create_softmax_nc_f32) \
  FUNCTION(smx_setup_softmax_nc_f32)  \
  FUNCTION(smx_get_plan)              \
  FUNCTION(smx_run_operator)          \
  FUNCTION(smx_delete_operator)

struct Functions {
#define MEMBER(function) decltype(&::function) function;
  FOREACH_FUNCTION(MEMBER)
#undef MEMBER
};
