// What `dagger trace verify` says of the run.
import { h } from "./dom.js";
import { counted } from "./format.js";
import { icon } from "./icons.js";

const FEW = 12;

export function findingsList(page) {
  const { found, skipped, passed } = page.trace.view.findings;
  return h("section", { class: "scroll findings", tabindex: "0", "aria-label": "findings" },
    h("p", { class: "quiet" }, `${counted(passed, "rule")} found nothing wrong, ${skipped.length} could not look. The same rules, with waiting and exit codes: `, h("code", null, `dagger trace verify ${page.trace.run.trace}`)),
    found.length ? found.map((finding) => one(page, finding)) : h("p", { class: "fine" }, icon("done", ""), " Nothing is wrong with this trace."),
    skipped.length ? h("details", null, h("summary", null, counted(skipped.length, "rule") + " could not look"),
      h("dl", { class: "pairs" }, skipped.flatMap(({ rule, name, reason }) => [h("dt", null, `${rule} ${name}`), h("dd", null, reason)]))) : null);
}

function one(page, finding) {
  const rows = finding.spans.map((id) => page.trace.rowOf.get(id)).filter((row) => row !== undefined);
  return h("article", { class: `finding ${finding.severity}` },
    h("h3", null, icon(finding.severity), h("b", null, ` ${finding.rule} `), h("span", { class: "quiet" }, finding.name)),
    h("p", null, finding.message),
    h("dl", { class: "pairs" }, [["expected", finding.expected], ["actual", finding.actual], ...finding.notes].filter(([, text]) => text)
      .map(([name, text]) => [h("dt", null, name), h("dd", null, text)])),
    rows.length ? h("p", { class: "spans" }, rows.slice(0, FEW).map((row) => h("button", { class: "chip", onclick: () => page.set({ view: null, span: page.trace.spans.id[row] }) },
      h("i", { class: `dot c${page.trace.colour(row)}` }), page.trace.name(row))),
      rows.length > FEW ? h("span", { class: "quiet" }, ` and ${rows.length - FEW} more`) : null) : null,
    finding.help ? h("p", { class: "help" }, h("b", null, "help "), finding.help) : null);
}
