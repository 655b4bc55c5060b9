// The fixed text of timeline pictures: style sheet, patterns and the page's script. Nothing is loaded from elsewhere.
#pragma once

namespace varlen::timeline {

inline constexpr int kColours = 10;

/// Colours of requests, distinguishable side by side, on light and on dark ground, and by colour-blind readers in
/// pairs.
inline constexpr const char* kPalette[kColours] = {"#4878b8", "#e39a4b", "#4ba491", "#9a76b8", "#cdb04a",
                                                   "#6fb4dc", "#b9628a", "#8aa64a", "#8f735d", "#7c8aa0"};

inline constexpr const char* kStyle = R"(
.vt {
  --bg: #fff; --ink: #1b2430; --dim: #5b6675; --rule: #d5dae1; --lane: #f1f3f6; --waste: #f3cdc6; --line: #cf7f72;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
@media (prefers-color-scheme: dark) {
  .vt {
    --bg: #0f141b; --ink: #e8ecf1; --dim: #98a3b1; --rule: #323b47; --lane: #1a212b; --waste: #4d2a29; --line: #a8625b;
  }
}
.vt .bg { fill: var(--bg) }
.vt text { fill: var(--ink); font-size: 12px }
.vt .dim { fill: var(--dim) }
.vt .title { font-size: 20px; font-weight: 600 }
.vt .big { font-size: 24px; font-weight: 600 }
.vt .head { font-size: 14px; font-weight: 600 }
.vt .num { font-variant-numeric: tabular-nums }
.vt .rule { stroke: var(--rule); fill: none }
.vt .lane { fill: var(--lane) }
.vt .done { stroke: var(--ink); stroke-dasharray: 4 3; stroke-width: 1; vector-effect: non-scaling-stroke }
.vt .link { stroke: var(--ink); stroke-width: .9; opacity: .75; vector-effect: non-scaling-stroke }
.vt .mark { fill: var(--ink); stroke: var(--bg); stroke-width: .8 }
.vt .bw { fill: var(--waste) }
.vt .lw { stroke: var(--line) }
.vt .w { stroke: url(#vw) }
.vt .o { stroke-opacity: .8 }
.vt .plot [data-w] path:hover { stroke-opacity: .55 }
)";

/// For the page: zoom with the wheel, drag to move, double click to reset; a panel of text follows the pointer.
inline constexpr const char* kPageStyle = R"(
html { color-scheme: light dark }
body { margin: 0; background: #fff }
main { max-width: 1280px; margin: 0 auto; padding: 12px }
p { font: 13px/1.5 system-ui, sans-serif; color: #5b6675; margin: 8px 2% 24px 5.3% }
svg.vt { display: block; width: 100%; height: auto; user-select: none }
svg .legend g { cursor: pointer }
.zoomed .whole { display: none }
.sel [data-w] path { opacity: .16 }
.sel [data-w] path.on { opacity: 1 }
#tip {
  position: fixed; z-index: 1; display: none; pointer-events: none; white-space: pre-line; max-width: 340px;
  font: 12px/1.45 system-ui, sans-serif; padding: 7px 10px; border-radius: 6px;
  background: #1b2430; color: #fff; box-shadow: 0 2px 10px #0005;
}
@media (prefers-color-scheme: dark) {
  body { background: #0f141b }
  p { color: #98a3b1 }
  #tip { background: #e8ecf1; color: #10151c }
}
)";

inline constexpr const char* kScript = R"JS(
const svg = document.querySelector('svg.vt'), tip = document.getElementById('tip');
// Native tooltips are slow; keep their text and show it at once.
for (const title of svg.querySelectorAll('.plot title')) {
  title.parentNode.tip = title.textContent;
  title.remove();
}
let scale = 1, shift = 0, drag = null;
const plots = [...svg.querySelectorAll('.plot')], width = +(plots[0]?.dataset.width ?? 1);
function ticks(end) {
  const raw = end / 8, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw);
  return [step, Math.max(0, Math.round(-Math.log10(step) + 0.49))];
}
function draw() {
  shift = Math.min(0, Math.max(shift, width - width * scale));
  svg.classList.toggle('zoomed', scale > 1);
  for (const zoom of svg.querySelectorAll('.zoom')) zoom.setAttribute('transform', `matrix(${scale} 0 0 1 ${shift} 0)`);
  for (const mark of svg.querySelectorAll('.mark')) {
    const x = +mark.dataset.x;
    mark.setAttribute('transform', `translate(${x} 0) scale(${1 / scale} 1) translate(${-x} 0)`);
  }
  for (const pattern of svg.querySelectorAll('pattern[data-turn]')) {
    pattern.setAttribute('patternTransform', `scale(${1 / scale} 1) rotate(${pattern.dataset.turn})`);
  }
  for (const plot of plots) {
    const axis = plot.parentNode.querySelector('.axis'), end = +plot.dataset.end;
    if (!axis || !end) continue;
    const [step, digits] = ticks(end / scale), perUnit = width * scale / end;
    let text = '';
    for (let t = (Math.ceil(-shift / perUnit / step) || 0) * step; t * perUnit + shift <= width + .5; t += step) {
      const x = (t * perUnit + shift).toFixed(1);
      const label = t.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits});
      text += `<path class="rule" d="M${x} 0v4"/>`;
      text += `<text class="dim num" x="${x}" y="17" text-anchor="middle">${label}</text>`;
    }
    axis.innerHTML = text;
  }
}
function toUnits(event) {
  const plot = plots[0].getBoundingClientRect();
  return width * (event.clientX - plot.left) / plot.width;
}
svg.addEventListener('wheel', event => {
  if (!event.target.closest('.plot')) return;
  event.preventDefault();
  const x = toUnits(event), next = Math.min(400, Math.max(1, scale * Math.exp(-event.deltaY / 400)));
  shift = x - (x - shift) * next / scale;
  scale = next;
  draw();
}, {passive: false});
svg.addEventListener('pointerdown', event => { if (event.target.closest('.plot')) drag = {x: toUnits(event), shift}; });
addEventListener('pointerup', () => drag = null);
svg.addEventListener('dblclick', () => { scale = 1; shift = 0; draw(); });
svg.addEventListener('pointermove', event => {
  if (drag) { shift = drag.shift + toUnits(event) - drag.x; draw(); }
  const box = event.target.tip ? event.target : null;
  tip.style.display = box ? 'block' : 'none';
  if (!box) return;
  const worker = box.parentNode.dataset.w;
  tip.textContent = worker === undefined ? box.tip : box.tip + '\nworker ' + worker;
  tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
  tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + 'px';
});
svg.addEventListener('pointerleave', () => tip.style.display = 'none');
// A click keeps one thing bright: all parts of a split tile, or a colour of the legend. Another click ends that.
function select(query) {
  const same = svg.dataset.query === query;
  for (const path of svg.querySelectorAll('.on')) path.classList.remove('on');
  svg.dataset.query = same ? '' : query;
  svg.classList.toggle('sel', !same);
  if (!same) for (const path of svg.querySelectorAll(query)) path.classList.add('on');
}
svg.addEventListener('click', event => {
  const entry = event.target.closest('[data-query]:not(svg)');
  if (entry) select(entry.dataset.query);
  else if (event.target.dataset.m) select(`.plot [data-m="${event.target.dataset.m}"]`);
});
draw();
)JS";

/// Title, style, picture, script.
inline constexpr const char* kPage = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{}</title>
<style>{}</style>
<main>
{}<p>Wheel: zoom in time. Drag: move. Double click: reset.
Click a colour of the legend or a part of a split tile to keep it bright, and again to stop.</p>
</main>
<div id="tip"></div>
<script>{}</script>
</html>
)";

}  // namespace varlen::timeline
