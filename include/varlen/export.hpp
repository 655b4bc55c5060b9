// VARLEN_API marks what libvarlen exports; everything else in the library is hidden.
#pragma once

#if defined(__GNUC__)
#define VARLEN_API __attribute__((visibility("default")))
#else
#define VARLEN_API
#endif
