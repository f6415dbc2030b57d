// What is known of a run at a glance: the head of its page.
import { h } from "./dom.js";
import { ago, clock, duration, percent, whole } from "./format.js";
import { icon, WORDS } from "./icons.js";
import { MISSING, OPEN, REMOTE } from "./model.js";
import { copied } from "./detail.js";

export function summaryOf(page) {
  const { run, spans, size, duration: whole_us } = page.trace;
  const fact = (name, ...text) => h("div", { class: "fact" }, h("span", { class: "quiet" }, name), h("b", null, ...text));
  const { steps } = run;
  let missing = 0;
  for (let row = 0; row < size; row++) if ((spans.flags[row] & (MISSING | REMOTE | OPEN)) === MISSING) missing++;
  page.took.textContent = run.duration_us === null ? `${duration(whole_us)} so far` : duration(run.duration_us);
  return [
    h("div", { class: "title" }, h("span", { class: `state s-${run.state}` }, icon(run.state, ""), " ", WORDS[run.state]),
      h("h1", null, run.name || "trace", h("span", { class: "args" }, " ", run.args.join(" "))),
      run.directory ? h("span", { class: "dir quiet", title: run.directory }, run.directory) : null,
      h("span", { class: "id quiet" }, copied(run.trace))),
    h("div", { class: "facts" },
      fact("took", page.took),
      fact("started", h("span", { title: clock(run.started_ms) }, ago(run.started_ms))),
      steps ? fact("steps", whole(steps.total)) : null,
      steps ? fact("cached", `${steps.cached}`, h("span", { class: "quiet" }, ` ${percent(steps.cached, steps.total)}`)) : null,
      page.failures.length && (run.state !== "done" || steps?.failed) ? fact("failed", h("button", { class: "link bad", title: "go to the next failure (e)", onclick: () => page.nextFailure() }, page.failures.length)) : null,
      fact("spans", whole(run.spans || size)),
      missing ? fact("missing", h("span", { class: "bad" }, missing)) : null,
      run.exit_code === null ? null : fact("exit code", run.exit_code),
      h("div", { class: "services" }, page.trace.services.slice(0, 6).map((service) => h("button", { class: "chip", title: "search for its spans", onclick: () => page.set({ q: `service=${/\s/.test(service) ? `"${service}"` : service}` }) },
        h("i", { class: `dot c${colourOf(page.trace, service)}` }), service))),
      page.alone ? null : h("div", { class: "links" },
        h("button", { class: "link", title: "with the run before it of the same command and directory", onclick: (event) => page.compareBefore(event.currentTarget) }, "compare with the run before"),
        h("a", { href: `api/traces/${run.trace}?prettyPrint=true`, title: "all spans, in Jaeger's JSON" }, "JSON"))),
    run.error ? h("pre", { class: "error-text" }, run.error) : null,
  ];
}

function colourOf(trace, service) {
  const at = trace.view.resources.findIndex((resource) => trace.texts[resource.service] === service);
  return trace.colours[at] ?? 9;
}
