#include "backend/emulator/forward_kernel-inl.h"

namespace varlen::emulator {

template Kernel forward_kernel<576, 512>(kernel::Forward, Dtype);

}  // namespace varlen::emulator
