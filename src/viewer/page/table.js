// Spans of one service and name as one line each: which of them cost the time?
import { h } from "./dom.js";
import { duration, whole } from "./format.js";

const COLUMNS = [
  ["name", "name", (group) => group.name],
  ["count", "count", (group) => group.count, whole],
  ["total", "total", (group) => group.total, duration],
  ["self", "self", (group) => group.self, duration],
  ["path", "on the path", (group) => group.path, (us) => (us ? duration(us) : "")],
  ["p50", "p50", (group) => group.p50, duration],
  ["p95", "p95", (group) => group.p95, duration],
  ["max", "max", (group) => group.max, duration],
  ["cached", "cached", (group) => group.cached, (count) => count || ""],
  ["failed", "failed", (group) => group.failed, (count) => count || ""],
];

export function groupTable(page) {
  const [by, way] = (page.params.sort ?? `${page.trace.pathOf.size ? "path" : "self"}:desc`).split(":");
  const column = COLUMNS.find(([key]) => key === by) ?? COLUMNS[3];
  const groups = page.trace.groups(page.matchList.length ? page.matchList : null);
  const sign = way === "asc" ? 1 : -1;
  groups.sort((a, b) => {
    const [x, y] = [column[2](a), column[2](b)];
    return sign * (typeof x === "string" ? x.localeCompare(y) : x - y) || a.name.localeCompare(b.name);
  });
  const most = Math.max(1, ...groups.map((group) => group.self));
  const head = COLUMNS.map(([key, title]) => h("th", { scope: "col", "aria-sort": key === column[0] ? (sign > 0 ? "ascending" : "descending") : null },
    h("button", { onclick: () => page.set({ sort: `${key}:${key === column[0] && sign < 0 ? "asc" : "desc"}` }) }, title,
      key === column[0] ? h("span", { "aria-hidden": "true" }, sign > 0 ? " ↑" : " ↓") : null)));
  const few = groups.slice(0, 1_000);
  const body = few.map((group) => h("tr", null, COLUMNS.map(([key, , value, text]) => key === "name"
    ? h("th", { scope: "row" }, h("i", { class: `dot c${group.colour}` }), h("button", { class: "link", title: "show these in the waterfall",
      onclick: () => page.set({ q: `name="${group.name.replaceAll('"', "")}"`, view: null }) }, group.name), h("span", { class: "service" }, group.service))
    : h("td", { class: key === "failed" && group.failed ? "bad" : null }, key === "self" ? h("i", { class: "meter", style: { width: `${(group.self / most) * 72}px` } }) : null, text(value(group))))));
  return h("section", { class: "scroll", tabindex: "0", "aria-label": "spans by name" },
    h("table", { class: "data groups" }, h("thead", null, h("tr", null, head)), h("tbody", null, body)),
    groups.length > few.length ? h("p", { class: "quiet" }, `and ${whole(groups.length - few.length)} more names`) : null);
}
