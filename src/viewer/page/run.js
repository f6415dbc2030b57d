// One run: what it was, and the views of it.
import { h, inNextFrame, refill, replace } from "./dom.js";
import { clock, duration, whole } from "./format.js";
import { icon } from "./icons.js";
import { ERROR, SEARCH_HELP, STEP, Trace } from "./model.js";
import { getRun, listen, runBefore } from "./api.js";
import { address, patchState, readState } from "./state.js";
import { bindings } from "./bindings.js";
import { summaryOf } from "./summary.js";
import { Waterfall } from "./waterfall.js";
import { detail } from "./detail.js";
import { groupTable } from "./table.js";
import { flameGraph } from "./flame.js";
import { findingsList } from "./findings.js";
import { outputLog } from "./log.js";
import { actionsOf, planGraph } from "./plan.js";

const VIEWS = [["waterfall", "Waterfall"], ["table", "Table"], ["flame", "Flame graph"], ["plan", "Plan"], ["output", "Output"], ["findings", "Findings"]];
const OPEN_OUTPUTS = 2;

export async function runPage(root, state, head, given) {
  if (!given) replace(root, head("run"), h("p", { class: "empty" }, "loading…"));
  const view = given ?? (await getRun(state.traces[0]));
  return new RunPage(root, head, new Trace(view), Boolean(given));
}

