/* The README's C block. */
#include "readme.h"

#include <stddef.h>
#include <stdio.h>

#include "varlen.h"

const char* readme_c(const int32_t* offsets, int64_t requests) {
  const varlen_tensors tensors = {.struct_size = sizeof tensors};
#include "snippet_c_1.inc"
  return varlen_last_error();
}
