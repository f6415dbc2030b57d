// The keys of each page, and the list of them that `?` shows.
import { h } from "./dom.js";
import { SEARCH_HELP } from "./model.js";

const KEYS = {
  runs: [["↑ ↓", "choose a run"], ["Enter", "open it"], ["x", "mark it to be compared"], ["c", "compare the two that are marked"], ["/", "filter"]],
  run: [["↑ ↓  j k", "previous, next span"], ["← →", "collapse, expand; then parent, first child"], ["PgUp PgDn Home End", "further"], ["Enter", "the span's details"],
    ["+ −  w s", "zoom in, out"], ["a d", "move the window"], ["f", "zoom to the span"], ["0", "all of the run"], ["drag", "over the times: zoom to that part"], ["Ctrl wheel", "zoom where the pointer is"],
    ["/", "search"], ["n N", "next, previous match"], ["e", "next failure"], ["c", "critical path"], ["o", "the step's output in place"], ["[ ]", "collapse, expand a level"],
    ["1 … 6", "the views, in their order"], ["y", "copy a link to what you see"], ["Esc", "close"]],
  compare: [["/", "filter"]],
};

export function showKeys(page) {
  const dialog = h("dialog", { class: "keys", "aria-label": "keys" },
    h("h2", null, "Keys"),
    h("dl", null, [...(KEYS[page] ?? []), ["Backspace", "all runs"], ["?", "this list"]].flatMap(([key, text]) => [h("dt", null, key.split(/ {1,2}/).map((part) => [h("kbd", null, part), " "])), h("dd", null, text)])),
    page === "run" ? h("p", { class: "quiet" }, `Search takes ${SEARCH_HELP}.`) : null,
    h("form", { method: "dialog" }, h("button", { class: "button", autofocus: true }, "close")));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}