class RunPage {
  constructor(root, head, trace, alone) {
    this.alone = alone;
    this.take(trace);
    this.closed = new Set();
    this.outputs = new Set();
    this.matches = new Set();
    this.matchList = [];
    this.summary = h("div", { class: "summary" });
    this.took = h("span");
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "views" });
    this.search = h("input", { type: "search", placeholder: "search spans", title: SEARCH_HELP, "aria-label": "search spans" });
    this.count = h("span", { class: "quiet count", role: "status" });
    this.onlyButton = h("button", { class: "chip", title: "hide what does not match", onclick: () => this.set({ only: this.only ? null : "1" }) }, "only matches");
    this.pathButton = h("button", { class: "chip", onclick: () => this.togglePath() }, h("i", { class: "path-sample" }), " critical path");
    this.content = h("div", { class: "content" });
    this.side = h("aside", { class: "detail", "aria-label": "span" });
    this.waterfall = new Waterfall(this);
    const step = (by, shape, name) => h("button", { class: "plain", title: name, "aria-label": name, onclick: () => this.nextMatch(by) }, icon(shape, ""));
    replace(root, head("run"), h("main", { class: "run" }, this.summary,
      h("div", { class: "tools" }, this.tabs, h("span", { class: "search" }, this.search, this.count, step(-1, "up", "previous match (N)"), step(1, "down", "next match (n)")), this.onlyButton, this.pathButton),
      h("div", { class: "with-side" }, this.content, this.side)));
    this.search.addEventListener("input", () => this.set({ q: this.search.value || null }));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.nextMatch(event.shiftKey ? -1 : 1);
      }
    });
    this.zoomSoon = inNextFrame(() => this.waterfall.redraw());
    this.keys = bindings(this, VIEWS.length);
    this.first = true;
    this.apply();
    if (!alone) this.follow();
  }

  take(trace) {
    this.trace = trace;
    this.views = VIEWS.filter(([name]) => name !== "plan" || actionsOf(trace).length > 0);
    this.failures = trace.failures();
    if (trace.run.state === "running") trace.reach(Date.now());
  }

  // While the run is not over, what is new comes in by itself.
  follow() {
    let waiting = null;
    const { trace: id } = this.trace.run;
    this.unfollow = listen((trace) => {
      if (trace !== null && trace !== id) return;
      waiting ??= setTimeout(async () => {
        waiting = null;
        try {
          this.renew(await getRun(id));
        } catch {
          // The next event asks again.
        }
      }, 500);
    }, () => {});
    const clock = setInterval(() => this.tick(), 1_000);
    const { unfollow } = this;
    this.unfollow = () => {
      unfollow();
      clearInterval(clock);
      clearTimeout(waiting);
    };
  }

  // What is under way goes on, also while nothing new is known of it.
  tick() {
    const { trace } = this;
    if (trace.run.state !== "running") return;
    const all = this.window[0] === 0 && this.window[1] === trace.duration;
    trace.reach(Date.now());
    if (all) this.window = [0, trace.duration];
    this.took.textContent = `${duration(trace.duration)} so far`;
    if (this.viewName() !== "waterfall") return;
    this.waterfall.redraw();
    this.waterfall.drawMap();
  }

  renew(view) {
    const ids = (rows) => new Set([...rows].map((row) => this.trace.spans.id[row]));
    const [closed, outputs] = [ids(this.closed), ids(this.outputs)];
    this.take(new Trace(view));
    const rows = (set) => new Set([...set].map((id) => this.trace.rowOf.get(id)).filter((row) => row !== undefined));
    this.closed = rows(closed);
    this.outputs = rows(outputs);
    this.apply();
    this.waterfall.drawMap();
  }

  destroy() {
    this.unfollow?.();
    this.waterfall.destroy();
  }

  // Shows what the address says.
  apply() {
    const [was, view] = [this.params?.span, this.params && this.viewName()];
    const params = (this.params = readState().params);
    const { trace } = this;
    const rowsOf = (text) => new Set((text ?? "").split(",").map((id) => trace.rowOf.get(id)).filter((row) => row !== undefined));
    if (params.closed !== undefined || this.first) this.closed = rowsOf(params.closed);
    if (params.out !== undefined) this.outputs = rowsOf(params.out);
    else if (this.first) this.outputs = new Set(this.failedSteps());
    this.selected = trace.rowOf.get(params.span ?? "") ?? -1;
    const zoom = /^(\d+)-(\d+)$/.exec(params.zoom ?? "");
    this.window = zoom && Number(zoom[2]) > Number(zoom[1]) ? [Number(zoom[1]), Number(zoom[2])] : [0, trace.duration];
    this.critical = params.path === "1";
    this.only = params.only === "1";
    if (document.activeElement !== this.search) this.search.value = params.q ?? "";
    this.find(params.q ?? "");
    this.drawSummary();
    this.drawTools();
    this.drawContent();
    this.drawSide();
    if (this.first) {
      // A build that failed is opened for the sake of what failed.
      const sought = this.selected >= 0 ? this.selected : this.trace.run.state !== "failed" || params.zoom || params.q ? -1 : this.failures[0] ?? -1;
      if (sought >= 0) this.unfold(sought);
      requestAnimationFrame(() => this.waterfall.reveal(sought));
    } else if (this.selected >= 0 && (params.span !== was || view !== this.viewName())) {
      this.waterfall.reveal(this.selected);
    }
    this.first = false;
  }

  set(changes) {
    patchState(changes, "view" in changes);
    this.apply();
  }

  failedSteps() {
    const rows = [];
    for (let row = 0; row < this.trace.size && rows.length < OPEN_OUTPUTS; row++) {
      if (this.trace.is(row, ERROR) && this.trace.is(row, STEP) && this.trace.outputSize(row)) rows.push(row);
    }
    return rows;
  }

  find(query) {
    if (this.query === query && this.found === this.trace) return;
    this.query = query;
    this.found = this.trace;
    this.matchList = this.trace.search(query);
    this.matches = new Set(this.matchList);
    this.around = new Set(this.matchList.flatMap((row) => this.trace.ancestors(row)));
  }

  // Whether a row is in the waterfall at all.
  keeps(row) {
    return !this.only || !this.query || this.matches.has(row) || this.around.has(row);
  }

  dims(row) {
    if (this.query && !this.matches.has(row)) return true;
    return this.critical && !this.query && !this.trace.pathOf.has(row);
  }

  drawSummary() {
    refill(this.summary, summaryOf(this));
  }

  async compareBefore(button) {
    try {
      const before = await runBefore(this.trace.run);
      if (before) location.hash = address("compare", [before.trace, this.trace.run.trace]);
      else button.replaceWith(h("span", { class: "quiet" }, "there is no run before it"));
    } catch (error) {
      button.replaceWith(h("span", { class: "bad" }, error.message));
    }
  }

  nextFailure() {
    const next = this.failures.find((row) => row > this.selected) ?? this.failures[0];
    if (next === undefined) return;
    if (this.viewName() !== "waterfall") this.show("waterfall");
    this.select(next, true);
  }

  viewName() {
    return this.views.some(([name]) => name === this.params.view) ? this.params.view : "waterfall";
  }

  drawTools() {
    const now = this.viewName(), { found } = this.trace.view.findings;
    refill(this.tabs, this.views.map(([name, title]) => h("button", { role: "tab", "aria-selected": String(name === now), tabindex: name === now ? "0" : "-1", onclick: () => this.show(name) }, title,
      name === "findings" && found.length ? h("span", { class: `badge ${found.some((finding) => finding.severity === "error") ? "error" : "warn"}` }, found.length) : null)));
    this.pathButton.setAttribute("aria-pressed", String(this.critical));
    this.pathButton.hidden = !this.trace.pathOf.size;
    this.onlyButton.setAttribute("aria-pressed", String(this.only));
    this.onlyButton.hidden = !this.query && !this.only;
    this.drawCount();
  }

  drawCount() {
    const size = this.matchList.length, at = this.matchList.indexOf(this.selected);
    this.count.textContent = !this.query ? "" : size ? `${at < 0 ? "–" : whole(at + 1)} / ${whole(size)}` : "none";
    this.count.classList.toggle("bad", Boolean(this.query) && !size);
  }

  drawContent() {
    const now = this.viewName();
    if (now === "waterfall") {
      if (this.content.firstChild !== this.waterfall.element) replace(this.content, this.waterfall.element);
      this.waterfall.layout();
      this.waterfall.drawMap();
      return;
    }
    refill(this.content, { table: groupTable, flame: flameGraph, plan: planGraph, output: outputLog, findings: findingsList }[now](this));
  }

  drawSide() {
    this.side.hidden = this.selected < 0;
    const id = this.selected < 0 ? null : this.trace.spans.id[this.selected];
    refill(this.side, id === null ? null : detail(this, this.selected));
    if (this.sideOf !== id) this.side.scrollTop = 0;
    this.sideOf = id;
  }

  show(name) {
    this.set({ view: name === "waterfall" ? null : name });
  }

  select(row, reveal = false) {
    this.selected = row;
    patchState({ span: row < 0 ? null : this.trace.spans.id[row] });
    this.params = readState().params;
    if (row >= 0 && this.unfold(row)) this.waterfall.layout();
    this.drawSide();
    this.drawCount();
    if (this.viewName() === "waterfall") {
      if (reveal && row >= 0) this.waterfall.reveal(row);
      this.waterfall.drawSoon();
    }
  }

  // Opens what hides the row; true if anything did.
  unfold(row) {
    const hiding = this.trace.ancestors(row).filter((up) => this.closed.has(up));
    hiding.forEach((up) => this.closed.delete(up));
    if (hiding.length) this.saveClosed();
    return hiding.length > 0;
  }

  saveClosed() {
    const few = [...this.closed].slice(0, 200).map((row) => this.trace.spans.id[row]).join(",");
    patchState({ closed: few || null });
  }

  twist(row) {
    if (!this.closed.delete(row)) this.closed.add(row);
    this.saveClosed();
    this.waterfall.layout();
  }

  toggleOutput(row) {
    if (row < 0 || !this.trace.outputSize(row)) return;
    if (!this.outputs.delete(row)) this.outputs.add(row);
    patchState({ out: [...this.outputs].slice(0, 50).map((open) => this.trace.spans.id[open]).join(",") || "none" });
    this.waterfall.layout();
  }

  togglePath() {
    this.set({ path: this.critical ? null : "1" });
  }

  zoom(window, keepSize = false) {
    const most = this.trace.duration;
    if (window) {
      let [from, to] = window;
      const size = Math.min(Math.max(to - from, 1), most);
      if (keepSize || to - from > size) from = Math.min(Math.max(from, 0), most - size);
      from = Math.round(Math.min(Math.max(from, 0), most - 1));
      to = Math.round(Math.min(Math.max(keepSize ? from + size : to, from + 1), most));
      window = from === 0 && to === most ? null : [from, to];
    }
    this.window = window ?? [0, most];
    patchState({ zoom: window ? window.join("-") : null });
    this.zoomSoon();
  }

  zoomBy(times, around) {
    const [from, to] = this.window;
    const middle = around ?? (this.selected >= 0 ? Math.min(Math.max(this.trace.start(this.selected), from), to) : (from + to) / 2);
    const size = Math.max((to - from) * times, 10);
    const share = (middle - from) / (to - from);
    this.zoom([Math.max(middle - share * size, 0), Math.min(middle + (1 - share) * size, this.trace.duration)]);
  }

  panBy(us) {
    const [from, to] = this.window;
    this.zoom([from + us, to + us], true);
  }

  nextMatch(by) {
    const { matchList } = this;
    if (!matchList.length) return;
    const at = matchList.indexOf(this.selected);
    const after = matchList.findIndex((row) => row > this.selected);
    const next = at >= 0 ? at + by : by > 0 ? after : (after < 0 ? matchList.length : after) - 1;
    this.select(matchList[(next + matchList.length) % matchList.length], true);
  }

  closeLevel(by) {
    const { trace } = this;
    const open = (row) => trace.ancestors(row).every((up) => !this.closed.has(up));
    const depths = trace.spans.depth;
    if (by < 0) {
      let deepest = -1;
      for (let row = 0; row < trace.size; row++) if (trace.hasChildren(row) && !this.closed.has(row) && depths[row] > deepest && open(row)) deepest = depths[row];
      for (let row = 0; row < trace.size; row++) if (depths[row] === deepest && trace.hasChildren(row)) this.closed.add(row);
    } else {
      let highest = Infinity;
      for (const row of this.closed) highest = Math.min(highest, depths[row]);
      for (const row of [...this.closed]) if (depths[row] === highest) this.closed.delete(row);
    }
    this.saveClosed();
    this.waterfall.layout();
  }

  move(by) {
    if (this.viewName() !== "waterfall") return false;
    this.select(this.selected < 0 ? this.waterfall.items.row[0] ?? -1 : this.waterfall.beside(this.selected, by), true);
    return true;
  }

  sideways(by) {
    const row = this.selected;
    if (row < 0 || this.viewName() !== "waterfall") return;
    const more = this.trace.hasChildren(row), open = !this.closed.has(row);
    if (by > 0 && more && !open) this.twist(row);
    else if (by > 0 && more) this.select(row + 1, true);
    else if (by < 0 && more && open) this.twist(row);
    else if (by < 0 && this.trace.spans.parent[row] >= 0) this.select(this.trace.spans.parent[row], true);
  }
}
