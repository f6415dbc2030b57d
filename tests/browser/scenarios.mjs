// What a reader does with the page, one scenario a call: node scenarios.mjs SCENARIO FOLDER
// FOLDER is what tests/e2e/page.rs has written. Set PICTURES to a folder to get a picture of each end.
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser } from "./chromium.mjs";
import { looks } from "./looks.mjs";
import { served } from "./served.mjs";
import { serve } from "./site.mjs";

const id = (short) => short + "7be1c04d92f36e8a5b1d7c2e9f0a43";
const FAILED = id("a1"), GOOD = id("a2"), SLOW = id("a3"), BROKEN = id("a4"), HOSTILE = id("a5"), BIG = id("a6"), LIVE = id("a7");
const hash = (page) => page.eval("location.hash");
const rows = (page) => page.eval("document.querySelectorAll('.rows .row').length");
const open = async (page, site, address, ready = ".rows .row") => {
  await page.open(site.url + address);
  await page.shows(ready);
};

const scenarios = {
  async list_can_be_searched_filtered_and_walked(page, site) {
    await open(page, site, "", "tr[data-trace]");
    assert.equal(await page.eval("document.querySelectorAll('tr[data-trace]').length"), 6);
    await page.shows(".runs .why", "make test");
    await page.shows(".live:not(.off)");
    await page.click(".chip", "failed");
    await page.until("document.querySelectorAll('tr[data-trace]').length === 1");
    assert.equal(await hash(page), "#/?state=failed");
    await page.click(".chip", "failed");
    await page.key("/");
    await page.type("shop");
    await page.until("document.querySelectorAll('tr[data-trace]').length === 1");
    await page.shows("[role=status]", "1 of 6 runs");
    await page.key("Escape");
    await page.key("ArrowDown");
    await page.shows("tr.current");
    await page.key("Enter");
    await page.shows(".rows .row");
    assert.equal(await hash(page), `#/run/${BROKEN}`);
    await page.key("Backspace");
    await page.shows("tr[data-trace]");
  },

  async running_build_appears_and_fills_in(page, site) {
    await open(page, site, "", "tr[data-trace]");
    await page.shows(".live:not(.off)");
    site.replace("/api/dagger/runs", "live/runs-early.json", LIVE);
    await page.shows("tr.s-running", "so far");
    site.replace(`/api/dagger/runs/${LIVE}`, "live/early.json", LIVE);
    await page.click("tr.s-running a");
    await page.shows(".state.s-running");
    const before = await rows(page);
    await page.click(".row .label", "connect");
    await page.until("location.hash.includes('span=')");
    await page.until("performance.getEntriesByType('resource').length > 0");
    for (let tries = 0; site.listening() < 1 && tries < 100; tries++) await new Promise((go) => setTimeout(go, 50));
    site.replace(`/api/dagger/runs/${LIVE}`, `runs/${LIVE}.json`, LIVE);
    await page.shows(".state.s-done");
    assert.ok((await rows(page)) > before);
    await page.shows(".row.chosen .label", "connect");
  },

  async waterfall_tells_states_apart_and_shows_output_in_place(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    for (const state of ["failed", "cached", "cancelled"]) await page.shows(`.row.s-${state} .icon.i-${state}`);
    assert.ok(await page.eval("getComputedStyle(document.querySelector('.b-failed')).backgroundImage !== getComputedStyle(document.querySelector('.b-cancelled')).backgroundImage"));
    assert.ok(await page.eval("getComputedStyle(document.querySelector('.b-cached')).borderTopStyle === 'solid' && getComputedStyle(document.querySelector('.b-done')).borderTopStyle === 'none'"));
    // The output of the step that failed is there without being asked for, its colours taken out.
    await page.shows(".row.line code", "panicked at src/verify/rules.rs:88:9");
    await page.shows(".row.line code", "orphans ... FAILED");
    const before = await rows(page);
    await page.click(".row .lines", "5");
    await page.shows(".row.line code", "Compiling tokio");
    assert.ok((await rows(page)) >= before);
    await page.click(".row .label", "[build 2/2]");
    await page.shows(".detail h2", "[build 2/2] RUN cargo build --release --locked");
    await page.shows(".detail .pairs dt", "buildkit.cached");
    await page.shows(".detail .output", "Finished `release` profile");
    await page.shows(".numbers dt", "self");
    await page.click(".detail .link", "solve");
    await page.shows(".detail h2", "solve");
    await page.key("c");
    await page.shows(".path");
    assert.match(await hash(page), /path=1/);
  },

  async search_counts_matches_and_steps_through_them(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    await page.key("/");
    await page.type("cargo");
    await page.shows(".search .count", "/ ");
    const [, size] = (await page.eval("document.querySelector('.search .count').textContent")).split("/ ");
    assert.ok(Number(size) > 4, size);
    await page.key("Enter");
    await page.shows(".search .count", `1 / ${size}`);
    await page.key("Escape");
    await page.key("n");
    await page.shows(".search .count", `2 / ${size}`);
    await page.key("N");
    await page.key("N");
    await page.shows(".search .count", `${size} / ${size}`);
    await page.shows(".row.hit.chosen");
    await page.shows(".row.dim");
    for (const [query, count] of [["is:cached", "/ 3"], ["is:failed", "/ 4"], ["is:cancelled", "/ 1"], ["service=buildkitd", "/ "], [">5s", "/ "], ["name=\"load plan\"", "/ 1"], ["no-such-thing", "none"]]) {
      await page.open(`${site.url}#/run/${FAILED}?q=${encodeURIComponent(query)}`);
      await page.until((query) => document.querySelector(".search input").value === query, query);
      await page.shows(".search .count", count);
    }
  },

  async zoom_by_drag_wheel_keys_and_brush(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    const window = async () => /zoom=(\d+)-(\d+)/.exec(await hash(page))?.slice(1).map(Number) ?? null;
    assert.equal(await window(), null);
    const axis = await page.box(".axis");
    await page.drag(axis.left + axis.width * 0.25, axis.y, axis.left + axis.width * 0.5, axis.y);
    await page.until("location.hash.includes('zoom=')");
    const [from, to] = await window();
    assert.ok(Math.abs(from - 2.35e6) < 1e5 && Math.abs(to - 4.7e6) < 1e5, `${from}-${to}`);
    await page.mouse("mouseWheel", axis.x, axis.y + 200, { deltaX: 0, deltaY: -300, modifiers: 2, button: "none", buttons: 0 });
    await page.until((size) => { const [, a, b] = /zoom=(\d+)-(\d+)/.exec(location.hash); return b - a < size; }, to - from);
    await page.key("d");
    await page.key("-");
    await page.key("0");
    await page.until("!location.hash.includes('zoom=')");
    // The part of the time column in a row chooses as well, and is no click on the row.
    const cell = await page.box(".row .cell.time");
    await page.drag(cell.left + cell.width * 0.5, cell.y, cell.left + cell.width * 0.75, cell.y);
    await page.until("location.hash.includes('zoom=')");
    assert.ok(!(await hash(page)).includes("span="));
    const map = await page.box(".map");
    const moved = await window();
    await page.drag(map.left + map.width * 0.6, map.y, map.left + map.width * 0.4, map.y);
    await page.until((from) => Number(/zoom=(\d+)-/.exec(location.hash)[1]) < from, moved[0] - 1e6);
    await page.drag(map.left + map.width * 0.9, map.y, map.left + map.width * 0.95, map.y);
    await page.until((from) => Number(/zoom=(\d+)-/.exec(location.hash)[1]) > 8e6);
    await page.click(".row .label", "load plan");
    await page.key("f");
    await page.until("/zoom=(\\d+)-/.exec(location.hash)[1] < 2e6");
  },

  async keyboard_reaches_everything(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    await page.key("?");
    await page.shows("dialog.keys kbd", "Esc");
    assert.ok(await page.eval("document.querySelector('dialog.keys').contains(document.activeElement)"));
    await page.key("Escape");
    await page.until("!document.querySelector('dialog')");
    await page.key("ArrowDown");
    await page.key("j");
    await page.shows(".row.chosen", "load plan");
    assert.ok(await page.eval("document.getElementById(document.querySelector('[role=treegrid]').getAttribute('aria-activedescendant')).getAttribute('aria-selected') === 'true'"));
    await page.key("k");
    await page.key("ArrowLeft");
    await page.until("document.querySelectorAll('.rows .row').length === 1");
    assert.match(await hash(page), /closed=/);
    await page.key("ArrowRight");
    await page.until("document.querySelectorAll('.rows .row').length > 10");
    await page.key("End");
    await page.shows(".row.chosen", "integration-test");
    await page.key("Home");
    await page.shows(".row.chosen", "dagger up");
    await page.key("[");
    await page.until("document.querySelectorAll('.row[aria-expanded=false]').length > 0");
    await page.key("]");
    await page.until("document.querySelectorAll('.row[aria-expanded=false]').length === 0");
    await page.key("2");
    await page.shows("table.groups");
    await page.key("3");
    await page.shows(".flame .fbox");
    await page.key("6");
    await page.shows(".findings");
    await page.key("1");
    await page.shows(".rows .row");
    await page.key("Enter");
    assert.ok(await page.eval("document.querySelector('.detail').contains(document.activeElement)"));
    await page.key("Escape");
    await page.until("document.querySelector('.detail').hidden");
    // All that can be pressed has a name, each role's required parts are there.
    const nameless = await page.eval(() => [...document.querySelectorAll("button, input, a")].filter((element) => element.getClientRects().length && !element.textContent.trim() && !element.getAttribute("aria-label")).map((element) => element.outerHTML));
    assert.deepEqual(nameless, []);
  },

  async missing_parent_is_a_row_and_findings_lead_to_spans(page, site) {
    await open(page, site, `#/run/${BROKEN}`);
    await page.shows(".row.s-missing .label", "missing span");
    await page.shows(".fact", "missing");
    await page.click(".row.s-missing .label");
    await page.shows(".detail .note", "not in the trace");
    await page.shows(".row .found");
    await page.click(".tabs button", "Findings");
    await page.shows(".finding.error", "T003");
    await page.shows(".finding .help");
    await page.click(".finding.error .chip", "DiffCopy");
    await page.shows(".row.chosen .label", "DiffCopy");
    await page.shows(".detail .note.error", "T003");
  },

  async table_and_flame_graph_find_the_time(page, site) {
    await open(page, site, `#/run/${GOOD}?view=table`, "table.groups");
    await page.shows("table.groups tbody tr", "cargo build");
    await page.shows("table.groups th[aria-sort=descending]", "on the path");
    await page.click(".groups thead button", "count");
    await page.until("document.querySelector('.groups tbody tr:first-child').textContent.includes('Control/Solve')");
    assert.match(await hash(page), /sort=count%3Adesc/);
    await page.click(".groups tbody .link", "load plan");
    await page.shows(".search .count", "– / 1");
    await open(page, site, `#/run/${GOOD}?view=flame`, ".fbox");
    const all = await page.eval("document.querySelectorAll('.fbox').length");
    await page.click(".fbox", "action lint");
    await page.until((all) => document.querySelectorAll(".fbox").length < all, all);
    assert.match(await hash(page), /flame=/);
    await page.click(".flame-view .link", "show all");
    await page.until((all) => document.querySelectorAll(".fbox").length === all, all);
  },

  async two_runs_are_compared(page, site) {
    await open(page, site, "", "tr[data-trace]");
    await page.click(`tr[data-trace="${GOOD}"] input`);
    await page.click(`tr[data-trace="${SLOW}"] input`);
    await page.click(".button", "compare two");
    await page.shows(".versus");
    await page.until("/^#\\/compare\\/[0-9a-f]+\\/[0-9a-f]+/.test(location.hash)");
    await page.open(`${site.url}#/compare/${GOOD}/${SLOW}`);
    await page.shows(".big.slower", "+1.45 s");
    await page.shows(".compare tbody tr", "cached → done");
    await page.shows(".compare tbody td.slower", "+1.45 s");
    const few = await page.eval("document.querySelectorAll('.compare tbody tr').length");
    await page.click(".tools label");
    await page.until((few) => document.querySelectorAll(".compare tbody tr").length > few, few);
    await page.click(".compare tbody a");
    await page.shows(".row.chosen");
  },

  async deep_link_opens_the_same_view(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    await page.click(".row .label", "[build 1/2]");
    await page.key("c");
    await page.key("o");
    await page.key("+");
    await page.key("/");
    await page.type("RUN");
    await page.shows(".search .count", "/ ");
    const link = await hash(page);
    for (const part of ["span=", "path=1", "out=", "zoom=", "q=RUN"]) assert.ok(link.includes(part), `${part} in ${link}`);
    const seen = "[...document.querySelectorAll('.rows .row')].map((row) => row.innerText + row.className).join('|') + document.querySelector('.detail').innerText + document.querySelector('.brush').style.left";
    const before = await page.eval(seen);
    await page.open("about:blank");
    await open(page, site, link);
    await page.shows(".row.chosen", "cargo fetch");
    await page.until(`document.querySelector('.search input').value === 'RUN'`);
    assert.equal(await page.eval(seen), before);
    await page.click(".tabs button", "Table");
    await page.shows("table.groups");
    await page.eval("history.back()");
    await page.shows(".rows .row");
    await page.open(`${site.url}#/run/${"beef"}`);
    await page.shows(".bad", "there is no");
    page.complaints = page.complaints.filter((text) => !text.includes("404"));
  },

  async dark_mode_follows_the_system(page, site) {
    await open(page, site, `#/run/${FAILED}`);
    const shades = () => page.eval(() => {
      const light = (colour) => (colour.match(/\d+(\.\d+)?/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
      const of = (selector, what) => light(getComputedStyle(document.querySelector(selector))[what]);
      return { ground: of("body", "backgroundColor"), ink: of("body", "color"), panel: of(".content", "backgroundColor"), label: of(".row:not(.s-failed) .label", "color") };
    });
    await page.dark(false);
    const day = await shades();
    assert.ok(day.ground > 230 && day.ink < 60 && day.panel > 230, JSON.stringify(day));
    await page.dark(true);
    const night = await shades();
    assert.ok(night.ground < 40 && night.ink > 200 && night.panel < 50 && night.label > 150, JSON.stringify(night));
  },

  async single_file_opens_from_disk(page, site, folder) {
    await page.open(pathToFileURL(join(folder, "runs/a1.html")).href);
    await page.shows(".row.s-failed", "make test");
    await page.click(".row .label", "[build 1/2]");
    await page.shows(".detail .output", "Downloaded 214 crates");
    await page.key("3");
    await page.shows(".fbox");
    await page.key("1");
    await page.shows(".rows .row");
    assert.match(await page.eval("location.hash"), /span=/);
    assert.deepEqual(page.requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:")), []);
    assert.equal(page.requests.filter((url) => url.startsWith("file:")).length, 1);
  },

  async real_build_is_whole_in_its_single_file(page, _site, _folder, file) {
    await page.open(pathToFileURL(file).href);
    await page.shows(".row .label", "dagger up");
    await page.shows(".state.s-done");
    for (const text of ["connect", "solve", "moby.buildkit.v1.Control/Solve", "RUN tr a-z A-Z"]) await page.shows(".row .label", text);
    await page.shows(".services .chip", "buildkitd");
    await page.key("/");
    await page.type("is:missing");
    await page.shows(".search .count", "none");
    await page.open(`${pathToFileURL(file).href}#/?q=${encodeURIComponent('is:step "echo built"')}`);
    await page.shows(".search .count", "/ ");
    await page.eval("document.activeElement.blur()");
    await page.key("n");
    await page.key("o");
    await page.shows(".row.line code", "built page");
    await page.key("c");
    await page.shows(".path");
    assert.deepEqual(page.requests.filter((url) => !url.startsWith("file:") && !url.startsWith("data:")), []);
  },

  async hostile_names_run_nothing(page, site, folder) {
    for (const address of [`${site.url}#/run/${HOSTILE}`, pathToFileURL(join(folder, "runs/a5.html")).href]) {
      await page.open("about:blank");
      await page.open(address);
      await page.shows(".row .label", "<img src=x onerror");
      await page.shows(".row.line code", "<script>window.hit=1</script>");
      for (const view of ["2", "3", "4", "5", "1"]) {
        await page.key(view);
        await page.shows(view === "1" ? ".rows .row" : "section.scroll");
      }
      for (const text of ["<script>", "javascript:", "constructor"]) {
        await page.click(".row .label", text);
        await page.shows(".detail h2", text);
      }
      await new Promise((go) => setTimeout(go, 150));
      assert.equal(await page.eval("window.hit"), undefined);
      assert.equal(await page.eval("document.querySelectorAll('#app img, #app script, #app iframe, #app a[href^=javascript]').length"), 0);
    }
    await open(page, site, `#/compare/${HOSTILE}/${FAILED}`, ".compare");
    await open(page, site, "", "tr[data-trace]");
    await page.shows(".runs th", "<img src=x onerror");
    assert.equal(await page.eval("window.hit"), undefined);
    assert.equal(await page.eval("document.querySelectorAll('#app img, #app script, #app b[href]').length"), 0);
    // And were markup made of it, the policy would still not let it run.
    await page.eval("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=2\">')");
    await new Promise((go) => setTimeout(go, 150));
    assert.equal(await page.eval("window.hit"), undefined);
    page.complaints = page.complaints.filter((text) => !/Content Security Policy|404/.test(text));
  },

  async fifty_thousand_spans_open(page, site) {
    await open(page, site, "", "tr[data-trace]");
    const opened = await page.eval(async (address) => {
      const from = performance.now();
      location.hash = address;
      await new Promise((done) => {
        const look = () => (document.querySelector(".rows .row") ? requestAnimationFrame(() => setTimeout(done)) : requestAnimationFrame(look));
        look();
      });
      return performance.now() - from;
    }, `#/run/${BIG}`);
    assert.equal(await page.eval("document.querySelector('.rows').getAttribute('aria-rowcount')"), "50000");
    assert.ok((await rows(page)) < 100, "rows out of sight are not in the document");
    const scroll = await page.eval(async () => {
      const body = document.querySelector(".rows"), frames = [];
      let last = performance.now();
      const until = last + 1_500;
      while (last < until) {
        body.scrollTop += 900;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
      }
      frames.sort((a, b) => a - b);
      return { rate: 1_000 / (frames.reduce((sum, one) => sum + one) / frames.length), p95: frames[Math.floor(frames.length * 0.95)] };
    });
    const search = await page.eval(async () => {
      const input = document.querySelector(".search input"), from = performance.now();
      input.value = "part-49";
      input.dispatchEvent(new Event("input"));
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - from;
    });
    await page.key("End");
    await page.shows(".row.chosen");
    console.log(`50,000 spans: open ${opened.toFixed(0)} ms, scroll ${scroll.rate.toFixed(0)} frames/s (95th percentile ${scroll.p95.toFixed(1)} ms), search ${search.toFixed(0)} ms`);
  },
};

Object.assign(scenarios, looks, served);
const [name, folder, ...more] = process.argv.slice(2);
assert.ok(Object.hasOwn(scenarios, name), `there is no scenario ${name}`);
// Docker's own tests make bridges meanwhile, and Chromium gives up all connections when they come.
const TRIES = 4;
let failure = null;
for (let left = TRIES; left > 0; left--) {
  failure = await run();
  if (!failure || !String(failure.stack).includes("ERR_NETWORK_CHANGED")) break;
}
if (failure) console.error(failure.stack ?? failure);
process.exit(failure ? 1 : 0);

async function run() {
  const site = await serve(folder);
  const browser = await Browser.start();
  let page = null;
  try {
    page = await browser.page();
    await scenarios[name](page, site, folder, ...more);
    assert.deepEqual(page.complaints, []);
    return null;
  } catch (error) {
    if (page?.complaints.length) error.stack += `\n${page.complaints.join("\n")}`;
    return error;
  } finally {
    if (page && process.env.PICTURES) await page.picture(join(process.env.PICTURES, `${name}.png`)).catch(() => {});
    browser.stop();
    site.stop();
  }
}
