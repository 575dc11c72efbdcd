# cmake --install: the library as it was built, its headers, and files for CMake and pkg-config, none of which names its place,
# so that the whole may be moved. cpack: Debian packages of the same.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(SMXPACK_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/smxpack)

# Before 1.0 a minor version may break what links the last.
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(SMXPACK_SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  set(SMXPACK_COMPATIBILITY SameMinorVersion)
else()
  set(SMXPACK_SOVERSION ${PROJECT_VERSION_MAJOR})
  set(SMXPACK_COMPATIBILITY SameMajorVersion)
endif()
set_target_properties(smxpack PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${SMXPACK_SOVERSION})
if(SMXPACK_FETCHED)
  set_target_properties(smxpack PROPERTIES INSTALL_RPATH "$ORIGIN")  # they are installed beside it
endif()

install(TARGETS smxpack EXPORT smxpackTargets
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
        ARCHIVE COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/smxpack.h include/smxpack.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licence)

# CMake's files. A shared library has found its own libraries; pools are made by those who link it.
install(EXPORT smxpackTargets NAMESPACE smxpack:: DESTINATION ${SMXPACK_CMAKE_DIR} COMPONENT development)
if(BUILD_SHARED_LIBS)
  set(SMXPACK_LINKED pthreadpool)
else()
  set(SMXPACK_LINKED cpuinfo pthreadpool)
endif()
list(JOIN SMXPACK_LINKED " " SMXPACK_LINKED)
configure_package_config_file(cmake/smxpackConfig.cmake.in smxpackConfig.cmake INSTALL_DESTINATION ${SMXPACK_CMAKE_DIR}
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(smxpackConfigVersion.cmake COMPATIBILITY ${SMXPACK_COMPATIBILITY})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/smxpackConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/smxpackConfigVersion.cmake
              cmake/FindSmxpackDependencies.cmake
        DESTINATION ${SMXPACK_CMAKE_DIR} COMPONENT development)

# pkg-config's. The prefix follows from where the file is, unless the folder of libraries is not below it.
set(SMXPACK_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  file(RELATIVE_PATH SMXPACK_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" SMXPACK_PC_PREFIX "\${pcfiledir}/${SMXPACK_PC_PREFIX}")
endif()
cmake_path(APPEND SMXPACK_PC_INCLUDEDIR "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})
cmake_path(APPEND SMXPACK_PC_LIBDIR "\${prefix}" ${CMAKE_INSTALL_LIBDIR})
# Folders that compilers do not search by themselves. Those of another processor's libraries are this machine's matter.
foreach(name IN ITEMS CPUINFO PTHREADPOOL)
  if(${name}_LIBRARY AND NOT CMAKE_CROSSCOMPILING)
    cmake_path(GET ${name}_LIBRARY PARENT_PATH folder)
    if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
      string(APPEND SMXPACK_PC_LIBS " -L${folder}")
      string(APPEND SMXPACK_PC_CFLAGS " -I${${name}_INCLUDE_DIR}")
    endif()
  endif()
endforeach()
if(CLOG_LIBRARY)
  set(SMXPACK_PC_CLOG " -lclog")
endif()
configure_file(cmake/smxpack.pc.in smxpack.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/smxpack.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

if(NOT SMXPACK_FETCHED AND PROJECT_IS_TOP_LEVEL)
  include(cmake/debian.cmake)
endif()
