// What the steps wrote, one after the other: what the terminal has shown, kept.
import { h } from "./dom.js";
import { counted, duration, whole, withoutColours } from "./format.js";
import { icon, WORDS } from "./icons.js";

const MOST_LINES = 5_000;

export function outputLog(page) {
  const { trace } = page, among = page.query ? page.matches : null;
  const steps = [];
  for (let row = 0; row < trace.size; row++) if (trace.outputSize(row) && (!among || among.has(row))) steps.push(row);
  steps.sort((a, b) => trace.start(a) - trace.start(b));
  let left = MOST_LINES, hidden = 0;
  const blocks = steps.map((row) => {
    const lines = trace.output(row), shown = lines.slice(Math.max(0, lines.length - left));
    left -= shown.length;
    hidden += lines.length - shown.length;
    return shown.length ? block(page, row, shown) : null;
  });
  return h("section", { class: "scroll log", tabindex: "0", "aria-label": "output of the steps" },
    steps.length ? h("p", { class: "quiet" }, `${counted(steps.length, "step")} wrote something${among ? " and match the search" : ""}. Times count from the start of the run.`)
      : h("div", { class: "empty" }, h("h2", null, "No output"), h("p", null, among ? "No step that matches the search wrote anything." : "No step wrote anything, or all were cached.")),
    blocks, hidden ? h("p", { class: "quiet" }, `${whole(hidden)} more lines are with their steps`) : null);
}

function block(page, row, lines) {
  const { trace } = page, state = trace.state(row), gone = trace.attribute(row, "dagger.output.dropped");
  return h("article", { class: `log-step s-${state}` },
    h("h3", null, icon(state), h("button", { class: "link name", title: "show it in the waterfall", onclick: () => page.set({ view: null, span: trace.spans.id[row] }) }, trace.name(row)),
      h("span", { class: "quiet" }, `${state === "done" ? "" : `${WORDS[state]}, `}${duration(trace.dur(row))}`)),
    gone ? h("p", { class: "quiet" }, `${gone} earlier lines were not kept`) : null,
    h("pre", null, lines.map(({ at, text }) => h("span", { class: "log-line" }, h("span", { class: "at" }, duration(Math.max(0, at))), h("span", null, withoutColours(text) + "\n")))),
    trace.error(row) === null ? null : h("p", { class: "bad" }, withoutColours(trace.error(row))));
}
