// All runs, newest first; a running one is there from its start.
import { h, refill, replace } from "./dom.js";
import { ago, clock, duration, percent, whole } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { serviceColour } from "./model.js";
import { getRuns, listen } from "./api.js";
import { address, patchState, readState } from "./state.js";

const STATES = ["running", "done", "failed", "cancelled", "unfinished"];
const MOST = 500, TREND = 80;

export async function runsPage(root, state, head) {
  let runs = [], failure = null, cursor = -1;
  const chosen = new Set(), lines = new Map();
  const search = h("input", { type: "search", placeholder: "filter: name, directory, trace id", "aria-label": "filter the runs", value: state.params.q ?? "" });
  const states = h("div", { class: "chips", role: "group", "aria-label": "states" });
  const count = h("span", { class: "quiet", role: "status" });
  const live = h("span", { class: "live off", title: "not connected" }, "live");
  const both = h("button", { class: "button", disabled: true, onclick: () => { location.hash = address("compare", [...chosen].reverse()); } }, "compare two");
  const body = h("tbody"), nothing = h("div", { class: "empty" }), trend = h("div", { class: "trend" });
  const table = h("div", { class: "wide" }, h("table", { class: "data runs" }, h("thead", null, h("tr", null,
    [["", "choose"], ["", "state"], ["run"], ["directory"], ["started"], ["took"], ["cached steps"], ["spans"], ["trace"]].map(([title, spoken]) => h("th", { scope: "col", "aria-label": spoken }, title)))), body));
  replace(root, head("runs"), h("main", { class: "scroll" }, h("div", { class: "tools" }, search, states, both, live, count), trend, table, nothing));

  const filter = (changes) => {
    patchState(changes);
    search.value = readState().params.q ?? "";
    draw();
  };
  const inSight = () => {
    const { q, state: only } = readState().params;
    const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    return runs.filter((run) => (!only || run.state === only) && words.every((word) =>
      [run.name, run.args.join(" "), run.directory, run.service, run.trace, run.error ?? ""].some((text) => text.toLowerCase().includes(word))));
  };
  const choose = (trace) => {
    if (!chosen.delete(trace)) chosen.add(trace);
    if (chosen.size > 2) chosen.delete(chosen.values().next().value);
    draw();
  };
  const draw = () => {
    const only = readState().params.state;
    const rows = inSight().slice(0, MOST);
    cursor = Math.min(cursor, rows.length - 1);
    refill(states, STATES.map((name) => [name, runs.filter((run) => run.state === name).length]).filter(([name, size]) => size || name === only)
      .map(([name, size]) => h("button", { class: "chip", "aria-pressed": String(only === name), onclick: () => filter({ state: only === name ? null : name }) }, icon(name, ""), ` ${name} `, h("b", null, size))));
    count.textContent = rows.length === runs.length ? `${runs.length === MOST ? "the newest " : ""}${whole(runs.length)} run${runs.length === 1 ? "" : "s"}` : `${whole(rows.length)} of ${whole(runs.length)} runs`;
    const longest = Math.max(1, ...rows.map(tookUs));
    drawRows(rows, longest);
    drawTrend(trend, rows.slice(0, TREND));
    table.hidden = rows.length === 0;
    replace(nothing, failure ? h("p", { class: "bad" }, failure) : rows.length ? null
      : runs.length ? [h("h2", null, "No run matches"), h("p", null, h("button", { class: "link", onclick: () => filter({ q: null, state: null }) }, "show all runs"))]
        : [h("h2", null, "No run yet"), h("p", null, "Run a build, and it appears here while it runs:"), h("pre", null, "dagger up")]);
    both.disabled = chosen.size !== 2;
    both.textContent = chosen.size === 1 ? "choose one more" : "compare two";
  };
  // Rows stay the same elements for as long as they say the same: a reader may be on one of them.
  const drawRows = (rows, longest) => {
    const kept = new Set(rows.map((run) => run.trace));
    for (const [trace, line] of lines) if (!kept.has(trace) && lines.delete(trace)) line.element.remove();
    rows.forEach((run, at) => {
      const says = JSON.stringify(run), known = lines.get(run.trace);
      const line = known?.says === says ? known : { says, ...rowOf(run, choose, (q) => filter({ q })) };
      if (known && line !== known) {
        const focused = known.element.contains(document.activeElement);
        known.element.replaceWith(line.element);
        if (focused) line.element.querySelector("a").focus({ preventScroll: true });
      }
      lines.set(run.trace, line);
      line.show(run, longest, chosen.has(run.trace), at === cursor);
      if (body.children[at] !== line.element) body.insertBefore(line.element, body.children[at] ?? null);
    });
  };
  const load = async () => {
    try {
      runs = (await getRuns()).runs;
      failure = null;
    } catch (error) {
      failure = error.message;
    }
    draw();
  };
  search.addEventListener("input", () => filter({ q: search.value || null }));
  let waiting = null;
  const stop = listen(() => {
    waiting ??= setTimeout(() => {
      waiting = null;
      load();
    }, 300);
  }, (truth) => {
    live.classList.toggle("off", !truth);
    live.title = truth ? "new runs appear by themselves" : "not connected";
  });
  await load();
  const ticking = setInterval(() => {
    if (!document.hidden) drawRows(inSight().slice(0, MOST), Math.max(1, ...inSight().map(tookUs)));
  }, 1_000);
  const move = (by) => {
    cursor = Math.min(Math.max(cursor + by, 0), inSight().length - 1);
    draw();
    body.children[cursor]?.scrollIntoView({ block: "nearest" });
  };
  const atCursor = (act) => () => {
    const run = inSight()[cursor];
    if (run) act(run.trace);
  };
  return {
    destroy() {
      stop();
      clearTimeout(waiting);
      clearInterval(ticking);
    },
    apply() {
      search.value = readState().params.q ?? "";
      draw();
    },
    keys: {
      "/": () => search.focus(), ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), k: () => move(-1),
      Enter: atCursor((trace) => { location.hash = address("run", [trace]); }), x: atCursor(choose), c: () => both.click(),
    },
  };
}

