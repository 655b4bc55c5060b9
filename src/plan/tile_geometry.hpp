// How one request is cut into tiles, and which keys a tile's rows may see. Closed forms only, the same code on CPU and
// GPU: nothing here loops over tiles.
//
// `Int` is the type of lengths: 64 bits, or 32 where a planner on a GPU knows that every sum over one head's tiles of a
// request fits. With 64 bits they fit for every valid batch: its at most 2^56 scores bound tiles × key blocks.
#pragma once

#include <cstdint>

#include "plan/integers.hpp"
#include "varlen/batch.hpp"

namespace varlen {

/// Keys [begin, end) of a request.
template <class Int>
struct KeyRangeOf {
  Int begin;
  Int end;
};
using KeyRange = KeyRangeOf<std::int64_t>;

/// The tiles of one request: tile t covers the query tokens [t · tile_tokens, (t + 1) · tile_tokens) that exist. Every
/// tile is of `main_shape` except the last, which may be of a shorter one; both hold the same heads.
template <class Int>
struct TilesOf {
  Int query_length;
  Int key_length;
  Int tiles;
  Divisor<Int> tile_tokens;
  std::int32_t heads_per_tile;  // query heads of one KV head's group in one tile
  std::int32_t head_chunks;     // tiles that a group is cut into
  std::int32_t main_shape;
  std::int32_t tail_shape;
};
using RequestTiles = TilesOf<std::int64_t>;

/// Mask, in the type of lengths.
template <class Int>
struct MaskOf {
  Int left;
  Int right;
};

template <class Int>
using KeyBlock = std::type_identity_t<Divisor<Int>>;  // keys of one

/// The keys that the query tokens [query_begin, query_end) see together: their own windows' union, clipped to the
/// request. Empty (begin == end) if they see none.
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr KeyRangeOf<Int> visible_keys(const TilesOf<Int>& request, const AnyMask& mask,
                                                          std::type_identity_t<Int> query_begin,
                                                          std::type_identity_t<Int> query_end) {
  // Bottom-right alignment: token i stands at key position i + shift.
  const Int shift = request.key_length - request.query_length;
  Int end = request.key_length;
  if (mask.right != Mask::kUnlimited && mask.right < request.key_length - (query_end + shift)) {
    end = query_end + shift + mask.right;
  }
  if (end <= 0) return {0, 0};
  Int begin = 0;
  if (mask.left != Mask::kUnlimited && query_begin + shift > mask.left) begin = query_begin + shift - mask.left;
  return {begin, end};
}

template <class Int>
VARLEN_HOST_DEVICE constexpr Int tile_query_end(const TilesOf<Int>& request, std::type_identity_t<Int> tile) {
  return least<Int>((tile + 1) * request.tile_tokens, request.query_length);
}

/// What an item over tile `tile` computes: whole key blocks from the first visible key's block, ending at the last
/// visible key.
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr KeyRangeOf<Int> tile_keys(const TilesOf<Int>& request, const AnyMask& mask,
                                                       const KeyBlock<Int>& key_block, std::type_identity_t<Int> tile) {
  KeyRangeOf<Int> keys = visible_keys(request, mask, tile * request.tile_tokens, tile_query_end(request, tile));
  keys.begin = quotient(keys.begin, key_block) * key_block;
  return keys;
}

/// The same for the last tile, whose last token sees the last key.
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr KeyRangeOf<Int> last_tile_keys(const TilesOf<Int>& request, const AnyMask& mask,
                                                            const KeyBlock<Int>& key_block) {
  if (mask.left == Mask::kUnlimited) return {0, request.key_length};
  return tile_keys(request, mask, key_block, request.tiles - 1);
}

template <class Int>
VARLEN_HOST_DEVICE constexpr Int block_count(KeyRangeOf<Int> keys, const KeyBlock<Int>& key_block) {
  return ceil_div(keys.end - keys.begin, key_block);
}
VARLEN_HOST_DEVICE constexpr std::int64_t block_count(KeyRange keys, const KeyBlock<std::int64_t>& key_block) {
  return ceil_div(keys.end - keys.begin, key_block);
}

template <class Int>
VARLEN_HOST_DEVICE constexpr std::int32_t tile_shape(const TilesOf<Int>& request, std::type_identity_t<Int> tile) {
  return tile == request.tiles - 1 ? request.tail_shape : request.main_shape;
}

/// Tiles whose rows see no key; they are the first ones.
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr Int blind_tiles(const TilesOf<Int>& request, const AnyMask& mask) {
  if (request.key_length == 0) return request.tiles;
  if (mask.right == Mask::kUnlimited) return 0;
  const Int blind_tokens = request.query_length - request.key_length - mask.right;
  return blind_tokens <= 0 ? 0 : quotient(blind_tokens, request.tile_tokens);  // the last token always sees a key
}

/// Σ_{i=0}^{n−1} ⌊(a·i + b) / m⌋ for n, b ≥ 0, a, m > 0. O(log m).
template <class Int>
VARLEN_HOST_DEVICE constexpr Int floor_sum(Int n, const Divisor<Int>& divisor, const Divisor<Int>& factor,
                                           std::type_identity_t<Int> b) {
  using Unsigned = std::make_unsigned_t<Int>;   // of which one bit more holds n · (n − 1)
  if (divisor.log2 >= 0 && factor.log2 >= 0) {  // tiles and key blocks mostly are powers of two
    const Int whole = n * (b >> divisor.log2);
    const int bits = divisor.log2 - factor.log2;
    if (bits <= 0) {
      return whole + (static_cast<Int>(static_cast<Unsigned>(n) * static_cast<Unsigned>(n - 1) / 2) << -bits);
    }
    // The rest is the sum of ⌊j / 2^bits⌋ for j from 0 to below: from the first that is not 0 on, steps of 2^bits
    // alike.
    const Int below = n + ((b >> factor.log2) & ((Int{1} << bits) - 1));
    const Int steps = below >> bits;
    return whole + steps * (below - ((steps + 1) << (bits - 1)));
  }
  // Euclid's algorithm on the lattice points under a line (Graham, Knuth, Patashnik, Concrete Mathematics, §3.5).
  Int m = divisor;
  Int a = factor;
  Int sum = 0;
  while (n > 0) {
    const Int slope = quotient<Int>(a, m);
    const Int offset = quotient<Int>(b, m);
    if (slope > 0) sum += static_cast<Int>(static_cast<Unsigned>(n) * static_cast<Unsigned>(n - 1) / 2) * slope;
    sum += n * offset;
    a -= slope * m;
    b -= offset * m;
    const Int top = a * n + b;
    if (top < m) break;
    n = quotient<Int>(top, m);
    b = top - n * m;
    const Int swap = m;
    m = a;
    a = swap;
  }
  return sum;
}

/// Key blocks summed over the tiles [0, tiles) of one head chunk.
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr Int total_blocks(const TilesOf<Int>& request, const AnyMask& mask,
                                              const KeyBlock<Int>& key_block) {
  const Int first = blind_tiles(request, mask);
  const Int count = request.tiles - first;
  if (count <= 0) return 0;
  const Divisor<Int>& step = request.tile_tokens;
  const Int shift = request.key_length - request.query_length;

  // Block ends: they grow by `step` keys a tile until they reach the key length, and stay there.
  Int growing = 0;
  Int ends = 0;
  if (mask.right != Mask::kUnlimited) {
    // Tile first + i ends at key (first + i + 1) · step + shift + right; growing counts those below the key length.
    const Int missing = request.query_length - mask.right - (first + 1) * step;
    growing = missing <= 0 ? 0 : ceil_div(missing, step);
    if (growing > count - 1) growing = count - 1;  // the last tile holds the last token, which sees the last key
    ends += floor_sum(growing, key_block, step, (first + 1) * step + shift + mask.right + key_block - 1);
  }
  ends += (count - growing) * ceil_div(request.key_length, key_block);

  // Block begins: 0 until the window's left edge passes key 0, then growing by `step`.
  Int begins = 0;
  if (mask.left != Mask::kUnlimited) {
    const Int lead = mask.left - shift;  // tile t begins past key 0 if t · step > lead
    Int at_zero = lead < 0 ? 0 : quotient(lead, step) + 1;
    if (at_zero < first) at_zero = first;
    if (at_zero < request.tiles) {
      begins = floor_sum<Int>(request.tiles - at_zero, key_block, step, at_zero * step + shift - mask.left);
    }
  }
  return ends - begins;
}

/// No tile of the request has more key blocks than this (a tight bound, exact but for block alignment of narrow
/// windows).
template <class Int, class AnyMask>
VARLEN_HOST_DEVICE constexpr Int longest_tile_blocks(const TilesOf<Int>& request, const AnyMask& mask,
                                                     const KeyBlock<Int>& key_block) {
  const Int all = ceil_div(request.key_length, key_block);
  if (mask.left == Mask::kUnlimited || all <= 2) return all;
  const Int tokens = least<Int>(request.tile_tokens, request.query_length);
  if (mask.right == Mask::kUnlimited || mask.left >= request.key_length || mask.right >= request.key_length) return all;
  // A span of n keys touches at most ⌊(n − 2) / block⌋ + 2 blocks.
  const Int span = tokens + mask.left + mask.right;
  const Int touched = span < 2 ? 1 : quotient(span - 2, key_block) + 2;
  return least(touched, all);
}

}  // namespace varlen
