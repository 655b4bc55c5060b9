// The tensors of a call and what messages call them.
#pragma once

#include "varlen/batch.hpp"

namespace varlen {

struct TensorField {
  const char* name;
  TensorView Tensors::*view;
};

inline constexpr TensorField kTensorFields[] = {{"query", &Tensors::query},
                                                {"key", &Tensors::key},
                                                {"value", &Tensors::value},
                                                {"out", &Tensors::out},
                                                {"lse", &Tensors::lse},
                                                {"block_table", &Tensors::block_table},
                                                {"block_table_rows", &Tensors::block_table_rows},
                                                {"page_indptr", &Tensors::page_indptr},
                                                {"page_indices", &Tensors::page_indices},
                                                {"sinks", &Tensors::sinks},
                                                {"query_scale", &Tensors::query_scale},
                                                {"key_scale", &Tensors::key_scale},
                                                {"value_scale", &Tensors::value_scale}};

constexpr const char* field_name(TensorView Tensors::*view) {
  for (const TensorField& field : kTensorFields) {
    if (field.view == view) return field.name;
  }
  return "";
}

}  // namespace varlen
