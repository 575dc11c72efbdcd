// A plugin with a copy of the static library in it.
#include "test/two_copies/functions.h"

extern "C" void plugin_functions(Functions* functions) {
#define ASSIGN(function) functions->function = &::function;
  FOREACH_FUNCTION(ASSIGN)
#undef ASSIGN
}
