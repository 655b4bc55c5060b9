/* What the README's C block says: the rest of the batch is left out there. */
#ifndef VARLEN_TESTS_README_H
#define VARLEN_TESTS_README_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
const char* readme_c(const int32_t* offsets, int64_t requests);
#ifdef __cplusplus
}
#endif

#endif
