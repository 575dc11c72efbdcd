# cpack: Debian packages libsmxpack-dev and, of a shared library, libsmxpack<version of its ABI>. In one go, in build/deb:
# `cmake --workflow --preset deb`.
set(CPACK_GENERATOR DEB)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
if(NOT CPACK_PACKAGE_CONTACT)
  set(CPACK_PACKAGE_CONTACT "SMXPACK maintainers <maintainers@smxpack.invalid>")
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)

# Debian wants a changelog in every package. This one names the version.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(CONFIGURE OUTPUT changelog @ONLY CONTENT "smxpack (@PROJECT_VERSION@) unstable; urgency=low

  * Built from the source tree of this version.

 -- @CPACK_PACKAGE_CONTACT@  @date@
")
file(ARCHIVE_CREATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz PATHS ${CMAKE_CURRENT_BINARY_DIR}/changelog
     FORMAT raw COMPRESSION GZip COMPRESSION_LEVEL 9)

# smxpack_package(group package section contents): a package of the group's components and what Debian wants in each.
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
macro(smxpack_package group package section contents)
  string(TOUPPER ${group} GROUP)
  set(doc ${CMAKE_INSTALL_DATADIR}/doc/${package})
  install(FILES LICENSE DESTINATION ${doc} RENAME copyright COMPONENT ${group}_doc EXCLUDE_FROM_ALL)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz DESTINATION ${doc} COMPONENT ${group}_doc EXCLUDE_FROM_ALL)
  list(APPEND CPACK_COMPONENTS_ALL ${group} ${group}_doc)
  set(CPACK_COMPONENT_${GROUP}_GROUP ${group})
  set(CPACK_COMPONENT_${GROUP}_DOC_GROUP ${group})
  set(CPACK_DEBIAN_${GROUP}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${GROUP}_PACKAGE_SECTION ${section})
  set(CPACK_DEBIAN_${GROUP}_DESCRIPTION "Softmax, log-softmax and logsumexp over the rows of f32, f16 and bf16
matrices, by microkernels that are picked at run time. The results have the
same bits on every instruction set and with any number of threads.

This package has the ${contents}.")
endmacro()

set(SMXPACK_DEV_DEPENDS libpthreadpool-dev)  # smxpack.h includes its header
if(BUILD_SHARED_LIBS)
  set(SMXPACK_RUNTIME_PACKAGE libsmxpack${SMXPACK_SOVERSION})
  smxpack_package(runtime ${SMXPACK_RUNTIME_PACKAGE} libs "shared library")
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/triggers "activate-noawait ldconfig\n")
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/triggers)
  set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
  list(APPEND SMXPACK_DEV_DEPENDS "${SMXPACK_RUNTIME_PACKAGE} (= ${PROJECT_VERSION})")
else()
  list(APPEND SMXPACK_DEV_DEPENDS libcpuinfo-dev)  # and the archive is linked with it
endif()
smxpack_package(development libsmxpack-dev libdevel "headers, and files for linkers, CMake and pkg-config")
list(JOIN SMXPACK_DEV_DEPENDS ", " CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS)
include(CPack)