// How long it took, or takes so far.
function tookUs(run) {
  return run.duration_us ?? Math.max(0, (Date.now() - run.started_ms) * 1_000);
}

function rowOf(run, choose, filterBy) {
  const box = h("input", { type: "checkbox", "aria-label": `choose ${run.name} to compare`, onchange: () => choose(run.trace) });
  const started = h("td", { title: clock(run.started_ms), class: "num when" });
  const meter = h("i", { class: "meter" }), took = h("span"), { steps } = run;
  const short = run.directory.split("/").slice(-2).join("/");
  const element = h("tr", { class: `s-${run.state}`, "data-trace": run.trace },
    h("td", { class: "pick" }, box), h("td", null, icon(run.state)),
    h("th", { scope: "row", title: [run.name, ...run.args].join(" ") }, h("a", { href: address("run", [run.trace]) }, run.name || "unnamed"), h("span", { class: "args" }, " ", run.args.join(" ")),
      run.error ? h("div", { class: "why" }, run.error.slice(0, 300)) : null),
    h("td", { class: "dir" }, run.directory ? h("button", { class: "link", title: `only runs in ${run.directory}`, onclick: () => filterBy(run.directory) }, short) : h("span", null, h("i", { class: `dot c${serviceColour(run.service)}` }), run.service)),
    started, h("td", { class: "num took-cell" }, meter, took),
    h("td", { class: "num", title: steps ? `${steps.cached} of ${steps.total} steps were cached, ${steps.failed} failed` : null }, steps ? stepsBar(steps) : ""),
    h("td", { class: "num many" }, whole(run.spans)),
    h("td", { class: "id" }, h("a", { href: address("run", [run.trace]), tabindex: "-1" }, run.trace.slice(0, 8))));
  return { element, show(now, longest, isChosen, current) {
    box.checked = isChosen;
    element.classList.toggle("current", current);
    started.textContent = ago(now.started_ms);
    meter.style.width = `${(tookUs(now) / longest) * 64}px`;
    took.textContent = duration(tookUs(now)) + (now.duration_us === null && now.state === "running" ? " so far" : "");
  } };
}

// The last runs as bars, oldest first: does it get slower? What the table says is not said twice.
function drawTrend(trend, rows) {
  trend.hidden = rows.length < 6;
  const longest = Math.max(1, ...rows.map(tookUs));
  replace(trend, [...rows].reverse().map((run) => h("a", { href: address("run", [run.trace]), tabindex: "-1", "aria-hidden": "true", class: `t-${run.state}`,
    title: `${run.name} ${run.args.join(" ")}\n${duration(tookUs(run))}, ${WORDS[run.state]}, ${ago(run.started_ms)}` }, h("i", { style: { height: `${Math.max(6, (tookUs(run) / longest) * 100)}%` } }))));
}

function stepsBar({ total, cached, failed }) {
  const share = (part) => ({ width: `${(part / Math.max(total, 1)) * 100}%` });
  return h("span", { class: "steps" }, h("span", { class: "steps-bar" }, h("i", { class: "cached", style: share(cached) }), h("i", { class: "ran", style: share(total - cached - failed) }), h("i", { class: "failed", style: share(failed) })),
    ` ${cached}/${total}`, h("span", { class: "quiet" }, ` ${percent(cached, total)}`));
}
