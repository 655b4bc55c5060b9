// The tensors that `varlen run` reads: the one table of their names, axes and types.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/safetensors.hpp"
#include "varlen/error.hpp"

namespace varlen::cli {

struct TensorText {
  const char* name;
  const char* axes;        ///< "query tokens, query heads, head dim"
  const char* paged_axes;  ///< with a block table, if they differ; else null
  const char* dtypes;      ///< as safetensors calls them
  const char* meaning;
};
const std::vector<TensorText>& tensor_texts();
/// Null if there is no such tensor.
const TensorText* find_tensor_text(std::string_view name);

/// The table as lines of text, for help.
std::string tensor_table();

/// What the library says of a field of the batch or of a tensor, said of the file's tensor or of the option that it
/// comes from. Throws it.
[[noreturn]] void refuse_input(const std::string& path, const std::vector<FileTensor>& file, const Error& error);

}  // namespace varlen::cli
