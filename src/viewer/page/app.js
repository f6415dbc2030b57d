// Starts the page: reads the address, shows the view that it names, hands keys on.
import { h, replace } from "./dom.js";
import { embedded } from "./api.js";
import { address, readState } from "./state.js";
import { showKeys } from "./keys.js";
import { runsPage } from "./runs.js";
import { runPage } from "./run.js";
import { comparePage } from "./compare.js";

const app = document.getElementById("app");
const alone = embedded();
let current = null, shownState = null, turn = 0;

function head(page) {
  return h("header", { class: "top" },
    alone ? h("span", { class: "brand" }, "dagger") : h("a", { class: "brand", href: "#/" }, "dagger"),
    page === "runs" || alone ? null : h("nav", null, h("a", { href: "#/" }, "all runs")),
    h("span", { class: "spacer" }),
    h("button", { class: "plain", title: "keys (?)", "aria-label": "keys", onclick: () => showKeys(page) }, "?"));
}

function key(state) {
  return [state.page, ...state.traces].join("/");
}

async function show() {
  const read = readState();
  const state = alone ? { ...read, page: "run", traces: [alone.run.trace] } : read;
  if (current && shownState && key(state) === key(shownState)) {
    shownState = state;
    current.apply();
    return;
  }
  const mine = ++turn;
  current?.destroy();
  current = null;
  shownState = state;
  const makers = { runs: runsPage, run: runPage, compare: comparePage };
  const room = h("div", { class: `page p-${state.page}` });
  replace(app, room);
  try {
    const page = await makers[state.page](room, state, head, alone);
    if (mine !== turn) {
      page.destroy();
      return;
    }
    current = page;
    title(state);
  } catch (error) {
    if (mine === turn) replace(room, head(state.page), h("main", { class: "empty" }, h("h2", null, "This cannot be shown"), h("p", { class: "bad" }, error.message), h("p", null, h("a", { href: "#/" }, "all runs"))));
  }
  document.documentElement.dataset.ready = key(state);
}

function title(state) {
  const run = current?.trace?.run;
  document.title = run ? `${run.name} · ${run.trace.slice(0, 8)} · dagger` : state.page === "compare" ? "compare · dagger" : "runs · dagger";
}

addEventListener("hashchange", show);
addEventListener("popstate", show);
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (event.key === "Escape" && typing && !event.target.closest("dialog")) {
    event.target.blur();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !shownState) return;
  if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("button, a, summary")) return;
  if (event.key === "?") {
    event.preventDefault();
    showKeys(shownState.page);
    return;
  }
  if (event.key === "Backspace" && !alone) {
    location.hash = address("runs", []);
    return;
  }
  const act = current?.keys?.[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});
show();
