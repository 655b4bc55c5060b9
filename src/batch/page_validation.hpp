// What the page numbers of a call say.
#pragma once

#include "batch/ragged_batch.hpp"

namespace varlen {

/// Throws Error for a request whose keys have no pages, or wrong ones. Of tensors in host memory this reads the page
/// numbers that the requests' queries see (seen_pages()) and what says where these are, and nothing else; of a block
/// table on a device it sees only the width. The tensors' layouts must have been checked.
void validate_page_numbers(const RaggedBatch& batch, const Tensors& tensors);

}  // namespace varlen
