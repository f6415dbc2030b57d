// One run: what it was, and the views of it.
import { h, inNextFrame, replace } from "./dom.js";
import { ago, clock, duration, percent, whole } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { ERROR, MISSING, OPEN, REMOTE, SEARCH_HELP, STEP, Trace } from "./model.js";
import { getRun, listen } from "./api.js";
import { patchState, readState } from "./state.js";
import { Waterfall } from "./waterfall.js";
import { detail } from "./detail.js";
import { groupTable } from "./table.js";
import { flameGraph } from "./flame.js";
import { findingsList } from "./findings.js";

const VIEWS = [["waterfall", "Waterfall"], ["table", "Table"], ["flame", "Flame graph"], ["findings", "Findings"]];
const OPEN_OUTPUTS = 2;

export async function runPage(root, state, head, given) {
  if (!given) replace(root, head("run"), h("p", { class: "empty" }, "loading…"));
  const view = given ?? (await getRun(state.traces[0]));
  return new RunPage(root, head, new Trace(view), Boolean(given));
}

class RunPage {
  constructor(root, head, trace, alone) {
    this.trace = trace;
    this.closed = new Set();
    this.outputs = new Set();
    this.matches = new Set();
    this.matchList = [];
    this.summary = h("div", { class: "summary" });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "views" });
    this.search = h("input", { type: "search", placeholder: "search spans", title: SEARCH_HELP, "aria-label": "search spans" });
    this.count = h("span", { class: "quiet count", role: "status" });
    this.pathButton = h("button", { class: "chip", onclick: () => this.togglePath() }, h("i", { class: "path-sample" }), " critical path");
    this.content = h("div", { class: "content" });
    this.side = h("aside", { class: "detail", "aria-label": "span" });
    this.waterfall = new Waterfall(this);
    const step = (by, shape, name) => h("button", { class: "plain", title: name, "aria-label": name, onclick: () => this.nextMatch(by) }, icon(shape, ""));
    replace(root, head("run"), h("main", { class: "run" }, this.summary,
      h("div", { class: "tools" }, this.tabs, h("span", { class: "search" }, this.search, this.count, step(-1, "up", "previous match (N)"), step(1, "down", "next match (n)")), this.pathButton),
      h("div", { class: "with-side" }, this.content, this.side)));
    this.search.addEventListener("input", () => this.set({ q: this.search.value || null }));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.nextMatch(event.shiftKey ? -1 : 1);
      }
    });
    this.zoomSoon = inNextFrame(() => this.waterfall.redraw());
    this.keys = this.bindings();
    this.first = true;
    this.apply();
    if (!alone) this.follow();
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
  }

  renew(view) {
    const ids = (rows) => new Set([...rows].map((row) => this.trace.spans.id[row]));
    const [closed, outputs] = [ids(this.closed), ids(this.outputs)];
    this.trace = new Trace(view);
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
    if (document.activeElement !== this.search) this.search.value = params.q ?? "";
    this.find(params.q ?? "");
    this.drawSummary();
    this.drawTools();
    this.drawContent();
    this.drawSide();
    if (this.first && this.selected >= 0) {
      this.unfold(this.selected);
      requestAnimationFrame(() => this.waterfall.reveal(this.selected));
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
  }

  dims(row) {
    if (this.query && !this.matches.has(row)) return true;
    return this.critical && !this.query && !this.trace.pathOf.has(row);
  }

  drawSummary() {
    const { run, spans, size, duration: whole_us } = this.trace;
    const fact = (name, ...text) => h("div", { class: "fact" }, h("span", { class: "quiet" }, name), h("b", null, ...text));
    const { steps } = run;
    let path = 0;
    for (const segments of this.trace.pathOf.values()) for (const [start, end] of segments) path += end - start;
    let missing = 0;
    for (let row = 0; row < size; row++) if ((spans.flags[row] & (MISSING | REMOTE | OPEN)) === MISSING) missing++;
    replace(this.summary,
      h("div", { class: "title" }, h("span", { class: `state s-${run.state}` }, icon(run.state, ""), " ", WORDS[run.state]),
        h("h1", null, run.name || "trace", h("span", { class: "args" }, " ", run.args.join(" "))),
        run.directory ? h("span", { class: "dir quiet", title: run.directory }, run.directory) : null,
        h("code", { class: "id quiet" }, run.trace)),
      h("div", { class: "facts" },
        fact("took", run.duration_us === null ? `${duration(whole_us)} so far` : duration(run.duration_us ?? whole_us)),
        fact("started", h("span", { title: clock(run.started_ms) }, ago(run.started_ms))),
        steps ? fact("steps", whole(steps.total)) : null,
        steps ? fact("cached", `${steps.cached}`, h("span", { class: "quiet" }, ` ${percent(steps.cached, steps.total)}`)) : null,
        steps?.failed ? fact("failed", h("span", { class: "bad" }, steps.failed)) : null,
        fact("spans", whole(run.spans || size)),
        missing ? fact("missing", h("span", { class: "bad" }, missing)) : null,
        run.exit_code === null ? null : fact("exit code", run.exit_code),
        h("div", { class: "services" }, this.trace.services.slice(0, 6).map((service) => h("button", { class: "chip", title: "search for its spans", onclick: () => this.set({ q: `service=${/\s/.test(service) ? `"${service}"` : service}` }) },
          h("i", { class: `dot c${this.serviceColour(service)}` }), service)))),
      run.error ? h("pre", { class: "error-text" }, run.error) : null);
  }

  serviceColour(service) {
    const at = this.trace.view.resources.findIndex((resource) => this.trace.texts[resource.service] === service);
    return this.trace.colours[at] ?? 9;
  }

  viewName() {
    return VIEWS.some(([name]) => name === this.params.view) ? this.params.view : "waterfall";
  }

  drawTools() {
    const now = this.viewName(), { found } = this.trace.view.findings;
    replace(this.tabs, VIEWS.map(([name, title]) => h("button", { role: "tab", "aria-selected": String(name === now), tabindex: name === now ? "0" : "-1", onclick: () => this.show(name) }, title,
      name === "findings" && found.length ? h("span", { class: `badge ${found.some((finding) => finding.severity === "error") ? "error" : "warn"}` }, found.length) : null)));
    this.pathButton.setAttribute("aria-pressed", String(this.critical));
    this.pathButton.hidden = !this.trace.pathOf.size;
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
    replace(this.content, { table: groupTable, flame: flameGraph, findings: findingsList }[now](this));
  }

  drawSide() {
    this.side.hidden = this.selected < 0;
    replace(this.side, this.selected < 0 ? null : detail(this, this.selected));
    this.side.scrollTop = 0;
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

  bindings() {
    const page = () => this.waterfall.pageRows();
    const share = (part) => (this.window[1] - this.window[0]) * part;
    return {
      ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1), j: () => this.move(1), k: () => this.move(-1),
      PageDown: () => this.move(page()), PageUp: () => this.move(-page()),
      Home: () => this.move(-this.trace.size), End: () => this.move(Number.MAX_SAFE_INTEGER),
      ArrowLeft: () => this.sideways(-1), ArrowRight: () => this.sideways(1),
      Enter: () => { if (this.selected >= 0) this.side.querySelector("button, [tabindex]")?.focus(); },
      "/": () => { this.search.focus(); this.search.select(); },
      n: () => this.nextMatch(1), N: () => this.nextMatch(-1),
      c: () => this.togglePath(), o: () => this.toggleOutput(this.selected),
      "+": () => this.zoomBy(0.6), "=": () => this.zoomBy(0.6), w: () => this.zoomBy(0.6), "-": () => this.zoomBy(1 / 0.6), s: () => this.zoomBy(1 / 0.6),
      a: () => this.panBy(-share(0.2)), d: () => this.panBy(share(0.2)), 0: () => this.zoom(null),
      f: () => {
        if (this.selected < 0) return;
        const start = this.trace.start(this.selected), size = Math.max(this.trace.dur(this.selected), 10);
        this.zoom([start - size * 0.05, start + size * 1.05]);
      },
      "[": () => this.closeLevel(-1), "]": () => this.closeLevel(1),
      1: () => this.show("waterfall"), 2: () => this.show("table"), 3: () => this.show("flame"), 4: () => this.show("findings"),
      y: () => navigator.clipboard?.writeText(location.href).catch(() => {}),
      Escape: () => { if (this.selected >= 0) this.select(-1); else if (this.query) this.set({ q: null }); },
    };
  }
}
