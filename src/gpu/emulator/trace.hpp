// What blocks did, kept for a picture: a page of HTML with a row for each warp, barrier and copy in flight, by steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/emulator/events.hpp"

namespace varlen::gpu::emulator {

class Trace {
 public:
  /// More events than a page can show are counted and forgotten.
  void add(Record record);
  /// The block that ends the run: nothing else is shown.
  void add_fault(Record record, std::string message, std::vector<std::string> events);

  /// `title` says which run this is.
  std::string page(const std::string& title) const;

  static constexpr std::size_t kMostEvents = 12'000;

 private:
  std::vector<Record> records_;
  std::size_t events_ = 0;
  std::size_t left_out_ = 0;  // blocks
  std::string fault_;         // one line, or nothing
  std::vector<std::string> fault_events_;
};

}  // namespace varlen::gpu::emulator
