// How one request is cut into tiles, and which keys a tile's rows may see. Closed forms only, the same code on CPU and
// GPU: nothing here loops over tiles.
#pragma once

#include <bit>
#include <cstdint>

#include "varlen/batch.hpp"

#if defined(__CUDACC__)
#define VARLEN_HOST_DEVICE __host__ __device__
#else
#define VARLEN_HOST_DEVICE
#endif

namespace varlen {

__extension__ using Wide = __int128;  // sums over tiles, before they are known to fit 64 bits

/// Of a power of two, its logarithm. Not std::countr_zero on a GPU: its host code, which nvcc accepts in device code as
/// constexpr, gave garbage there (nvcc 13.0).
VARLEN_HOST_DEVICE constexpr int trailing_zeros(std::int64_t power_of_two) {
#if defined(__CUDA_ARCH__)
  return __ffsll(power_of_two) - 1;
#else
  return std::countr_zero(static_cast<std::uint64_t>(power_of_two));
#endif
}

/// ⌊a / b⌋ for a ≥ 0, b > 0. Tiles and key blocks are mostly powers of two, and a 64-bit division costs some twenty
/// shifts.
VARLEN_HOST_DEVICE constexpr std::int64_t quotient(std::int64_t a, std::int64_t b) {
  if ((b & (b - 1)) == 0) return a >> trailing_zeros(b);
  return a / b;
}

/// ⌈a / b⌉ for a ≥ 0, b > 0.
VARLEN_HOST_DEVICE constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return quotient(a + b - 1, b); }

/// Keys [begin, end) of a request.
struct KeyRange {
  std::int64_t begin;
  std::int64_t end;
};

/// The tiles of one request: tile t covers the query tokens [t · tile_tokens, (t + 1) · tile_tokens) that exist. Every
/// tile is of `main_shape` except the last, which may be of a shorter one; both hold the same heads.
struct RequestTiles {
  std::int64_t query_length;
  std::int64_t key_length;
  std::int64_t tiles;
  std::int32_t tile_tokens;
  std::int32_t heads_per_tile;  // query heads of one KV head's group in one tile
  std::int32_t head_chunks;     // tiles that a group is cut into
  std::int32_t main_shape;
  std::int32_t tail_shape;
};

/// The keys that the query tokens [query_begin, query_end) see together: their own windows' union, clipped to the
/// request. Empty (begin == end) if they see none.
VARLEN_HOST_DEVICE constexpr KeyRange visible_keys(const RequestTiles& request, const Mask& mask,
                                                   std::int64_t query_begin, std::int64_t query_end) {
  // Bottom-right alignment: token i stands at key position i + shift.
  const std::int64_t shift = request.key_length - request.query_length;
  std::int64_t end = request.key_length;
  if (mask.right != Mask::kUnlimited && mask.right < request.key_length - (query_end + shift)) {
    end = query_end + shift + mask.right;
  }
  if (end <= 0) return {0, 0};
  std::int64_t begin = 0;
  if (mask.left != Mask::kUnlimited && query_begin + shift > mask.left) begin = query_begin + shift - mask.left;
  return {begin, end};
}

VARLEN_HOST_DEVICE constexpr std::int64_t tile_query_end(const RequestTiles& request, std::int64_t tile) {
  const std::int64_t end = (tile + 1) * request.tile_tokens;
  return end < request.query_length ? end : request.query_length;
}

/// What an item over tile `tile` computes: whole key blocks from the first visible key's block, ending at the last
/// visible key.
VARLEN_HOST_DEVICE constexpr KeyRange tile_keys(const RequestTiles& request, const Mask& mask, std::int32_t key_block,
                                                std::int64_t tile) {
  KeyRange keys = visible_keys(request, mask, tile * request.tile_tokens, tile_query_end(request, tile));
  keys.begin = quotient(keys.begin, key_block) * key_block;
  return keys;
}

VARLEN_HOST_DEVICE constexpr std::int64_t block_count(KeyRange keys, std::int32_t key_block) {
  return ceil_div(keys.end - keys.begin, key_block);
}

VARLEN_HOST_DEVICE constexpr std::int32_t tile_shape(const RequestTiles& request, std::int64_t tile) {
  return tile == request.tiles - 1 ? request.tail_shape : request.main_shape;
}

/// Tiles whose rows see no key; they are the first ones.
VARLEN_HOST_DEVICE constexpr std::int64_t blind_tiles(const RequestTiles& request, const Mask& mask) {
  if (request.key_length == 0) return request.tiles;
  if (mask.right == Mask::kUnlimited) return 0;
  const std::int64_t blind_tokens = request.query_length - request.key_length - mask.right;
  return blind_tokens <= 0 ? 0 : quotient(blind_tokens, request.tile_tokens);  // the last token always sees a key
}

