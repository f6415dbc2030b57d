// One run as the views read it: the document's columns, and what is worked out of them.
import { parseDuration } from "./format.js";

export const ERROR = 1, CACHED = 2, CANCELLED = 4, STEP = 8, MISSING = 16, REMOTE = 32, AGAIN = 64, SHARED = 128, RETRIED = 256, CIRCLE = 512, OPEN = 1024;
export const KINDS = ["internal", "client", "server", "producer", "consumer"];
const COLOURS = 8;

export class Trace {
  constructor(view) {
    this.view = view;
    this.run = view.run;
    this.spans = view.spans;
    this.texts = view.strings;
    this.size = view.spans.id.length;
    this.duration = Math.max(view.duration_us, 1);
    this.rowOf = new Map();
    for (let row = this.size - 1; row >= 0; row--) this.rowOf.set(this.spans.id[row], row);
    this.pathOf = new Map();
    for (const [row, start, end] of view.critical) {
      if (!this.pathOf.has(row)) this.pathOf.set(row, []);
      this.pathOf.get(row).push([start, end]);
    }
    this.findingsOf = new Map();
    for (const finding of view.findings.found) {
      for (const id of finding.spans) {
        const row = this.rowOf.get(id);
        if (row === undefined) continue;
        if (!this.findingsOf.has(row)) this.findingsOf.set(row, []);
        this.findingsOf.get(row).push(finding);
      }
    }
    this.services = [...new Set(view.resources.map((resource) => this.texts[resource.service]))].filter(Boolean);
    this.colours = view.resources.map((resource) => serviceColour(this.texts[resource.service]));
  }

  name(row) { return this.texts[this.spans.name[row]]; }
  service(row) { return this.texts[this.view.resources[this.spans.resource[row]].service]; }
  colour(row) { return this.colours[this.spans.resource[row]]; }
  start(row) { return this.spans.start[row]; }
  dur(row) { return this.spans.dur[row]; }
  endsAt(row) { return this.spans.start[row] + this.spans.dur[row]; }
  is(row, flag) { return (this.spans.flags[row] & flag) !== 0; }
  hasChildren(row) { return this.spans.end[row] > row + 1; }
  error(row) { return this.spans.error[row] < 0 ? null : this.texts[this.spans.error[row]]; }
  attributes(row) { return this.pairs(this.spans.attributes[row]); }
  processOf(row) { return this.pairs(this.view.resources[this.spans.resource[row]].attributes); }

  attribute(row, key) {
    const pairs = this.spans.attributes[row];
    for (let at = 0; at < pairs.length; at += 2) if (this.texts[pairs[at]] === key) return this.texts[pairs[at + 1]];
    return null;
  }

  pairs(places) {
    const pairs = [];
    for (let at = 0; at < places.length; at += 2) pairs.push([this.texts[places[at]], this.texts[places[at + 1]]]);
    return pairs;
  }

  events(row) {
    return (this.spans.events[row] ?? []).map(([at, name, places]) => ({ at, name: this.texts[name], fields: this.pairs(places) }));
  }

  // The lines that a step wrote: [{at, text}].
  output(row) {
    const lines = this.events(row).filter((event) => event.name === "output");
    return lines.map(({ at, fields }) => ({ at, text: fields.find(([key]) => key === "message" || key === "line")?.[1] ?? "" }));
  }

  outputSize(row) {
    const events = this.spans.events[row];
    if (!events) return 0;
    let size = 0;
    for (const [, name] of events) if (this.texts[name] === "output") size++;
    return size;
  }

  // One word for what happened to it: the name of its icon.
  state(row) {
    const flags = this.spans.flags[row];
    if (flags & OPEN) return "running";
    if (flags & MISSING) return "missing";
    if (flags & CANCELLED) return "cancelled";
    if (flags & ERROR) return "failed";
    if (flags & CACHED) return "cached";
    return "done";
  }

  // While it is under way: what is open lasts until now, and so does all of it.
  reach(now_ms) {
    const now = Math.round(now_ms * 1_000 - this.view.zero_us);
    const { dur, flags, start } = this.spans;
    let latest = Math.max(this.duration, 1);
    for (let row = 0; row < this.size; row++) {
      if (!(flags[row] & OPEN)) continue;
      dur[row] = Math.max(dur[row], now - start[row]);
      latest = Math.max(latest, start[row] + dur[row]);
    }
    this.duration = latest;
  }

  // What failed first: the failed spans that have no failed one below them, cancelled ones apart.
  failures() {
    const above = new Set(), found = [];
    for (let row = this.size - 1; row >= 0; row--) {
      if (!this.is(row, ERROR)) continue;
      if (!above.has(row) && !this.is(row, CANCELLED)) found.unshift(row);
      above.add(this.spans.parent[row]);
    }
    const steps = found.filter((row) => this.is(row, STEP));
    return steps.length ? steps : found;
  }

  first(test) {
    for (let row = 0; row < this.size; row++) if (test(row)) return row;
    return -1;
  }

