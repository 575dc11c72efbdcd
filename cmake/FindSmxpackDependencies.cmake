# Libraries and headers that SMXPACK needs, wherever a system has them: few packages of them bring files for CMake or pkg-config.
#
#     find_package(SmxpackDependencies COMPONENTS cpuinfo pthreadpool fp16)
#
# gives smxpack::cpuinfo, smxpack::pthreadpool and, of headers alone, smxpack::fp16. CPUINFO_INCLUDE_DIR and CPUINFO_LIBRARY say
# where, and so for the others.
foreach(name IN LISTS SmxpackDependencies_FIND_COMPONENTS)
  string(TOUPPER ${name} NAME)
  find_path(${NAME}_INCLUDE_DIR ${name}.h)
  set(needed ${NAME}_INCLUDE_DIR)
  if(NOT name STREQUAL "fp16")
    find_library(${NAME}_LIBRARY ${name})
    list(APPEND needed ${NAME}_LIBRARY)
  endif()
  mark_as_advanced(${needed})

  set(SmxpackDependencies_${name}_FOUND TRUE)
  foreach(variable IN LISTS needed)
    if(NOT ${variable})
      set(SmxpackDependencies_${name}_FOUND FALSE)
    endif()
  endforeach()
  if(NOT SmxpackDependencies_${name}_FOUND OR TARGET smxpack::${name})
    continue()
  endif()

  if(name STREQUAL "fp16")
    add_library(smxpack::fp16 INTERFACE IMPORTED)
  else()
    add_library(smxpack::${name} UNKNOWN IMPORTED)
    set_target_properties(smxpack::${name} PROPERTIES IMPORTED_LOCATION ${${NAME}_LIBRARY})
  endif()
  target_include_directories(smxpack::${name} INTERFACE ${${NAME}_INCLUDE_DIR})
endforeach()

# Until 2023 cpuinfo logged by a library of its own, which an archive of cpuinfo does not hold.
if(TARGET smxpack::cpuinfo AND CPUINFO_LIBRARY MATCHES "\\.a$")
  find_library(CLOG_LIBRARY clog)
  mark_as_advanced(CLOG_LIBRARY)
  if(CLOG_LIBRARY)
    target_link_libraries(smxpack::cpuinfo INTERFACE ${CLOG_LIBRARY})
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SmxpackDependencies HANDLE_COMPONENTS)
