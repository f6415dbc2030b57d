// The flame graph: spans of one name under one path are one box, as wide as the time spent in them.
import { h } from "./dom.js";
import { counted, duration, percent } from "./format.js";
import { ERROR, MISSING } from "./model.js";

const LEVEL_PX = 22;
const SMALLEST = 0.0015;

export function flameGraph(page) {
  const root = fold(page.trace);
  let top = root;
  const trail = [root];
  for (const key of (page.params.flame ?? "").split("/").filter(Boolean)) {
    const next = top.children.get(decodeURIComponent(key));
    if (!next) break;
    top = next;
    trail.push(top);
  }
  const boxes = [];
  let deepest = 0;
  const draw = (node, left, width, level, path) => {
    deepest = Math.max(deepest, level);
    boxes.push(box(page, node, left, width, level, path, top));
    let at = left;
    const children = [...node.children].sort(([, a], [, b]) => b.value - a.value);
    for (const [key, child] of children) {
      const share = (child.value / Math.max(node.value, 1)) * width;
      if (share >= SMALLEST && level < 200) draw(child, at, share, level + 1, [...path, key]);
      at += share;
    }
  };
  const here = trail.slice(1).map((node) => node.key);
  draw(top, 0, 1, 0, here);
  return h("section", { class: "scroll flame-view", "aria-label": "flame graph" },
    h("p", { class: "quiet" }, "Width is time at work: a span's own, and that of all below it; what ran side by side is added up. ",
      trail.length > 1 ? h("button", { class: "link", onclick: () => page.set({ flame: null }) }, "show all") : "Click a box to go into it."),
    h("div", { class: "flame", style: { height: `${(deepest + 1) * LEVEL_PX}px` } }, boxes));
}

function box(page, node, left, width, level, path, top) {
  const text = `${node.name}: ${duration(node.value)} in all (${percent(node.value, top.value)}), ${duration(node.self)} itself, ${counted(node.count, "span")}`;
  return h("button", { class: `fbox c${node.colour}${node.failed ? " bad" : ""}`, title: text, "aria-label": text,
    style: { left: `${left * 100}%`, width: `calc(${width * 100}% - 1px)`, top: `${level * LEVEL_PX}px` },
    onclick: () => page.set({ flame: path.map(encodeURIComponent).join("/") || null }) },
    width > 0.02 ? h("span", null, node.name) : null);
}

function fold(trace) {
  const node = (key, name, colour) => ({ key, name, colour, value: 0, self: 0, count: 0, failed: 0, children: new Map() });
  const all = node("", "all", 9), at = new Array(trace.size), { spans } = trace;
  for (let row = 0; row < trace.size; row++) {
    const above = spans.parent[row] < 0 ? all : at[spans.parent[row]];
    const key = `${trace.service(row)} ${trace.name(row)}`;
    let mine = above.children.get(key);
    if (!mine) above.children.set(key, (mine = node(key, trace.name(row), trace.colour(row))));
    at[row] = mine;
    mine.self += spans.self_us[row];
    mine.value += spans.self_us[row];
    if (!trace.is(row, MISSING)) mine.count++;
    if (trace.is(row, ERROR)) mine.failed++;
  }
  // From the leaves up: children come after their parents. Each node is added to its parent once.
  const order = [], walk = [all];
  while (walk.length) {
    const next = walk.pop();
    order.push(next);
    for (const child of next.children.values()) walk.push(child);
  }
  for (const next of order.reverse()) for (const child of next.children.values()) next.value += child.value;
  all.count = trace.size;
  return all;
}