/// Σ_{i=0}^{n−1} ⌊(a·i + b) / m⌋ for n, a, b ≥ 0, m > 0: Euclid's algorithm on the lattice points under a line
/// (Graham, Knuth, Patashnik, Concrete Mathematics, §3.5). O(log m).
template <typename Sum>
VARLEN_HOST_DEVICE constexpr Sum floor_sum_in(std::int64_t n, std::int64_t m, std::int64_t a, std::int64_t b) {
  Sum sum = 0;
  while (n > 0) {
    const std::int64_t slope = quotient(a, m);
    const std::int64_t offset = quotient(b, m);
    sum += static_cast<Sum>(n) * (n - 1) / 2 * slope + static_cast<Sum>(n) * offset;
    a -= slope * m;
    b -= offset * m;
    const Sum top = static_cast<Sum>(a) * n + b;
    if (top < m) break;
    n = static_cast<std::int64_t>(top / m);
    b = static_cast<std::int64_t>(top % m);
    const std::int64_t swap = m;
    m = a;
    a = swap;
  }
  return sum;
}

VARLEN_HOST_DEVICE constexpr Wide floor_sum(std::int64_t n, std::int64_t m, std::int64_t a, std::int64_t b) {
  // a and m are tile and block sizes of at most 2^12; these bounds keep every sum below 2^62.
  if (n < (std::int64_t{1} << 20) && b < (std::int64_t{1} << 40)) return floor_sum_in<std::int64_t>(n, m, a, b);
  return floor_sum_in<Wide>(n, m, a, b);
}

/// Key blocks summed over the tiles [0, tiles) of one head chunk.
VARLEN_HOST_DEVICE constexpr Wide total_blocks(const RequestTiles& request, const Mask& mask, std::int32_t key_block) {
  const std::int64_t first = blind_tiles(request, mask);
  const std::int64_t count = request.tiles - first;
  if (count <= 0) return 0;
  const std::int64_t step = request.tile_tokens;
  const std::int64_t shift = request.key_length - request.query_length;

  // Block ends: they grow by `step` keys a tile until they reach the key length, and stay there.
  std::int64_t growing = 0;
  Wide ends = 0;
  if (mask.right != Mask::kUnlimited) {
    // Tile first + i ends at key (first + i + 1) · step + shift + right; growing counts those below the key length.
    const std::int64_t missing = request.query_length - mask.right - (first + 1) * step;
    growing = missing <= 0 ? 0 : ceil_div(missing, step);
    if (growing > count - 1) growing = count - 1;  // the last tile holds the last token, which sees the last key
    ends += floor_sum(growing, key_block, step, (first + 1) * step + shift + mask.right + key_block - 1);
  }
  ends += static_cast<Wide>(count - growing) * ceil_div(request.key_length, key_block);

  // Block begins: 0 until the window's left edge passes key 0, then growing by `step`.
  Wide begins = 0;
  if (mask.left != Mask::kUnlimited) {
    const std::int64_t lead = mask.left - shift;  // tile t begins past key 0 if t · step > lead
    std::int64_t at_zero = lead < 0 ? 0 : quotient(lead, step) + 1;
    if (at_zero < first) at_zero = first;
    if (at_zero < request.tiles) {
      begins = floor_sum(request.tiles - at_zero, key_block, step, at_zero * step + shift - mask.left);
    }
  }
  return ends - begins;
}

/// No tile of the request has more key blocks than this (a tight bound, exact but for block alignment of narrow
/// windows).
VARLEN_HOST_DEVICE constexpr std::int64_t longest_tile_blocks(const RequestTiles& request, const Mask& mask,
                                                              std::int32_t key_block) {
  const std::int64_t all = ceil_div(request.key_length, key_block);
  if (mask.left == Mask::kUnlimited || all <= 2) return all;
  const std::int64_t tokens = request.tile_tokens < request.query_length ? request.tile_tokens : request.query_length;
  if (mask.right == Mask::kUnlimited || mask.left >= request.key_length || mask.right >= request.key_length) return all;
  // A span of n keys touches at most ⌊(n − 2) / block⌋ + 2 blocks.
  const std::int64_t span = tokens + mask.left + mask.right;
  const std::int64_t touched = span < 2 ? 1 : quotient(span - 2, key_block) + 2;
  return touched < all ? touched : all;
}

}  // namespace varlen
