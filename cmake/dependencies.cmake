# smxpack::cpuinfo, smxpack::pthreadpool and smxpack::fp16: the enclosing project's, where it has targets of these names; else
# the system's; else, if SMXPACK_FETCH_DEPENDENCIES asks for it, from pinned sources. Nothing is downloaded unasked.
option(SMXPACK_FETCH_DEPENDENCIES "Download and build what the system lacks of cpuinfo, pthreadpool and FP16" OFF)
set(SMXPACK_DEPENDENCIES_URL https://snapshot.debian.org/archive/debian/20261030T000000Z/pool/main
    CACHE STRING "Where SMXPACK_FETCH_DEPENDENCIES downloads from: Debian's pool, of a date or of a mirror")
mark_as_advanced(SMXPACK_DEPENDENCIES_URL)

# Upstream's sources as Debian archives them, which needs no trust in the server.
set(SMXPACK_CPUINFO_SOURCE c/cpuinfo/cpuinfo_0.0~git20250905.877328f.orig.tar.xz
    557ca404a3836b9f335a3a06b65ff9fe9dbaaefab7fb5c0185f53d9f33615a10)
set(SMXPACK_PTHREADPOOL_SOURCE p/pthreadpool/pthreadpool_0.0~git20240616.560c60d.orig.tar.xz
    4cc3cbd933b28131d2a34edc54f76af9fb41bc490af5eae1a5bd3cd07ea90708)
set(SMXPACK_FXDIV_SOURCE f/fxdiv/fxdiv_0.0~git20200417.b408327.orig.tar.xz
    7953482badaf4cb34026c3487c257b8e4ab2df061c019bd6fabbbc12ad52c44b)
set(SMXPACK_FP16_SOURCE f/fp16/fp16_0.0~git20200514.4dfe081.orig.tar.xz
    7d7782b37b74136e0e12593a2a93ccbe7db831f4374cc408e44623d9b708b54e)

# smxpack_fetch(name [SOURCE_SUBDIR folder]): without the tests, tools and benches of what is fetched. <name>_SOURCE_DIR is the
# caller's.
function(smxpack_fetch name)
  include(FetchContent)
  string(TOUPPER ${name} NAME)
  list(GET SMXPACK_${NAME}_SOURCE 0 file)
  list(GET SMXPACK_${NAME}_SOURCE 1 hash)
  FetchContent_Declare(${name} URL ${SMXPACK_DEPENDENCIES_URL}/${file} URL_HASH SHA256=${hash}
                       DOWNLOAD_EXTRACT_TIMESTAMP OFF ${ARGN})
  foreach(part IN ITEMS TOOLS UNIT_TESTS MOCK_TESTS TESTS BENCHMARKS)
    set(${NAME}_BUILD_${part} OFF)
  endforeach()
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  FetchContent_MakeAvailable(${name})
  set(${name}_SOURCE_DIR ${${name}_SOURCE_DIR} PARENT_SCOPE)
endfunction()

# The target smxpack::<name> of a target of this build.
function(smxpack_own_dependency name)
  add_library(smxpack::${name} INTERFACE IMPORTED GLOBAL)
  target_link_libraries(smxpack::${name} INTERFACE ${name})
endfunction()

set(SMXPACK_FETCHED "")
set(SMXPACK_WANTED cpuinfo pthreadpool fp16)
foreach(name IN LISTS SMXPACK_WANTED)
  if(TARGET ${name})
    smxpack_own_dependency(${name})
    list(REMOVE_ITEM SMXPACK_WANTED ${name})
  endif()
endforeach()

# An application in a folder above links them as well.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(Threads REQUIRED)
list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_package(SmxpackDependencies QUIET COMPONENTS ${SMXPACK_WANTED})
list(POP_FRONT CMAKE_MODULE_PATH)
unset(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL)

foreach(name IN LISTS SMXPACK_WANTED)
  if(NOT TARGET smxpack::${name})
    list(APPEND SMXPACK_FETCHED ${name})
  endif()
endforeach()
if(SMXPACK_FETCHED AND NOT SMXPACK_FETCH_DEPENDENCIES)
  list(JOIN SMXPACK_FETCHED ", " names)
  message(FATAL_ERROR "smxpack needs ${names}, which the system does not have (Debian: libcpuinfo-dev, libpthreadpool-dev, "
                      "libfp16-dev). -DSMXPACK_FETCH_DEPENDENCIES=ON downloads and builds them; CMAKE_PREFIX_PATH names "
                      "folders where they are installed.")
endif()

foreach(name IN LISTS SMXPACK_FETCHED)
  if(name STREQUAL "fp16")
    smxpack_fetch(fp16 SOURCE_SUBDIR headers-alone)  # no such folder: its build is of tests
    add_library(smxpack::fp16 INTERFACE IMPORTED GLOBAL)
    target_include_directories(smxpack::fp16 INTERFACE ${fp16_SOURCE_DIR}/include)
    continue()
  endif()
  if(name STREQUAL "pthreadpool")
    smxpack_fetch(fxdiv)
    set(FXDIV_SOURCE_DIR ${fxdiv_SOURCE_DIR})  # or pthreadpool downloads another
  endif()
  smxpack_fetch(${name})
  smxpack_own_dependency(${name})
endforeach()

# FP16 is of no concern to those who link the library: not in any target's link interface.
set(SMXPACK_FP16_INCLUDE_DIR $<TARGET_PROPERTY:smxpack::fp16,INTERFACE_INCLUDE_DIRECTORIES>)
