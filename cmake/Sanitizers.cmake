# VARLEN_SANITIZE and VARLEN_BUILD_FUZZ instrument every target of this build. Both need clang, which libFuzzer ships with.
set(VARLEN_SANITIZE "" CACHE STRING "Empty, 'address,undefined' or 'thread'")
set_property(CACHE VARLEN_SANITIZE PROPERTY STRINGS "" "address,undefined" "thread")
option(VARLEN_BUILD_FUZZ "Build the libFuzzer targets" OFF)

if((VARLEN_SANITIZE OR VARLEN_BUILD_FUZZ) AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "VARLEN_SANITIZE and VARLEN_BUILD_FUZZ need clang; this is ${CMAKE_CXX_COMPILER_ID}")
endif()
if(VARLEN_SANITIZE)
  add_compile_options("-fsanitize=${VARLEN_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options("-fsanitize=${VARLEN_SANITIZE}")
endif()

# The sanitizers' C++ runtime, which the library needs, comes with the C++ compiler's link only. For C programs.
function(varlen_link_c_program target)
  if(VARLEN_SANITIZE)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  endif()
endfunction()

if(VARLEN_BUILD_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

# varlen_runs_on_fibers(<target>): its code runs on the emulator's fibers, of which the sanitizers know too little.
# AddressSanitizer finds uses after a return in a second stack for each of them: mapping those takes five times as long as
# all else. ThreadSanitizer keeps one list of callers for the thread: what a fiber leaves there is never taken away, until
# the list is full. The emulator has one thread, so there is no race to be found in it.
function(varlen_runs_on_fibers target)
  if(VARLEN_SANITIZE MATCHES "address")
    target_compile_options(${target} PRIVATE -fsanitize-address-use-after-return=never)
  elseif(VARLEN_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fno-sanitize=thread)
  endif()
endfunction()
