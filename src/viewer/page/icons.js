// What happened to a span, told by shape as well as by colour.
import { svg } from "./dom.js";

const SHAPES = {
  done: ["M3.5 8.5l3 3 6-7"],
  failed: ["M4 4l8 8", "M12 4l-8 8"],
  cached: ["M9 1.8L3.6 9h4l-.8 5.2L12.4 7h-4z"],
  cancelled: ["M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z", "M3.8 3.8l8.4 8.4"],
  running: ["M8 2a6 6 0 1 1-6 6"],
  unfinished: ["M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z", "M8 5v4", "M8 11.4v.2"],
  missing: ["M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z"],
  error: ["M8 1.8l6.5 12H1.5z", "M8 6v3.6", "M8 11.6v.2"],
  warn: ["M8 1.8l6.5 12H1.5z", "M8 6v3.6", "M8 11.6v.2"],
  output: ["M2.5 4h11", "M2.5 8h11", "M2.5 12h7"],
  copy: ["M5.5 5.5h8v8h-8z", "M10.5 5.5v-3h-8v8h3"],
  open: ["M6 4l4 4-4 4"],
  close: ["M4 4l8 8", "M12 4l-8 8"],
  up: ["M4 10l4-4 4 4"],
  down: ["M4 6l4 4 4-4"],
  search: ["M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z", "M10.3 10.3L14 14"],
};

export const WORDS = {
  done: "done", failed: "failed", cached: "cached", cancelled: "cancelled", running: "running",
  unfinished: "unfinished: its process is gone", missing: "missing span", error: "error", warn: "warning",
};

const made = new Map();

// Rows have many of them: each is made once, and then copied.
export function icon(shape, label) {
  const key = `${shape} ${label ?? ""}${label === undefined}`;
  if (!made.has(key)) made.set(key, drawn(shape, label));
  return made.get(key).cloneNode(true);
}

function drawn(shape, label) {
  const paths = (SHAPES[shape] ?? []).map((d) => svg("path", { d }));
  const spoken = label ?? WORDS[shape];
  return svg("svg", { class: `icon i-${shape}`, viewBox: "0 0 16 16", role: spoken ? "img" : null,
    "aria-label": spoken, "aria-hidden": spoken ? null : "true" }, ...paths);
}
