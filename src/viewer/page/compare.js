// Two runs side by side: what got slower, what was cached and is not, what came and went.
import { h, refill, replace } from "./dom.js";
import { ago, clock, duration, signed } from "./format.js";
import { icon } from "./icons.js";
import { MISSING, Trace } from "./model.js";
import { getRun } from "./api.js";
import { address, patchState, readState } from "./state.js";

const NOISE_US = 50_000, NOISE_SHARE = 0.05, MOST_PAIRS = 500;

export async function comparePage(root, state, head) {
  replace(root, h("p", { class: "empty" }, "loading…"));
  const [a, b] = (await Promise.all(state.traces.map(getRun))).map((view) => new Trace(view));
  const pairs = pairUp(a, b);
  const summary = h("div", { class: "versus" }, side("A", a), side("B", b),
    h("div", { class: "card" }, h("b", { class: `big ${tone(b.duration - a.duration, a.duration)}` }, signed(b.duration - a.duration)), h("div", { class: "quiet" }, "B against A"),
      h("a", { href: address("compare", [state.traces[1], state.traces[0]], state.params) }, "swap")));
  const kinds = kindsOf(pairs);
  const chips = h("div", { class: "chips", role: "group", "aria-label": "kinds of change" });
  const body = h("tbody"), count = h("span", { class: "quiet", role: "status" });
  const search = h("input", { type: "search", placeholder: "filter by name", "aria-label": "filter by name", value: state.params.q ?? "" });
  const all = h("input", { type: "checkbox", checked: state.params.all === "1" });
  const nothing = h("p", { class: "empty" }, "Nothing changed that this shows.");
  const table = h("div", { class: "wide" }, h("table", { class: "data" }, h("thead", null, h("tr", null,
    [["span"], ["A"], ["B"], ["change"], ["", "when"], ["what changed"]].map(([title, spoken]) => h("th", { scope: "col", "aria-label": spoken }, title)))), body));
  const draw = () => {
    const wanted = search.value.toLowerCase();
    const { kind } = readState().params;
    const rows = pairs.filter((pair) => (all.checked || pair.changed || kind) && (!kind || pair.kinds.includes(kind)) && pair.name.toLowerCase().includes(wanted));
    count.textContent = `${rows.length} of ${pairs.length} spans${rows.length > MOST_PAIRS ? `, the first ${MOST_PAIRS} shown` : ""}`;
    replace(body, rows.slice(0, MOST_PAIRS).map((pair) => line(pair, a, b)));
    refill(chips, kinds.map(([name, size]) => h("button", { class: "chip", "aria-pressed": String(name === kind), onclick: () => {
      patchState({ kind: name === kind ? null : name });
      draw();
    } }, `${name} `, h("b", null, size))));
    nothing.hidden = rows.length > 0;
    table.hidden = rows.length === 0;
  };
  const keep = () => {
    patchState({ q: search.value || null, all: all.checked ? "1" : null });
    draw();
  };
  search.addEventListener("input", keep);
  all.addEventListener("change", keep);
  replace(root, head("compare"), h("main", { class: "scroll compare" }, summary,
    h("div", { class: "tools" }, search, chips, h("label", null, all, " unchanged too"), count),
    table, nothing));
  draw();
  return { destroy() {}, apply() {
    search.value = readState().params.q ?? "";
    all.checked = readState().params.all === "1";
    draw();
  }, keys: { "/": () => search.focus() } };
}

function side(letter, trace) {
  const { run } = trace;
  return h("div", { class: "card" }, h("div", null, h("b", null, letter), " ", icon(run.state), " ", h("a", { href: address("run", [run.trace]) }, [run.name, ...run.args.slice(0, 3)].join(" "))),
    h("div", { class: "quiet", title: clock(run.started_ms) }, `${duration(trace.duration)} · ${ago(run.started_ms)}`,
      run.steps ? ` · ${run.steps.cached}/${run.steps.total} cached` : ""));
}

function tone(change, before) {
  if (Math.abs(change) < Math.max(NOISE_US, before * NOISE_SHARE)) return "same";
  return change > 0 ? "slower" : "faster";
}

