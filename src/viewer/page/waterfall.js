// The waterfall: a tree of spans on the left, their times on the right, a small map of all above.
// Only the rows in sight are in the document.
import { h, inNextFrame } from "./dom.js";
import { axisStep, duration, withoutColours } from "./format.js";
import { icon } from "./icons.js";
import { AGAIN, CIRCLE, MISSING, OPEN, REMOTE, SHARED } from "./model.js";

export const ROW_PX = 24;
const AROUND = 8;
const MAP_PX = 56;

export class Waterfall {
  constructor(page) {
    this.page = page;
    this.items = { row: [], line: [] };
    this.shown = new Map();
    this.canvas = h("canvas", { class: "map-canvas", "aria-hidden": "true" });
    this.brush = h("div", { class: "brush" }, h("i", { class: "grip from" }), h("i", { class: "grip to" }));
    this.map = h("div", { class: "map", title: "drag to choose a part, double-click for all" }, this.canvas, this.brush);
    this.axis = h("div", { class: "axis" });
    // The lines of the axis go on behind all rows: drawn once, and not in each of them.
    this.grid = h("div", { class: "grid" });
    this.space = h("div", { class: "space" });
    this.marquee = h("div", { class: "marquee", hidden: true });
    this.body = h("div", { class: "rows", tabindex: "0", role: "treegrid", "aria-label": "spans" }, this.space);
    this.split = h("div", { class: "split", title: "drag to set the width" });
    this.element = h("section", { class: "waterfall", "aria-label": "waterfall" },
      this.map,
      h("div", { class: "axis-line" }, h("div", { class: "axis-name" }, "span"), this.axis, this.split),
      h("div", { class: "under" }, h("div", { class: "grid-room", "aria-hidden": "true" }, this.grid), this.body), this.marquee);
    this.drawSoon = inNextFrame(() => this.draw());
    this.body.addEventListener("scroll", this.drawSoon, { passive: true });
    this.body.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.axis.addEventListener("wheel", (event) => this.wheel(event, true), { passive: false });
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("dblclick", (event) => this.doubleClick(event));
    this.body.addEventListener("pointerdown", (event) => this.dragTime(event));
    this.axis.addEventListener("pointerdown", (event) => this.dragTime(event));
    this.map.addEventListener("pointerdown", (event) => this.dragMap(event));
    this.map.addEventListener("dblclick", () => page.zoom(null));
    this.split.addEventListener("pointerdown", (event) => this.dragSplit(event));
    this.sizes = new ResizeObserver(() => {
      this.drawMap();
      this.redraw();
    });
    this.sizes.observe(this.body);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => this.drawMap();
    this.scheme.addEventListener("change", this.recolour);
  }

  destroy() {
    this.sizes.disconnect();
    this.scheme.removeEventListener("change", this.recolour);
  }

  // Works out which rows there are: those not under a closed one, and the lines of open outputs.
  layout() {
    const { trace, closed, outputs } = this.page;
    const row = [], line = [];
    const ends = trace.spans.end;
    for (let at = 0; at < trace.size; ) {
      if (!this.page.keeps(at)) {
        at++;
        continue;
      }
      row.push(at);
      line.push(-1);
      if (outputs.has(at)) {
        const size = trace.outputSize(at);
        for (let number = 0; number < size; number++) {
          row.push(at);
          line.push(number);
        }
      }
      at = closed.has(at) ? ends[at] : at + 1;
    }
    this.items = { row, line };
    this.placeOf = null;
    this.space.style.height = `${row.length * ROW_PX}px`;
    this.body.setAttribute("aria-rowcount", row.length);
    this.redraw();
  }

  place(row) {
    if (!this.placeOf) {
      this.placeOf = new Map();
      this.items.row.forEach((item, at) => {
        if (this.items.line[at] < 0) this.placeOf.set(item, at);
      });
    }
    return this.placeOf.get(row);
  }

  // The next row in sight in this direction, or the last one there is.
  beside(row, steps) {
    const rows = this.items.row;
    if (!rows.length) return row;
    let at = this.place(row) ?? 0;
    const way = Math.sign(steps);
    for (let left = Math.abs(steps); left > 0; left--) {
      let next = at + way;
      while (this.items.line[next] >= 0) next += way;
      if (rows[next] === undefined) break;
      at = next;
    }
    return rows[at];
  }

