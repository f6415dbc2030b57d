// All that is known of one span.
import { h } from "./dom.js";
import { clock, counted, duration, percent, withoutColours } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { KINDS, MISSING, OPEN, REMOTE } from "./model.js";

export function detail(page, row) {
  const { trace } = page;
  const { spans } = trace;
  const state = trace.state(row), missing = trace.is(row, MISSING);
  const parent = spans.parent[row];
  const output = trace.output(row), events = trace.events(row).filter((event) => event.name !== "output");
  const error = trace.error(row);
  return h("div", { class: "detail-in" },
    h("header", null,
      h("h2", null, trace.name(row)),
      h("button", { class: "plain", title: "close (Esc)", "aria-label": "close", onclick: () => page.select(-1) }, icon("close", ""))),
    h("p", { class: "facts-line" }, icon(state), ` ${WORDS[state]}`,
      trace.service(row) ? [" · ", h("i", { class: `dot c${trace.colour(row)}` }), ` ${trace.service(row)}`] : null,
      spans.kind[row] ? ` · ${KINDS[spans.kind[row]]}` : null),
    page.viewName() === "waterfall" ? null : h("p", null, h("button", { class: "link", onclick: () => page.set({ view: null }) }, "show it in the waterfall")),
    missing ? h("p", { class: "note" }, trace.is(row, OPEN) ? "The build is under way and this has not ended: its name and times come with its end." : trace.is(row, REMOTE)
      ? "The calling program's span (TRACEPARENT). It is not in this store: look for it where that program exports to."
      : "Spans name this one as their parent, but it is not in the trace: it was never exported, or lost on the way.") : null,
    error === null ? null : h("pre", { class: "error-text" }, withoutColours(error) || "failed, without a description"),
    (trace.findingsOf.get(row) ?? []).map((finding) => h("p", { class: `note ${finding.severity}` },
      icon(finding.severity), h("b", null, ` ${finding.rule} `), finding.message)),
    h("dl", { class: "numbers" },
      number("duration", duration(trace.dur(row))),
      number("self", missing ? "–" : `${duration(spans.self_us[row])}`),
      number("starts", duration(trace.start(row))),
      number("of the run", percent(trace.dur(row), trace.duration))),
    output.length ? section(`output · ${counted(output.length, "line")}`, h("pre", { class: "output", tabindex: "0", "aria-label": "output" },
      output.map((line) => h("span", { class: "out-line" }, withoutColours(line.text) + "\n")))) : null,
    trace.attribute(row, "dagger.output.dropped") ? h("p", { class: "quiet" }, `${trace.attribute(row, "dagger.output.dropped")} earlier lines were not kept`) : null,
    table("attributes", trace.attributes(row)),
    events.length ? section(`events · ${events.length}`, events.map((event) => h("div", { class: "event" },
      h("div", null, h("span", { class: "at" }, duration(event.at - trace.start(row))), ` ${event.name}`), pairs(event.fields)))) : null,
    table("process", trace.processOf(row)),
    spans.links[row] ? section("links", spans.links[row].map(([other, span]) => h("div", null,
      h("a", { href: `#/run/${other}?span=${span}` }, `${other.slice(0, 8)}… / ${span}`)))) : null,
    section("place", h("dl", { class: "pairs" },
      pair("span", copied(spans.id[row])),
      parent >= 0 ? pair("parent", h("button", { class: "link", onclick: () => page.select(parent, true) }, trace.name(parent))) : null,
      pair("below", counted(spans.end[row] - row - 1, "span")),
      pair("at", clock((trace.view.zero_us + trace.start(row)) / 1_000)),
      pair("trace", copied(trace.run.trace)))));
}

function number(name, text) {
  return h("div", null, h("dt", null, name), h("dd", null, text));
}

function section(title, ...content) {
  return h("section", null, h("h3", null, title), ...content);
}

function pair(key, value) {
  return [h("dt", null, key), h("dd", null, value)];
}

function pairs(list) {
  return h("dl", { class: "pairs" }, list.flatMap(([key, value]) => pair(key, copied(value))));
}

function table(title, list) {
  return list.length ? section(title, pairs(list)) : null;
}

// A text that can be copied as it is.
export function copied(text) {
  const button = h("button", { class: "plain copy", title: "copy", "aria-label": `copy ${text.slice(0, 40)}` }, icon("copy", ""));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.classList.add("did");
      setTimeout(() => button.classList.remove("did"), 900);
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
    }
  });
  return [h("span", { class: "value" }, text), button];
}
