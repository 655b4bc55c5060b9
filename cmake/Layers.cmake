# varlen_layer(NAME FOLDER <folder under src> ALLOW <folders> SOURCES <files>)
#
# An object library for one layer of docs/architecture.md. Its only include roots are include/ and a folder of links to
# its own sources and to those layers it may know, so an include that breaks the layering does not compile.
function(varlen_layer name)
  cmake_parse_arguments(LAYER "" "FOLDER" "ALLOW;SOURCES" ${ARGN})
  set(root "${PROJECT_BINARY_DIR}/layers/${name}")
  foreach(folder IN LISTS LAYER_FOLDER LAYER_ALLOW)
    get_filename_component(parent "${root}/${folder}" DIRECTORY)
    file(MAKE_DIRECTORY "${parent}")
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/src/${folder}" "${root}/${folder}" SYMBOLIC)
  endforeach()
  add_library(varlen_${name} OBJECT ${LAYER_SOURCES})
  target_include_directories(varlen_${name} PUBLIC "${PROJECT_SOURCE_DIR}/include" "${root}")
  target_link_libraries(varlen_${name} PRIVATE varlen_flags)
  set_target_properties(varlen_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden
                                                  VISIBILITY_INLINES_HIDDEN ON)
endfunction()