  reveal(row) {
    const at = this.place(row);
    if (at === undefined) return;
    const top = at * ROW_PX, height = this.body.clientHeight;
    if (top < this.body.scrollTop || top + ROW_PX > this.body.scrollTop + height) {
      this.body.scrollTop = Math.max(0, top - height / 2);
    }
    this.drawSoon();
  }

  pageRows() {
    return Math.max(1, Math.floor(this.body.clientHeight / ROW_PX) - 1);
  }

  redraw() {
    this.shown.clear();
    this.space.replaceChildren();
    this.draw();
    this.drawAxis();
    this.drawBrush();
  }

  draw() {
    const rows = this.items.row;
    const from = Math.max(0, Math.floor(this.body.scrollTop / ROW_PX) - AROUND);
    const to = Math.min(rows.length, Math.ceil((this.body.scrollTop + this.body.clientHeight) / ROW_PX) + AROUND);
    for (const [at, element] of this.shown) {
      if (at >= from && at < to) continue;
      element.remove();
      this.shown.delete(at);
    }
    const fresh = document.createDocumentFragment();
    for (let at = from; at < to; at++) {
      if (this.shown.has(at)) continue;
      const element = this.items.line[at] < 0 ? this.spanRow(rows[at], at) : this.lineRow(rows[at], this.items.line[at], at);
      element.style.top = `${at * ROW_PX}px`;
      this.shown.set(at, element);
      fresh.append(element);
    }
    this.space.append(fresh);
    const chosen = this.page.selected;
    for (const [at, element] of this.shown) {
      const row = rows[at];
      if (this.items.line[at] < 0) element.classList.toggle("chosen", row === chosen);
      if (this.items.line[at] < 0) element.setAttribute("aria-selected", row === chosen);
      element.classList.toggle("hit", this.page.matches.has(row) && this.items.line[at] < 0);
      element.classList.toggle("dim", this.page.dims(row));
    }
    if (chosen >= 0) this.body.setAttribute("aria-activedescendant", `row-${chosen}`);
    else this.body.removeAttribute("aria-activedescendant");
  }

  spanRow(row, at) {
    const { trace, closed, outputs } = this.page;
    const { spans } = trace;
    const state = trace.state(row), depth = spans.depth[row];
    const parent = spans.parent[row];
    const other = parent < 0 || trace.service(parent) !== trace.service(row);
    const more = trace.hasChildren(row), open = !closed.has(row);
    const lines = trace.outputSize(row), findings = trace.findingsOf.get(row);
    const tag = trace.is(row, AGAIN) ? "same id again" : trace.is(row, CIRCLE) ? "its own ancestor" : trace.is(row, SHARED) ? "shared" : null;
    const name = h("div", { class: "cell name", role: "gridcell", style: { "--depth": Math.min(depth, 40) } },
      more && h("button", { class: `twist${open ? " open" : ""}`, tabindex: "-1", "data-do": "twist", "aria-label": open ? "collapse" : "expand" }, icon("open", "")),
      h("i", { class: `dot c${trace.colour(row)}` }),
      state === "done" ? null : icon(state),
      h("span", { class: "label", title: trace.name(row) }, trace.name(row)),
      other && trace.service(row) ? h("span", { class: "service" }, trace.service(row)) : null,
      tag ? h("span", { class: "tag" }, tag) : null,
      findings ? h("span", { class: "found", title: findings.map((finding) => `${finding.rule} ${finding.message}`).join("\n") },
        icon(findings.some((finding) => finding.severity === "error") ? "error" : "warn")) : null,
      lines ? h("button", { class: `lines${outputs.has(row) ? " open" : ""}`, tabindex: "-1", "data-do": "output", title: "the step's output (o)" }, icon("output", ""), String(lines)) : null,
      !open ? h("span", { class: "hidden-count" }, `+${spans.end[row] - row - 1}`) : null);
    return h("div", { class: `row s-${state}`, role: "row", id: `row-${row}`, "data-row": row, "aria-level": depth + 1, "aria-rowindex": at + 1,
      "aria-expanded": more ? String(open) : null }, name, this.timeCell(row, state));
  }

