# What the library brings into an application: names that start with smx_ and, from a shared library, the functions of the
# header alone; nothing that runs before main, no executable stack, no writable data but the runtime's and the log's, nothing
# of the C++ library, no baseline kernel, and less than 1 MiB.
#
#     cmake -DARCHIVE=libsmxpack.a -DSHARED=libsmxpack.so -DHEADER=smxpack.h "-DISAS=avx2;scalar"
#           "-DBASELINES=f32_vmulc" -DNM=nm -DOBJDUMP=objdump -DSTRIP=strip -P check_symbols.cmake

set(NEEDED_LIBRARIES "^lib(c|pthread|cpuinfo|pthreadpool)\\.so")

# Functions of the C library that are called: none that prints, reads files, exits or aborts.
set(C_FUNCTIONS access free getenv malloc memcmp memcpy memmove memset pthread_mutex_lock pthread_mutex_unlock sched_yield strcmp
    strlen sysconf vsnprintf)
# What compilers add: a table of addresses, calls to functions above with checks, atomics of 64-bit Arm.
set(COMPILERS_NAMES "^(_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(vsnprintf|memcpy|memset)_chk|__aarch64_[a-z]+[0-9]+_[a-z_]+)$")

set(WRITABLE initialized runtime runtime_mutex sink sink_mutex)

set(LARGEST_SIZE 1048576)  # of the archive, stripped

function(lines_of output)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE result COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE ";" ":" text "${text}")
  string(REGEX MATCHALL "[^\n]+" lines "${text}")
  if(lines STREQUAL "")
    message(FATAL_ERROR "${ARGN}: no output")
  endif()
  set(${output} "${lines}" PARENT_SCOPE)
endfunction()

# Names of the symbols that nm prints for these arguments.
function(symbols_of output)
  lines_of(lines ${NM} --format=posix ${ARGN})
  list(FILTER lines EXCLUDE REGEX ":$")  # names of members
  list(TRANSFORM lines REPLACE "@.*| .*" "")
  set(${output} "${lines}" PARENT_SCOPE)
endfunction()

function(expect_none what)
  foreach(line IN LISTS ARGN)
    message(SEND_ERROR "${what}: ${line}")
  endforeach()
endfunction()

symbols_of(defined -g --defined-only ${ARCHIVE})
set(others ${defined})
list(FILTER others EXCLUDE REGEX "^smx_")
expect_none("defined, but does not start with smx_" ${others})
foreach(kernel IN LISTS BASELINES)
  set(baselines ${defined})
  list(FILTER baselines INCLUDE REGEX "^smx_${kernel}_ukernel__")
  expect_none("a baseline kernel" ${baselines})
endforeach()
foreach(isa IN LISTS ISAS)
  if(NOT defined MATCHES "_ukernel__${isa}_")
    message(SEND_ERROR "there is no kernel of ${isa}")
  endif()
endforeach()

symbols_of(undefined -u ${ARCHIVE})
list(FILTER undefined EXCLUDE REGEX "^(smx|pthreadpool|cpuinfo)_")
list(FILTER undefined EXCLUDE REGEX ${COMPILERS_NAMES})
list(REMOVE_ITEM undefined ${C_FUNCTIONS})
expect_none("needed, but not listed" ${undefined})

# Of each section a line with its name and one with its flags; of each member a line "<name>:     file format <format>".
lines_of(sections ${OBJDUMP} -h ${ARCHIVE})
set(starters ${sections})
list(FILTER starters INCLUDE REGEX "\\.(init|fini|ctors|dtors|preinit_array|init_array|fini_array)")
expect_none("runs before or after main" ${starters})
set(members ${sections})
list(FILTER members INCLUDE REGEX "file format")
list(LENGTH members member_count)
set(stacks "${sections}")
string(REGEX MATCHALL " \\.note\\.GNU-stack [^;]*;[^;]*" stacks "${sections}")
list(FILTER stacks INCLUDE REGEX "note")
list(LENGTH stacks stack_count)
if(NOT stack_count EQUAL member_count)
  message(SEND_ERROR "${stack_count} of ${member_count} members say that the stack is not executable")
endif()
if("${sections}" MATCHES " \\.note\\.GNU-stack [^;]*;[^;]*CODE")
  message(SEND_ERROR "executable stack")
endif()

# Symbols in sections that stay writable: "<value> <flags> O .bss <size> <name>".
lines_of(data ${OBJDUMP} -t -C ${ARCHIVE})
list(FILTER data INCLUDE REGEX " O +(\\.t?data|\\.t?bss|\\*COM\\*|\\.ldata|\\.lbss)")
list(FILTER data EXCLUDE REGEX " \\.data\\.rel\\.ro")
list(TRANSFORM data REPLACE "^.*\t[0-9a-f]+ +(\\.hidden )?(\\(anonymous namespace\\)::)?" "")
list(SORT data)
if(NOT data STREQUAL WRITABLE)
  message(SEND_ERROR "writable: ${data}, in place of ${WRITABLE}")
endif()

set(stripped ${CMAKE_CURRENT_BINARY_DIR}/stripped.a)
execute_process(COMMAND ${STRIP} --strip-unneeded -o ${stripped} ${ARCHIVE} COMMAND_ERROR_IS_FATAL ANY)
file(SIZE ${stripped} size)
if(size GREATER LARGEST_SIZE)
  message(SEND_ERROR "the stripped archive has ${size} bytes, more than ${LARGEST_SIZE}")
endif()

file(READ ${HEADER} header)
string(REGEX MATCHALL "\nSMX_API [^;(]*\\(" functions "${header}")
list(TRANSFORM functions REPLACE "^.*[ *](smx_[a-z0-9_]+)\\($" "\\1")
list(SORT functions)
symbols_of(exported -D --defined-only ${SHARED})
list(SORT exported)
if(NOT exported STREQUAL functions)
  message(SEND_ERROR "exported: ${exported}\nin place of the header's: ${functions}")
endif()

lines_of(dynamic ${OBJDUMP} -p ${SHARED})
if("${dynamic}" MATCHES "TEXTREL")
  message(SEND_ERROR "relocations in code")
endif()
if(NOT "${dynamic}" MATCHES " STACK [^;]*;[^;]*flags rw-")
  message(SEND_ERROR "executable stack")
endif()
list(FILTER dynamic INCLUDE REGEX "NEEDED")
list(TRANSFORM dynamic REPLACE "^ *NEEDED +" "")
list(FILTER dynamic EXCLUDE REGEX ${NEEDED_LIBRARIES})
expect_none("a library that is needed, but not listed" ${dynamic})

list(LENGTH defined defined_count)
list(LENGTH exported exported_count)
message("${defined_count} global symbols, ${exported_count} of them exported by the shared library; ${size} bytes")
