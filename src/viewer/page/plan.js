// The plan's graph: its actions, what each needs, coloured by the time that they took.
import { h, svg } from "./dom.js";
import { counted, duration, percent } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { implied, layered } from "./graph.js";
import { STEP } from "./model.js";

const WIDE = 196, HIGH = 48, BEND = 14, ACROSS = 64, DOWN = 14, EDGE = 16;

// The actions of a run: {name, kind, row, needs, state, took}; `row` is -1 for one that did not run.
export function actionsOf(trace) {
  const actions = [], places = new Map();
  const placeOf = (name) => {
    if (!places.has(name)) {
      places.set(name, actions.length);
      actions.push({ name, kind: "", row: -1, needs: [], state: "missing", took: 0, steps: 0, cached: 0 });
    }
    return places.get(name);
  };
  for (let row = 0; row < trace.size; row++) {
    const name = trace.attribute(row, "dagger.action");
    if (name === null) continue;
    const action = actions[placeOf(name)];
    if (action.row >= 0) continue;
    const needs = (trace.attribute(row, "dagger.action.needs") ?? "").split(",").filter(Boolean);
    Object.assign(action, { row, kind: trace.attribute(row, "dagger.action.kind") ?? "", needs: needs.map(placeOf), took: trace.dur(row) });
    for (let below = row + 1; below < trace.spans.end[row]; below++) {
      if (!trace.is(below, STEP)) continue;
      action.steps++;
      if (trace.state(below) === "cached") action.cached++;
    }
    const state = trace.state(row);
    action.state = state === "done" && action.steps && action.steps === action.cached ? "cached" : state;
  }
  return actions;
}

// The chain that held the build up: from the action that ended last to what it had waited for.
function chain(actions, trace) {
  const ends = (action) => (action.row < 0 ? -1 : trace.endsAt(action.row));
  const last = (list) => list.reduce((best, at) => (best < 0 || ends(actions[at]) > ends(actions[best]) ? at : best), -1);
  const found = [];
  for (let at = last([...actions.keys()]); at >= 0 && actions[at].row >= 0 && !found.includes(at); at = last(actions[at].needs)) found.unshift(at);
  return found;
}

export function planGraph(page) {
  const { trace } = page, actions = actionsOf(trace);
  const needs = actions.map((action) => action.needs);
  const { columns, lines } = layered(needs), saysNothing = implied(needs), onChain = chain(actions, trace);
  const spot = new Map(), bend = (node) => node >= actions.length;
  const tall = columns.map((column) => column.reduce((sum, node) => sum + (bend(node) ? BEND : HIGH) + DOWN, -DOWN));
  const height = Math.max(HIGH, ...tall) + 2 * EDGE, width = columns.length * (WIDE + ACROSS) - ACROSS + 2 * EDGE;
  columns.forEach((column, at) => {
    let top = (height - tall[at]) / 2;
    for (const node of column) {
      const high = bend(node) ? BEND : HIGH;
      spot.set(node, { left: EDGE + at * (WIDE + ACROSS), top, middle: top + high / 2 });
      top += high + DOWN;
    }
  });
  const most = Math.max(1, ...actions.map((action) => action.took));
  const nodes = actions.map((action, at) => node(page, action, spot.get(at), action.took / most, onChain.includes(at)));
  const paths = lines.map(({ from, to, through }) => {
    const held = onChain.includes(from) && onChain.indexOf(to) === onChain.indexOf(from) + 1;
    return svg("path", { d: curve(spot, from, to, through), class: `edge${held ? " held" : saysNothing(from, to) ? " implied" : ""}` });
  });
  const related = (at, way, found = new Set()) => {
    for (const other of way(at)) if (!found.has(other)) related(other, way, found.add(other));
    return found;
  };
  const light = (at) => {
    const near = at < 0 ? null : new Set([at, ...related(at, (of) => needs[of]), ...related(at, (of) => needs.flatMap((list, by) => (list.includes(of) ? [by] : [])))]);
    nodes.forEach((element, of) => element.classList.toggle("far", near !== null && !near.has(of)));
    lines.forEach(({ from, to }, of) => paths[of].classList.toggle("far", near !== null && !(near.has(from) && near.has(to))));
  };
  nodes.forEach((element, at) => {
    element.addEventListener("pointerenter", () => light(at));
    element.addEventListener("pointerleave", () => light(-1));
    element.addEventListener("focus", () => light(at));
    element.addEventListener("blur", () => light(-1));
    if (actions[at].row >= 0) element.addEventListener("click", () => {
      page.select(actions[at].row);
      nodes.forEach((other) => other.setAttribute("aria-pressed", String(other === element)));
    });
  });
  const first = actions[onChain[0]], end = actions[onChain[onChain.length - 1]];
  const waited = onChain.length ? trace.endsAt(end.row) - trace.start(first.row) : 0;
  return h("section", { class: "scroll plan", "aria-label": "plan" },
    h("p", { class: "plan-head" },
      h("span", null, h("b", null, counted(actions.length, "action")), onChain.length > 1 ? [". What held the build up: ", onChain.map((at, place) => [place ? " → " : "", h("b", null, actions[at].name)]),
        `, ${duration(waited)} (${percent(waited, trace.duration)} of the run)`] : null),
      h("span", { class: "legend" }, "0 ", h("i", { class: "ramp", "aria-hidden": "true" }), ` ${duration(most)}`)),
    h("div", { class: "graph", style: { width: `${width}px`, height: `${height}px` } },
      svg("svg", { width, height, "aria-hidden": "true" }, ...paths), nodes));
}

function node(page, action, { left, top }, share, held) {
  const ran = action.row >= 0;
  const what = ran ? [action.kind, action.cached ? `${action.cached}/${action.steps} cached` : action.steps ? counted(action.steps, "step") : null].filter(Boolean).join(" · ") : "did not run";
  return h("button", { class: `node n-${ran ? action.state : "missing"}${held ? " held" : ""}`, disabled: !ran, "data-action": action.name,
    "aria-pressed": String(ran && page.selected === action.row), title: action.name,
    "aria-label": `${action.name}, ${what}${ran ? `, ${WORDS[action.state]}, ${duration(action.took)}` : ""}${held ? ", held the build up" : ""}`,
    style: { left: `${left}px`, top: `${top}px`, width: `${WIDE}px`, height: `${HIGH}px`, "--share": share.toFixed(3) } },
    h("span", { class: "node-name" }, icon(ran ? action.state : "missing", ""), h("span", { class: "label" }, action.name)),
    h("span", { class: "node-facts" }, h("span", { class: "label" }, what), ran ? h("b", null, duration(action.took)) : null),
    ran ? h("i", { class: "node-bar" }) : null);
}

// From the right side of one node to the left side of another, level where it passes columns.
function curve(spot, from, to, through) {
  let { left, middle } = spot.get(from), path = `M${left + WIDE} ${middle}`, x = left + WIDE, y = middle;
  for (const stop of [...through, to]) {
    ({ left, middle } = spot.get(stop));
    const half = (left - x) / 2;
    path += `C${x + half} ${y} ${left - half} ${middle} ${left} ${middle}`;
    if (stop !== to) path += `H${left + WIDE}`;
    [x, y] = [left + WIDE, middle];
  }
  return path;
}
