// The fixed text of a trace's page beside what all timelines share (plan/timeline_markup.hpp).
#pragma once

namespace varlen::gpu::emulator {

inline constexpr const char* kTraceStyle = R"(
.vt .row { fill: var(--lane) }
.vt .wait { stroke: var(--waste) }
.vt .stuck { stroke: #d4503e }
.vt .stuck-text { font-size: 11px; paint-order: stroke; stroke: var(--bg); stroke-width: 3px }
.vt .stuck-link { stroke: #d4503e; fill: none; stroke-width: 1.2 }
.vt .even { stroke: var(--rule) }
.vt .odd { stroke: var(--dim); stroke-opacity: .45 }
.vt text.small { font-size: 10.5px }
.sel [data-r] path { opacity: .12 }
.sel [data-r] path.on { opacity: 1 }
.fault { font-weight: 600; color: #d4503e; font-size: 14px }
pre { font: 12px/1.5 ui-monospace, Menlo, Consolas, monospace; margin: 0 2% 20px; overflow-x: auto; color: #5b6675 }
main h1 { font: 600 20px system-ui, sans-serif; margin: 16px 2% 4px }
main { max-width: 1400px }
p { margin: 8px 2% 12px }
@media (prefers-color-scheme: dark) { pre { color: #98a3b1 } main h1 { color: #e8ecf1 } }
)";

/// Title, style, title, fault and events, picture, script.
inline constexpr const char* kTracePage = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{}</title>
<style>{}{}</style>
<main>
<h1>{}</h1>
{}{}<p>Every column is one step: what some lanes of one warp did together. Empty: the warp could have gone on and others did.
Wheel: zoom. Drag: move. Double click: reset. Click anything at a barrier to keep what belongs to it bright, and again to
stop.</p>
</main>
<div id="tip"></div>
<script>{}</script>
</html>
)";

}  // namespace varlen::gpu::emulator
