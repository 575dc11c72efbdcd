# Steps of installing, packaging and using the library; test/package/CMakeLists.txt says in which order.
#
#     cmake -DSTEP=... -DWORK=folder -DSMXPACK=source -DVERSION=0.1.0 ... -P check_package.cmake

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${result}")
  endif()
endfunction()

function(output_of variable)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${output}" PARENT_SCOPE)
endfunction()

function(expect text regex)
  if(NOT text MATCHES "${regex}")
    message(SEND_ERROR "no ${regex} in: ${text}")
  endif()
endfunction()

# The files below a folder are those whose names match, in order.
function(expect_files folder)
  file(GLOB_RECURSE files LIST_DIRECTORIES FALSE RELATIVE ${folder} ${folder}/*)
  list(JOIN files " " files)
  list(JOIN ARGN " " expected)
  expect("${files}" "^${expected}$")
endfunction()

# Runs an application that was built. One in C does not need the C++ library.
function(run_application file)
  if(file MATCHES "_c$")
    output_of(dynamic ${OBJDUMP} -p ${file})
    if(BY MATCHES "find_package|pkg_config" AND dynamic MATCHES "libstdc")
      message(SEND_ERROR "${file} needs the C++ library")
    endif()
  endif()
  run(${EMULATOR} ${file})
endfunction()

# build_application(language...): the application, built by CMake for the languages together.
function(build_application)
  set(languages ${ARGN})
  list(JOIN languages "-" folder)
  set(folder ${WORK}/${BY}-${folder})
  list(JOIN languages " " spaced)
  file(REMOVE_RECURSE ${folder})
  run(${CMAKE_COMMAND} -S ${SMXPACK}/test/package/application -B ${folder} -G Ninja ${OPTIONS} "-DAPPLICATION_LANGUAGES=${spaced}"
      -DAPPLICATION_BY=${BY} -DSMXPACK_SOURCE=${SMXPACK} -DSMXPACK_VERSION=${VERSION} -DSMXPACK_PREFIX=${PREFIX}
      -DCMAKE_PREFIX_PATH=${PREFIX})
  run(${CMAKE_COMMAND} --build ${folder})
  foreach(language IN LISTS languages)
    string(TOLOWER ${language} language)
    run_application(${folder}/application_${language})
  endforeach()
endfunction()

# Packages are installed into a root of their own. What they depend on is the system's, and not there; nor is a shell for their
# scripts, which call ldconfig: for them that is a program that does nothing.
set(DPKG ${AS_ROOT} ${CMAKE_COMMAND} -E env PATH=${WORK}/bin:$ENV{PATH}
         dpkg --root=${WORK}/root --force-depends --force-script-chrootless)

# Installed, moved, and without a word of where it was built.
if(STEP STREQUAL "install")
  file(REMOVE_RECURSE ${WORK}/elsewhere ${PREFIX})
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/elsewhere)
  file(RENAME ${WORK}/elsewhere ${PREFIX})
  expect_files(${PREFIX} include/smxpack.h include/smxpack.hpp
               ".*/cmake/smxpack/FindSmxpackDependencies.cmake" ".*/smxpackConfig.cmake" ".*/smxpackConfigVersion.cmake"
               "[^ ]*/smxpackTargets-[a-z]+.cmake" "[^ ]*/smxpackTargets.cmake" "[^ ]*/libsmxpack.(a|so .*)"
               "[^ ]*/pkgconfig/smxpack.pc" "share/doc/smxpack/LICENSE")
  file(GLOB_RECURSE texts ${PREFIX}/*.cmake ${PREFIX}/*.pc ${PREFIX}/*.h)
  foreach(file IN LISTS texts)
    file(READ ${file} text)
    foreach(path IN ITEMS ${BUILD} ${SMXPACK} ${WORK})
      string(FIND "${text}" ${path} position)
      if(NOT position EQUAL -1)
        message(SEND_ERROR "${file} names ${path}")
      endif()
    endforeach()
  endforeach()

elseif(STEP STREQUAL "consume" AND BY STREQUAL "pkg_config")
  file(GLOB_RECURSE pc ${PREFIX}/smxpack.pc)
  cmake_path(GET pc PARENT_PATH folder)
  cmake_path(GET folder PARENT_PATH libraries)
  set(ENV{PKG_CONFIG_PATH} ${folder})
  set(ENV{LD_LIBRARY_PATH} ${libraries})
  if(EXISTS ${libraries}/libsmxpack.a)
    set(static --static)
  endif()
  output_of(version pkg-config --modversion smxpack)
  expect("${version}" "^${VERSION}$")
  output_of(flags pkg-config --cflags --libs ${static} smxpack)
  message("${flags}")
  separate_arguments(flags)
  file(MAKE_DIRECTORY ${WORK})
  set(application ${SMXPACK}/test/package/application)
  run(${C_COMPILER} ${application}/main.c ${flags} -o ${WORK}/pkg_config_c)
  run(${CXX_COMPILER} -std=c++17 ${application}/main.cc ${flags} -o ${WORK}/pkg_config_cxx)
  run_application(${WORK}/pkg_config_c)
  run_application(${WORK}/pkg_config_cxx)

elseif(STEP STREQUAL "consume" AND BY STREQUAL "find_package")
  build_application(C)
  build_application(CXX)

elseif(STEP STREQUAL "consume")
  build_application(C CXX)

elseif(STEP STREQUAL "deb_install")
  file(REMOVE_RECURSE ${WORK}/deb ${WORK}/root ${WORK}/bin)
  run(${CMAKE_COMMAND} -S ${SMXPACK} --preset deb -B ${WORK}/deb ${OPTIONS})
  run(${CMAKE_COMMAND} --build ${WORK}/deb)
  execute_process(COMMAND ${CMAKE_CPACK_COMMAND} --config CPackConfig.cmake WORKING_DIRECTORY ${WORK}/deb COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB library ${WORK}/deb/libsmxpack[0-9]*.deb)
  file(GLOB development ${WORK}/deb/libsmxpack-dev_*.deb)
  output_of(depends dpkg-deb --field ${library} Depends)
  foreach(package IN ITEMS libc6 libcpuinfo0 libpthreadpool0)
    expect("${depends}" "(^| )${package} ")
  endforeach()
  output_of(name dpkg-deb --field ${library} Package)
  output_of(depends dpkg-deb --field ${development} Depends)
  expect("${depends}" "libpthreadpool-dev")
  expect("${depends}" "${name} \\(= ${VERSION}\\)")
  foreach(folder IN ITEMS info updates triggers)
    file(MAKE_DIRECTORY ${WORK}/root/var/lib/dpkg/${folder})
  endforeach()
  file(TOUCH ${WORK}/root/var/lib/dpkg/status)
  file(MAKE_DIRECTORY ${WORK}/bin)
  file(CREATE_LINK /bin/true ${WORK}/bin/ldconfig SYMBOLIC)
  run(${DPKG} --install ${library} ${development})
  expect_files(${WORK}/root/usr include/smxpack.h include/smxpack.hpp
               "lib/.*/cmake/smxpack/FindSmxpackDependencies.cmake" ".*" "lib/[^ ]*/libsmxpack.so" "lib/[^ ]*/libsmxpack.so.[0-9.]+"
               "lib/[^ ]*/libsmxpack.so.${VERSION}" "lib/[^ ]*/pkgconfig/smxpack.pc" "share/doc/libsmxpack-dev/changelog.gz"
               "share/doc/libsmxpack-dev/copyright" "share/doc/libsmxpack[0-9.]+/changelog.gz"
               "share/doc/libsmxpack[0-9.]+/copyright")

