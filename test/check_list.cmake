# Every microkernel that can run here is named by at least one test, or bench, of the programs.
#
#     cmake -DLIST=list_test "-DPROGRAMS=microkernels_bench" -DOPTION=--benchmark_list_tests [-DEMULATOR=...] -P check_list.cmake

separate_arguments(EMULATOR)

function(microkernels_of names program option)
  execute_process(COMMAND ${EMULATOR} ${program} ${option} OUTPUT_VARIABLE output RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${program} ${option}: ${result}")
  endif()
  string(REGEX MATCHALL "smx_[a-z0-9_]+_ukernel__[a-z0-9_]+" found "${output}")
  list(REMOVE_DUPLICATES found)
  set(${names} ${found} PARENT_SCOPE)
endfunction()

microkernels_of(expected ${LIST} --gtest_list_tests)
if(NOT expected)
  message(FATAL_ERROR "${LIST} names no microkernel")
endif()
foreach(program IN LISTS PROGRAMS)
  microkernels_of(names ${program} ${OPTION})
  list(REMOVE_ITEM expected ${names} "")
endforeach()
if(expected)
  list(JOIN expected "\n  " missing)
  message(FATAL_ERROR "${PROGRAMS}: nothing for\n  ${missing}")
endif()
