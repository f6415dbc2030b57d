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
      ...circumstances(page.trace).map(([name, text, more]) => fact(name, h("span", { class: "short", title: more }, text))),
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

// With what and of what it was made, where a span says so: the engine, the commit, the job.
function circumstances(trace) {
  const root = trace.root(), own = new Map(root < 0 ? [] : [...trace.processOf(root), ...trace.attributes(root)]);
  const found = [], connect = trace.first((row) => trace.name(row) === "connect" && trace.attribute(row, "buildkit.version"));
  if (connect >= 0) found.push(["engine", trace.attribute(connect, "buildkit.version"), trace.attribute(connect, "buildkit.address")]);
  const revision = own.get("vcs.ref.head.revision"), name = own.get("vcs.ref.head.name");
  if (name || revision) found.push(["commit", [name, revision?.slice(0, 8)].filter(Boolean).join(" "), revision]);
  const job = own.get("cicd.pipeline.name");
  if (job) found.push(["pipeline", job, own.get("cicd.pipeline.run.url.full") ?? job]);
  return found;
}

function colourOf(trace, service) {
  const at = trace.view.resources.findIndex((resource) => trace.texts[resource.service] === service);
  return trace.colours[at] ?? 9;
}