elseif(STEP STREQUAL "deb_remove")
  output_of(names dpkg-query --admindir=${WORK}/root/var/lib/dpkg --show "--showformat=\${Package} ")
  separate_arguments(names)
  run(${DPKG} --purge ${names})
  if(EXISTS ${WORK}/root/usr)
    file(GLOB_RECURSE left LIST_DIRECTORIES TRUE ${WORK}/root/usr/*)
    message(SEND_ERROR "left: ${left}")
  endif()

# What the system lacks is named, together with the option that downloads it; nothing is downloaded unasked.
elseif(STEP STREQUAL "missing_dependency")
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SMXPACK} -B ${WORK}/missing --fresh -G Ninja ${OPTIONS}
                          -DCMAKE_DISABLE_FIND_PACKAGE_SmxpackDependencies=ON
                  RESULT_VARIABLE result ERROR_VARIABLE error OUTPUT_QUIET)
  string(REGEX REPLACE "[ \n]+" " " error "${error}")
  expect("${error}" "smxpack needs cpuinfo, pthreadpool, fp16, .*-DSMXPACK_FETCH_DEPENDENCIES=ON")
  if(EXISTS ${WORK}/missing/_deps)
    message(SEND_ERROR "something has been fetched")
  endif()

# A download that is not what is pinned is not built.
elseif(STEP STREQUAL "wrong_checksum")
  file(WRITE ${WORK}/pool/c/cpuinfo/cpuinfo_0.0~git20250905.877328f.orig.tar.xz "not cpuinfo")
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SMXPACK} -B ${WORK}/checksum --fresh -G Ninja ${OPTIONS}
                          -DCMAKE_DISABLE_FIND_PACKAGE_SmxpackDependencies=ON -DSMXPACK_FETCH_DEPENDENCIES=ON
                          -DSMXPACK_DEPENDENCIES_URL=file://${WORK}/pool
                  RESULT_VARIABLE result ERROR_VARIABLE error OUTPUT_QUIET)
  expect("${error}" "SHA256 hash of")
  if(result EQUAL 0)
    message(SEND_ERROR "configured")
  endif()

else()
  message(FATAL_ERROR "no step ${STEP}")
endif()
