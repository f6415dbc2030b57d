// All runs, newest first; a running one is there from its start.
import { h, replace } from "./dom.js";
import { ago, clock, duration, whole } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { serviceColour } from "./model.js";
import { getRuns, listen } from "./api.js";
import { address, patchState, readState } from "./state.js";

const STATES = ["running", "done", "failed", "cancelled", "unfinished"];
const MOST = 500;

export async function runsPage(root, state, head) {
  let runs = [], failure = null, cursor = -1;
  const chosen = new Set();
  const search = h("input", { type: "search", placeholder: "filter: name, directory, trace id", "aria-label": "filter the runs", value: state.params.q ?? "" });
  const states = h("div", { class: "chips", role: "group", "aria-label": "states" });
  const count = h("span", { class: "quiet", role: "status" });
  const live = h("span", { class: "live off", title: "not connected" }, "live");
  const both = h("button", { class: "button", disabled: true, onclick: () => { location.hash = address("compare", [...chosen].reverse()); } }, "compare two");
  const body = h("tbody"), nothing = h("div", { class: "empty" });
  const table = h("table", { class: "data runs" }, h("thead", null, h("tr", null,
    ["", "", "run", "directory", "started", "took", "steps", "spans", "trace"].map((title) => h("th", { scope: "col" }, title)))), body);
  replace(root, head("runs"), h("main", { class: "scroll" }, h("div", { class: "tools" }, search, states, both, live, count), table, nothing));

  const inSight = () => {
    const { q, state: only } = readState().params;
    const words = (q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    return runs.filter((run) => (!only || run.state === only) && words.every((word) =>
      [run.name, run.args.join(" "), run.directory, run.service, run.trace, run.error ?? ""].some((text) => text.toLowerCase().includes(word))));
  };
  const draw = () => {
    const only = readState().params.state;
    const rows = inSight();
    cursor = Math.min(cursor, rows.length - 1);
    replace(states, STATES.map((name) => [name, runs.filter((run) => run.state === name).length]).filter(([name, size]) => size || name === only)
      .map(([name, size]) => h("button", { class: "chip", "aria-pressed": String(only === name), onclick: () => {
        patchState({ state: only === name ? null : name });
        draw();
      } }, icon(name, ""), ` ${name} ${size}`)));
    count.textContent = rows.length === runs.length ? `${whole(runs.length)} runs` : `${whole(rows.length)} of ${whole(runs.length)} runs`;
    const longest = Math.max(1, ...rows.map((run) => run.duration_us ?? 0));
    replace(body, rows.slice(0, MOST).map((run, at) => line(run, longest, at === cursor)));
    table.hidden = rows.length === 0;
    replace(nothing, failure ? h("p", { class: "bad" }, failure) : rows.length ? null : runs.length ? h("p", null, "No run matches.")
      : [h("h2", null, "No run yet"), h("p", null, "Run a build, and it appears here while it runs:"), h("pre", null, "dagger up")]);
    both.disabled = chosen.size !== 2;
    both.textContent = chosen.size === 1 ? "choose one more" : "compare two";
  };
  const line = (run, longest, current) => {
    const box = h("input", { type: "checkbox", "aria-label": `choose ${run.name} to compare`, checked: chosen.has(run.trace), onchange: () => {
      if (box.checked) chosen.add(run.trace);
      else chosen.delete(run.trace);
      if (chosen.size > 2) chosen.delete(chosen.values().next().value);
      draw();
    } });
    const { steps } = run;
    return h("tr", { class: `s-${run.state}${current ? " current" : ""}`, "data-trace": run.trace },
      h("td", null, box), h("td", null, icon(run.state)),
      h("th", { scope: "row" }, h("a", { href: address("run", [run.trace]) }, run.name || "unnamed"), h("span", { class: "args" }, " ", run.args.join(" ")),
        run.error ? h("div", { class: "why" }, run.error.slice(0, 300)) : null),
      h("td", { class: "dir", title: run.directory }, run.directory ? run.directory.split("/").slice(-2).join("/") : h("span", null, h("i", { class: `dot c${serviceColour(run.service)}` }), run.service)),
      h("td", { title: clock(run.started_ms), class: "num" }, ago(run.started_ms)),
      h("td", { class: "num" }, h("i", { class: "meter", style: { width: `${((run.duration_us ?? 0) / longest) * 64}px` } }), run.duration_us === null ? WORDS.running : duration(run.duration_us)),
      h("td", { class: "num", title: steps ? `${steps.cached} of ${steps.total} steps were cached, ${steps.failed} failed` : null }, steps ? stepsBar(steps) : ""),
      h("td", { class: "num" }, whole(run.spans)),
      h("td", { class: "id" }, h("a", { href: address("run", [run.trace]), tabindex: "-1" }, run.trace.slice(0, 8))));
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
  search.addEventListener("input", () => {
    patchState({ q: search.value || null });
    draw();
  });
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
  const move = (by) => {
    cursor = Math.min(Math.max(cursor + by, 0), inSight().length - 1);
    draw();
    body.children[cursor]?.scrollIntoView({ block: "nearest" });
  };
  return {
    destroy() {
      stop();
      clearTimeout(waiting);
    },
    apply() {
      search.value = readState().params.q ?? "";
      draw();
    },
    keys: {
      "/": () => search.focus(), ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), k: () => move(-1),
      Enter: () => { const run = inSight()[cursor]; if (run) location.hash = address("run", [run.trace]); },
      x: () => { const run = inSight()[cursor]; if (run) { if (!chosen.delete(run.trace)) chosen.add(run.trace); draw(); } },
      c: () => both.click(),
    },
  };
}

function stepsBar({ total, cached, failed }) {
  const share = (part) => ({ width: `${(part / Math.max(total, 1)) * 100}%` });
  return h("span", { class: "steps" }, h("span", { class: "steps-bar" }, h("i", { class: "cached", style: share(cached) }), h("i", { class: "ran", style: share(total - cached - failed) }), h("i", { class: "failed", style: share(failed) })),
    ` ${cached}/${total}`);
}