function line(pair, a, b) {
  const most = Math.max(a.duration, b.duration);
  const bar = (trace, row, side) => row < 0 ? null : h("i", { class: `half ${side} c${trace.colour(row)}`, style: { left: `${(trace.start(row) / most) * 100}%`, width: `${Math.max(0.5, (trace.dur(row) / most) * 100)}%` } });
  const cell = (trace, row) => row < 0 ? h("td", { class: "quiet" }, "–") : h("td", null, icon(trace.state(row)), " ",
    h("a", { href: address("run", [trace.run.trace], { span: trace.spans.id[row] }) }, duration(trace.dur(row))));
  return h("tr", null, h("th", { scope: "row", title: pair.name, style: { "--depth": Math.min(pair.depth, 20) } }, h("span", { class: "indent" }), pair.name),
    cell(a, pair.a), cell(b, pair.b),
    h("td", { class: pair.tone }, pair.a < 0 || pair.b < 0 ? "" : signed(pair.change)),
    h("td", { class: "bars" }, h("div", null, bar(a, pair.a, "upper"), bar(b, pair.b, "lower"))),
    h("td", null, pair.why));
}

// Pairs up the spans of two runs, each once: steps by digest, the rest by name under paired parents.
export function pairUp(a, b) {
  const other = new Int32Array(a.size).fill(-1), taken = new Uint8Array(b.size);
  const couple = (x, y) => {
    other[x] = y;
    taken[y] = 1;
  };
  const digests = new Map();
  for (let row = b.size - 1; row >= 0; row--) {
    const digest = b.attribute(row, "vertex");
    if (digest) digests.set(digest, row);
  }
  for (let row = 0; row < a.size; row++) {
    const digest = a.attribute(row, "vertex"), match = digest ? digests.get(digest) : undefined;
    if (match !== undefined && !taken[match]) couple(row, match);
  }
  const key = (trace, row, parent) => `${parent}\u0000${trace.service(row)}\u0000${plainName(trace.name(row))}`;
  const waiting = new Map();
  for (let row = 0; row < b.size; row++) {
    if (taken[row]) continue;
    const name = key(b, row, b.spans.parent[row]);
    if (!waiting.has(name)) waiting.set(name, []);
    waiting.get(name).push(row);
  }
  for (let row = 0; row < a.size; row++) {
    if (other[row] >= 0) continue;
    const parent = a.spans.parent[row];
    const above = parent < 0 ? -1 : other[parent];
    if (parent >= 0 && above < 0) continue;
    const match = waiting.get(key(a, row, above))?.shift();
    if (match !== undefined) couple(row, match);
  }
  const pairs = [];
  for (let row = 0; row < a.size; row++) pairs.push(judged(a, b, row, other[row]));
  for (let row = 0; row < b.size; row++) if (!taken[row]) pairs.push(judged(a, b, -1, row));
  return pairs.filter((pair) => pair).sort((x, y) => y.weight - x.weight);
}

function judged(a, b, left, right) {
  const [trace, row] = left >= 0 ? [a, left] : [b, right];
  if (trace.is(row, MISSING)) return null;
  const pair = { a: left, b: right, name: trace.name(row), depth: trace.spans.depth[row], change: 0, tone: "", why: "", changed: true, weight: trace.dur(row) };
  if (left < 0) return { ...pair, why: "only in B" };
  if (right < 0) return { ...pair, why: "only in A" };
  pair.change = b.dur(right) - a.dur(left);
  pair.tone = tone(pair.change, a.dur(left));
  const [was, is] = [a.state(left), b.state(right)], why = [];
  if (was !== is) why.push(`${was} → ${is}`);
  if (a.pathOf.has(left) !== b.pathOf.has(right) && a.pathOf.size && b.pathOf.size) why.push(b.pathOf.has(right) ? "now on the critical path" : "off the critical path");
  // A digest also holds where files come from: what was in the cache had the same inputs.
  if (is !== "cached" && a.attribute(left, "vertex") && a.attribute(left, "vertex") !== b.attribute(right, "vertex")) why.push("its inputs changed");
  const own = Math.abs(b.spans.self_us[right] - a.spans.self_us[left]);
  return { ...pair, why: why.join(", "), changed: pair.tone !== "same" || why.length > 0, weight: own + (was === is ? 0 : NOISE_US) };
}

// What there is to choose from: kinds of change, and how many pairs have them.
function kindsOf(pairs) {
  for (const pair of pairs) pair.kinds = pair.changed ? [pair.tone, ...pair.why.split(", ")].filter((kind) => kind && kind !== "same") : [];
  const sizes = new Map();
  for (const kind of pairs.flatMap((pair) => pair.kinds)) sizes.set(kind, (sizes.get(kind) ?? 0) + 1);
  return [...sizes].sort(([, a], [, b]) => b - a);
}

// A name without what differs from run to run: counters, ids, hashes.
function plainName(name) {
  return name.replace(/\b(\d+)\/(\d+)\]/g, "]").replace(/\b[0-9a-f]{12,}\b/gi, "#").replace(/\b\d+(\.\d+)?s?\b/g, "0");
}
