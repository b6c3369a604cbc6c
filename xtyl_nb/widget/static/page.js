// Draws a run. Python computes everything shown here; this file only puts it on the page, and only as text.

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  pending: ["M8 8h.01"],
  ready: ["M5.5 3.5 12 8l-6.5 4.5z"],
  running: ["M8 2a6 6 0 1 1-5.6 3.9"],
  waiting: ["M8 1.7a2.9 2.9 0 1 1 0 5.8a2.9 2.9 0 1 1 0-5.8zM2.6 14c.4-3.3 2.6-5 5.4-5s5 1.7 5.4 5z", "solid"],
  open: ["M8 2a6 6 0 1 0 0 12a6 6 0 1 0 0-12M8 5v3.5l2.3 1.5"],
  completed: ["M3 8.5 6.5 12 13 4.5"],
  failed: ["M4 4l8 8M12 4l-8 8"],
  skipped: ["M2.5 4l4 4-4 4M8.5 4l4 4-4 4"],
  rejected: ["M3.5 8h9"],
  stopped: ["M4 4h8v8H4z"],
  paused: ["M5.5 3.5v9M10.5 3.5v9"],
  large: ["M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9"],
};
// Smaller than this a card shows only its name, in letters that stay as large.
const FAR = 0.5;
// A graph is shown whole down to this scale; a larger graph is shown in part, at a readable scale.
const SNUG = 0.66;
const READABLE = 0.78;
const CARD_WIDTH = 206;
const LANES = 150;

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function icon(state) {
  const [path, kind = ""] = ICONS[state] ?? ICONS.pending;
  const svg = draw("svg", { viewBox: "0 0 16 16", class: `icon ${kind}`, "aria-hidden": "true" });
  svg.append(draw("path", { d: path, ...(state === "pending" ? { "stroke-width": 5 } : {}) }));
  return svg;
}

function button(label, act, className) {
  const node = make("button", className, label);
  node.type = "button";
  node.addEventListener("click", act);
  return node;
}

function picture(source) {
  const image = make("img");
  image.alt = "";
  if (/^data:image\/(png|jpeg|webp);base64,/.test(source)) image.src = source;
  return image;
}

function track(parts, total) {
  const node = make("div", "track");
  paint(node, parts, total);
  return node;
}

function paint(node, parts, total) {
  const shown = parts.filter(([, count]) => count > 0);
  while (node.children.length > shown.length) node.lastChild.remove();
  shown.forEach(([state, count], place) => {
    const part = node.children[place] ?? node.appendChild(make("i"));
    part.className = state;
    part.style.width = `${(100 * count) / Math.max(total, 1)}%`;
  });
}

// A bar on a scale that is as long as the run.
function placed(bar, start, end, whole) {
  const all = Math.max(whole, 0.001);
  // The kernel's clock may be a little ahead of the page's.
  const left = Math.min(99, (100 * Math.max(0, start)) / all);
  bar.style.left = `${left}%`;
  bar.style.width = `${Math.max(0, Math.min(100 - left, (100 * (end - start)) / all))}%`;
}

// Without another beat of a worker it stands still from `until` on. Of a stack, and from an older back end, only the sum over jobs is known: it is at most the time from the first start to the last end.
function atWork(node, elapsed) {
  const together = Math.max(0, node.worked + node.at_work * Math.min(elapsed, node.until ?? elapsed) - node.starts);
  return node.exact ? together : Math.min((node.end ?? elapsed) - node.start, together);
}

function lasted(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : clock(seconds);
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// The focused element, found from a part of the widget: marimo draws the widget in a shadow tree of its own.
const active = (node) => node.getRootNode().activeElement ?? document.activeElement;
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const isOver = (state) => ["completed", "failed", "stopped"].includes(state.state);
