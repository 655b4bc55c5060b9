// Which kernels GPUs offer, and the reasons that no plan of the emulator brings about.
#include "kernel/select.hpp"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "kernel/support.hpp"
#include "varlen/error.hpp"

namespace varlen::kernel {
namespace {

RaggedBatch batch_of(std::int32_t head_dim, Dtype dtype) {
  RaggedBatch batch;
  batch.query_heads = batch.kv_heads = batch.group = 1;
  batch.head_dim_qk = batch.head_dim_vo = head_dim;
  batch.input_dtype = dtype;
  return batch;
}

void expect_offer(Forward own, GpuKernel asked, Forward preferred, Obstacle obstacle) {
  const Offer offer = offer_of_gpu(own, asked);
  EXPECT_EQ(offer.preferred, preferred) << name(own) << " asked for " << static_cast<int>(asked);
  EXPECT_EQ(offer.obstacle, obstacle) << name(own) << " asked for " << static_cast<int>(asked);
}

TEST(OfferOfGpu, IsItsOwnKernelUnlessNoGpuHasRunThatYet) {
  expect_offer(Forward::kMma, GpuKernel::kAuto, Forward::kMma, Obstacle::kNone);
  expect_offer(Forward::kWgmma, GpuKernel::kAuto, Forward::kWgmma, Obstacle::kNone);
  expect_offer(Forward::kTcgen05, GpuKernel::kAuto, Forward::kMma, Obstacle::kUnproven);
}

TEST(OfferOfGpu, IsTheKernelThatIsAskedFor) {
  expect_offer(Forward::kMma, GpuKernel::kMma, Forward::kMma, Obstacle::kNone);
  expect_offer(Forward::kWgmma, GpuKernel::kMma, Forward::kMma, Obstacle::kAskedFor);
  expect_offer(Forward::kTcgen05, GpuKernel::kMma, Forward::kMma, Obstacle::kAskedFor);
  expect_offer(Forward::kWgmma, GpuKernel::kWgmma, Forward::kWgmma, Obstacle::kNone);
  expect_offer(Forward::kTcgen05, GpuKernel::kTcgen05, Forward::kTcgen05, Obstacle::kNone);
}

TEST(OfferOfGpu, RefusesTheKernelOfAnotherGpu) {
  const struct {
    Forward own;
    GpuKernel asked;
    const char* value;
    const char* capability;
  } refused[] = {{Forward::kMma, GpuKernel::kWgmma, "forward_wgmma", "9.0"},
                 {Forward::kTcgen05, GpuKernel::kWgmma, "forward_wgmma", "9.0"},
                 {Forward::kMma, GpuKernel::kTcgen05, "forward_tcgen05", "10.0 or 10.3"},
                 {Forward::kWgmma, GpuKernel::kTcgen05, "forward_tcgen05", "10.0 or 10.3"}};
  for (const auto& each : refused) {
    try {
      offer_of_gpu(each.own, each.asked);
      ADD_FAILURE() << name(each.own) << " offers " << each.value;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_EQ(error.field(), "options.kernel");
      EXPECT_EQ(error.value(), each.value);
      EXPECT_NE(std::string(error.what()).find(each.capability), std::string::npos) << error.what();
    }
  }
}

TEST(ReasonOf, WhatOnlyGpusOrLongRequestsBringAbout) {
  const RaggedBatch batch = batch_of(64, Dtype::kBFloat16);
  const auto choice = [&](Forward own) { return choice_for_spec(batch, offer_of_gpu(own, GpuKernel::kAuto)); };
  EXPECT_EQ(choice(Forward::kMma).reason, "the only kernel for this device");
  EXPECT_EQ(choice(Forward::kTcgen05).kernel, "forward_mma");
  EXPECT_NE(choice(Forward::kTcgen05).reason.find("no GPU has run forward_tcgen05"), std::string::npos);
  EXPECT_EQ(choice(Forward::kTcgen05).field, "options.kernel");
  const Selection too_long{Forward::kMma, 0, Obstacle::kLongRequest, Forward::kWgmma};
  EXPECT_NE(reason_of(too_long, batch).words.find("2^30"), std::string::npos);
}

TEST(ReasonOf, NamesPagesOrBlocksOfKeys) {
  const Selection selection{Forward::kMma, 0, Obstacle::kPageRows, Forward::kWgmma};
  RaggedBatch batch = batch_of(64, Dtype::kBFloat16);
  batch.page_size = 12;
  EXPECT_STREQ(reason_of(selection, batch).field, "page_size");
  batch.page_size = 16;
  EXPECT_STREQ(reason_of(selection, batch).field, "target.key_block");
}

TEST(Selection, DecodesOfFp8DependOnTheGroup) {
  RaggedBatch batch = batch_of(64, Dtype::kFloat8E4M3);
  const Offer hopper = offer_of_gpu(Forward::kWgmma, GpuKernel::kAuto);
  for (const auto& [group, queries, forward] :
       {std::tuple{4, 4, Forward::kMma}, {4, 5, Forward::kWgmma}, {16, 1, Forward::kMma}, {17, 1, Forward::kWgmma}}) {
    batch.group = group;
    EXPECT_EQ(select(batch, {queries, 1000}, hopper).forward, forward) << group << " heads, " << queries << " queries";
  }
  batch.group = 1;
  batch.batch_invariant = true;
  EXPECT_EQ(select(batch, {1, 1000}, hopper).forward, Forward::kWgmma);
}

}  // namespace
}  // namespace varlen::kernel