  root() { return this.first((row) => !this.is(row, MISSING)); }

  ancestors(row) {
    const found = [];
    for (let up = this.spans.parent[row]; up >= 0; up = this.spans.parent[up]) found.push(up);
    return found;
  }

  // The rows that match, in order. Words must all match; see `SEARCH_HELP`.
  search(query) {
    const tests = queryWords(query).map((word) => this.test(word));
    const rows = [];
    if (!tests.length) return rows;
    for (let row = 0; row < this.size; row++) if (tests.every((test) => test(row))) rows.push(row);
    return rows;
  }

  test(word) {
    if (word.startsWith("-") && word.length > 1) {
      const inner = this.test(word.slice(1));
      return (row) => !inner(row);
    }
    const flag = { "is:failed": ERROR, "is:error": ERROR, "is:cached": CACHED, "is:cancelled": CANCELLED, "is:step": STEP,
      "is:missing": MISSING, "is:shared": SHARED, "is:retried": RETRIED }[word];
    if (flag) return (row) => this.is(row, flag);
    if (word === "is:critical") return (row) => this.pathOf.has(row);
    if (word === "is:finding") return (row) => this.findingsOf.has(row);
    const compared = /^(self)?([<>])(.+)$/.exec(word);
    const limit = compared && parseDuration(compared[3]);
    if (limit !== null && compared) {
      const column = compared[1] ? this.spans.self_us : this.spans.dur;
      return compared[2] === ">" ? (row) => column[row] > limit : (row) => column[row] < limit;
    }
    const pair = /^([^=\s]+)=(.*)$/.exec(word);
    if (pair) return this.testPair(pair[1], pair[2].toLowerCase());
    // Each text is looked at once, however many spans have it.
    const hit = this.texts.map((text) => text.toLowerCase().includes(word));
    return (row) => {
      if (hit[this.spans.name[row]] || this.spans.id[row] === word) return true;
      if (hit[this.view.resources[this.spans.resource[row]].service]) return true;
      if (this.spans.error[row] >= 0 && hit[this.spans.error[row]]) return true;
      const pairs = this.spans.attributes[row];
      for (let at = 1; at < pairs.length; at += 2) if (hit[pairs[at]]) return true;
      const events = this.spans.events[row];
      return events ? events.some(([, name, places]) => hit[name] || places.some((place, at) => at % 2 === 1 && hit[place])) : false;
    };
  }

  testPair(key, wanted) {
    if (key === "name") return (row) => this.name(row).toLowerCase() === wanted;
    if (key === "service") return (row) => this.service(row).toLowerCase() === wanted;
    if (key === "kind") return (row) => KINDS[this.spans.kind[row]] === wanted;
    const hit = this.texts.map((text) => text.toLowerCase() === wanted);
    const isKey = this.texts.map((text) => text.toLowerCase() === key);
    return (row) => {
      const pairs = this.spans.attributes[row];
      for (let at = 0; at < pairs.length; at += 2) if (isKey[pairs[at]] && hit[pairs[at + 1]]) return true;
      return false;
    };
  }

  // Spans of one service and name, as one line each.
  groups(within = null) {
    const groups = new Map();
    for (const row of within ?? Array(this.size).keys()) {
      if (this.is(row, MISSING)) continue;
      const key = this.spans.resource[row] + " " + this.spans.name[row];
      let group = groups.get(key);
      if (!group) {
        group = { name: this.name(row), service: this.service(row), colour: this.colour(row), count: 0, total: 0, self: 0, path: 0, failed: 0, cached: 0, durs: [] };
        groups.set(key, group);
      }
      group.count++;
      group.total += this.dur(row);
      group.self += this.spans.self_us[row];
      for (const [start, end] of this.pathOf.get(row) ?? []) group.path += end - start;
      if (this.is(row, ERROR)) group.failed++;
      if (this.is(row, CACHED)) group.cached++;
      group.durs.push(this.dur(row));
    }
    for (const group of groups.values()) {
      group.durs.sort((a, b) => a - b);
      group.p50 = nearestRank(group.durs, 0.5);
      group.p95 = nearestRank(group.durs, 0.95);
      group.max = group.durs[group.durs.length - 1];
    }
    return [...groups.values()];
  }
}

export const SEARCH_HELP = "words, key=value, is:failed, is:cached, is:cancelled, is:critical, is:finding, >500ms, self>1s, -not";

// Words of a query; "..." holds blanks together.
export function queryWords(query) {
  const words = String(query ?? "").match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  return words.map((word) => word.replaceAll('"', "").toLowerCase()).filter(Boolean);
}

export function serviceColour(service) {
  if (!service) return 9;
  const fixed = { dagger: 0, buildkitd: 1 }[service];
  if (fixed !== undefined) return fixed;
  let hash = 2_166_136_261;
  for (const letter of service) hash = Math.imul(hash ^ letter.codePointAt(0), 16_777_619) >>> 0;
  return 2 + (hash % (COLOURS - 2));
}

function nearestRank(sorted, share) {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
