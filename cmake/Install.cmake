# `cmake --install`: the library, its headers, the CMake package varlen and the pkg-config file varlen.pc, all relocatable.
# The program installs itself (cli/).
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/varlen")

install(
  TARGETS varlen
  EXPORT varlen-targets
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")

install(EXPORT varlen-targets NAMESPACE varlen:: DESTINATION "${package_dir}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/varlen-config.cmake.in" "${PROJECT_BINARY_DIR}/varlen-config.cmake"
                              INSTALL_DESTINATION "${package_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break callers.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/varlen-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/varlen-config.cmake" "${PROJECT_BINARY_DIR}/varlen-config-version.cmake"
        DESTINATION "${package_dir}")

# What a static libvarlen is linked with. A shared one has it in it, and its users need none of these packages.
set(varlen_static_requires "fmt libhwy")
set(varlen_static_libs "-lboost_context ${CMAKE_THREAD_LIBS_INIT} -lstdc++ -lm")
if(VARLEN_CUDA)
  string(APPEND varlen_static_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
if(NOT BUILD_SHARED_LIBS)
  set(varlen_requires_private "${varlen_static_requires}")
  set(varlen_libs_private "${varlen_static_libs}")
endif()

set(pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}/${pkgconfig_dir}"
           OUTPUT_VARIABLE prefix_from_pkgconfig)
configure_file("${CMAKE_CURRENT_LIST_DIR}/varlen.pc.in" "${PROJECT_BINARY_DIR}/varlen.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/varlen.pc" DESTINATION "${pkgconfig_dir}")