  timeCell(row, state) {
    const { trace, window: [from, to] } = this.page;
    const span = to - from, start = trace.start(row), end = trace.endsAt(row);
    const cell = h("div", { class: "cell time", role: "gridcell" });
    const share = (us) => ((us - from) / span) * 100;
    if (end < from || start > to) {
      cell.append(h("span", { class: `away ${end < from ? "left" : "right"}` }, end < from ? "‹" : "›"));
      return cell;
    }
    const left = Math.max(share(start), 0), right = Math.min(share(end), 100);
    cell.append(h("div", { class: `bar c${trace.colour(row)} b-${state}`, style: { left: `${left}%`, width: `${right - left}%` } }));
    if (this.page.critical) {
      for (const [begin, finish] of trace.pathOf.get(row) ?? []) {
        if (finish < from || begin > to) continue;
        const a = Math.max(share(begin), 0), b = Math.min(share(finish), 100);
        cell.append(h("div", { class: "path", style: { left: `${a}%`, width: `${b - a}%` } }));
      }
    }
    const text = trace.is(row, OPEN) ? `${duration(trace.dur(row))} so far` : trace.is(row, MISSING) ? (trace.is(row, REMOTE) ? "elsewhere" : "not in the trace") : duration(trace.dur(row));
    const side = right < 86 ? "after" : left > 14 ? "before" : "inside";
    const put = side === "after" ? { left: `${right}%` } : side === "before" ? { right: `${100 - left}%` } : { right: "0" };
    cell.append(h("span", { class: `took ${side}`, style: put }, text));
    return cell;
  }

  lineRow(row, number, at) {
    const { trace } = this.page;
    if (this.linesRow !== row || this.linesTrace !== trace) {
      this.linesTrace = trace;
      this.linesRow = row;
      this.lines = trace.output(row);
    }
    const line = this.lines[number] ?? { at: 0, text: "" };
    return h("div", { class: `row line${trace.state(row) === "failed" ? " of-failed" : ""}`, role: "row", "data-row": row, "aria-level": trace.spans.depth[row] + 2, "aria-rowindex": at + 1 },
      h("div", { class: "cell text", role: "gridcell", style: { "--depth": Math.min(trace.spans.depth[row], 40) } },
        h("span", { class: "at" }, duration(Math.max(0, line.at - trace.start(row)))), h("code", null, withoutColours(line.text))));
  }

