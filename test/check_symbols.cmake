# What libsmxpack.a brings into an application: names that start with smx_, nothing that runs before main, nothing of the
# C++ library, and no baseline kernel.
#
#     cmake -DARCHIVE=libsmxpack.a -DNM=nm -DOBJDUMP=objdump "-DBASELINES=f32_vmulc" -P check_symbols.cmake

function(lines_of output)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}")
  endif()
  string(REGEX MATCHALL "[^\n]+" lines "${text}")
  set(${output} "${lines}" PARENT_SCOPE)
endfunction()

lines_of(defined ${NM} -g --defined-only --format=posix ${ARCHIVE})
list(FILTER defined EXCLUDE REGEX ":$")  # names of members
list(LENGTH defined count)
if(count EQUAL 0)
  message(FATAL_ERROR "${ARCHIVE} defines nothing")
endif()
foreach(line IN LISTS defined)
  if(NOT line MATCHES "^smx_")
    message(SEND_ERROR "defined, but does not start with smx_: ${line}")
  endif()
  foreach(kernel IN LISTS BASELINES)
    if(line MATCHES "^smx_${kernel}_ukernel__")
      message(SEND_ERROR "a baseline kernel: ${line}")
    endif()
  endforeach()
endforeach()

lines_of(undefined ${NM} -u --format=posix ${ARCHIVE})
foreach(line IN LISTS undefined)
  if(line MATCHES "^(_Z|__cxa_|__gxx_)")
    message(SEND_ERROR "needs the C++ library: ${line}")
  endif()
endforeach()

lines_of(sections ${OBJDUMP} -h ${ARCHIVE})
foreach(line IN LISTS sections)
  if(line MATCHES "\\.(init_array|preinit_array|ctors|fini_array|dtors)")
    message(SEND_ERROR "runs before or after main: ${line}")
  endif()
endforeach()

message("${count} global symbols, all of them smx_")