  drawAxis() {
    const { window: [from, to] } = this.page;
    const width = this.axis.clientWidth || 600, span = to - from;
    const step = axisStep(span, width / 90), ticks = [], lines = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const share = ((at - from) / span) * 100;
      lines.push(h("i", { style: { left: `${share}%` } }));
      if (share > 97) continue;
      ticks.push(h("span", { class: "tick", style: { left: `${share}%` } }, at === 0 ? "0" : duration(at)));
    }
    this.axis.replaceChildren(...ticks);
    this.grid.replaceChildren(...lines);
  }

  drawBrush() {
    const { trace, window: [from, to] } = this.page;
    const all = from <= 0 && to >= trace.duration;
    this.brush.classList.toggle("all", all);
    this.brush.style.left = `${(from / trace.duration) * 100}%`;
    this.brush.style.width = `${((to - from) / trace.duration) * 100}%`;
  }

  drawMap() {
    const { trace } = this.page;
    const width = this.map.clientWidth, ratio = devicePixelRatio || 1;
    if (!width) return;
    this.canvas.width = width * ratio;
    this.canvas.height = MAP_PX * ratio;
    const pen = this.canvas.getContext("2d");
    const css = getComputedStyle(document.documentElement);
    const colours = Array.from({ length: 10 }, (_, at) => css.getPropertyValue(`--c${at}`).trim() || "#888");
    const bad = css.getPropertyValue("--bad").trim();
    pen.scale(ratio, ratio);
    const inner = MAP_PX - 8, thick = Math.max(1, Math.min(4, inner / trace.size));
    for (let row = 0; row < trace.size; row++) {
      const state = trace.state(row);
      pen.fillStyle = state === "failed" ? bad : colours[trace.colour(row)];
      pen.globalAlpha = state === "cached" || state === "cancelled" || state === "missing" ? 0.4 : 0.9;
      pen.fillRect((trace.start(row) / trace.duration) * width, 4 + (row / trace.size) * inner, Math.max(1, (trace.dur(row) / trace.duration) * width), thick);
    }
  }

  // The time under a point of the time column.
  timeAt(x) {
    const { window: [from, to] } = this.page;
    const box = this.axis.getBoundingClientRect();
    return from + (Math.min(Math.max(x - box.left, 0), box.width) / box.width) * (to - from);
  }

  wheel(event, always = false) {
    const { window: [from, to] } = this.page;
    if (event.ctrlKey || event.metaKey || event.altKey || always) {
      event.preventDefault();
      this.page.zoomBy(Math.exp(event.deltaY * 0.002), this.timeAt(event.clientX));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const by = ((event.deltaX || event.deltaY) / 800) * (to - from);
      this.page.panBy(by);
    }
  }

  click(event) {
    const row = Number(event.target.closest("[data-row]")?.dataset.row ?? -1);
    if (row < 0 || this.dragged) return;
    const what = event.target.closest("[data-do]")?.dataset.do;
    if (what === "twist") this.page.twist(row);
    else if (what === "output") this.page.toggleOutput(row);
    else this.page.select(row);
  }

  doubleClick(event) {
    const row = Number(event.target.closest("[data-row]")?.dataset.row ?? -1);
    if (event.target.closest(".cell.time")) this.page.zoom(null);
    else if (row >= 0 && this.page.trace.hasChildren(row)) this.page.twist(row);
  }

  // A drag over the times chooses a part of them.
  dragTime(event) {
    this.dragged = false;
    const overTimes = event.target.closest(".cell.time") || event.target.closest(".axis");
    if (event.button !== 0 || !overTimes) return;
    const from = event.clientX, box = this.element.getBoundingClientRect();
    const axis = this.axis.getBoundingClientRect();
    const move = (moved) => {
      if (!this.dragged && Math.abs(moved.clientX - from) < 5) return;
      this.dragged = true;
      const clamp = (x) => Math.min(Math.max(x, axis.left), axis.right);
      const [a, b] = [clamp(from), clamp(moved.clientX)].sort((x, y) => x - y);
      this.marquee.hidden = false;
      this.marquee.style.left = `${a - box.left}px`;
      this.marquee.style.width = `${b - a}px`;
      this.marquee.style.top = `${axis.top - box.top}px`;
    };
    follow(move, (end) => {
      this.marquee.hidden = true;
      if (!this.dragged) return;
      const [a, b] = [this.timeAt(from), this.timeAt(end.clientX)].sort((x, y) => x - y);
      if (b > a) this.page.zoom([a, b]);
      setTimeout(() => (this.dragged = false));
    });
    if (event.target.closest(".axis")) event.preventDefault();
  }

  // The brush: its edges move one end, its middle moves both, elsewhere a new one is drawn.
  dragMap(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const { trace, window: [from, to] } = this.page;
    const box = this.map.getBoundingClientRect();
    const at = (x) => (Math.min(Math.max(x - box.left, 0), box.width) / box.width) * trace.duration;
    const begin = at(event.clientX);
    const part = event.target.closest(".grip.from") ? "from" : event.target.closest(".grip.to") ? "to"
      : event.target.closest(".brush:not(.all)") ? "both" : "new";
    follow((moved) => {
      const now = at(moved.clientX);
      if (part === "from") this.page.zoom([Math.min(now, to - 1), to]);
      else if (part === "to") this.page.zoom([from, Math.max(now, from + 1)]);
      else if (part === "both") this.page.zoom([from + now - begin, to + now - begin], true);
      else if (Math.abs(now - begin) > trace.duration / 200) this.page.zoom([Math.min(begin, now), Math.max(begin, now)]);
    }, () => {});
  }

  dragSplit(event) {
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    follow((moved) => {
      const share = Math.min(Math.max((moved.clientX - box.left) / box.width, 0.15), 0.7);
      this.element.style.setProperty("--names", `${share * 100}%`);
    }, () => this.redraw());
  }
}

function follow(move, done) {
  const end = (event) => {
    removeEventListener("pointermove", move);
    removeEventListener("pointerup", end);
    removeEventListener("pointercancel", end);
    done(event);
  };
  addEventListener("pointermove", move);
  addEventListener("pointerup", end);
  addEventListener("pointercancel", end);
}
