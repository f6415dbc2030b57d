// Scenarios on a real `dagger trace serve`: its address comes behind the folder.
import assert from "node:assert/strict";

// The test starts the build when it reads this.
const ready = () => console.log("ready");
const rows = "document.querySelectorAll('.rows .row').length";

export const served = {
  async build_is_seen_from_its_start_to_its_end(page, _site, _folder, url) {
    await page.open(`${url}/`);
    await page.shows(".empty", "No run yet");
    await page.shows(".live:not(.off)");
    ready();
    await page.shows("tr.s-running th", "dagger up");
    await page.shows("tr.s-running .took-cell", "so far");
    await page.click("tr.s-running a");
    await page.shows(".state.s-running");
    // What is under way has its name, and gets longer without being asked for.
    await page.shows(".row.s-running .label", "action third");
    await page.shows(".row.s-running .took", "so far");
    const width = "document.querySelector('.row.s-running .took').textContent";
    const said = await page.eval(width);
    await page.until((said) => document.querySelector(".row.s-running .took")?.textContent !== said, said);
    const before = await page.eval(rows);
    await page.shows(".state.s-done");
    await page.until("!document.querySelector('.row.s-running')");
    await page.until((before) => document.querySelectorAll(".rows .row").length > before, before);
    await page.shows(".facts", "exit code");
    await page.click(".brand");
    await page.shows("tr.s-done th", "dagger up");
  },

  async plan_is_a_graph_with_its_times(page, _site, _folder, url, trace) {
    // The address that `dagger up` prints.
    await page.open(`${url}/run/${trace}`);
    await page.shows(".state.s-done");
    await page.shows(".fact", "engine");
    await page.click(".tabs button", "Plan");
    await page.shows(".plan-head", "10 actions");
    const at = "[...document.querySelectorAll('.node')].map((node) => [node.dataset.action, node.offsetLeft])";
    const left = Object.fromEntries(await page.eval(at));
    assert.equal(Object.keys(left).length, 10);
    for (const [need, by] of [["base", "lib"], ["lib", "api"], ["api", "release"], ["worker", "worker-check"]]) assert.ok(left[need] < left[by], `${need} ${by}`);
    // Darker is longer, and the number says so, too.
    const heat = await page.eval("[...document.querySelectorAll('.node')].map((node) => Number(node.style.getPropertyValue('--share')))");
    assert.equal(Math.max(...heat), 1);
    assert.ok(await page.eval("document.querySelectorAll('.edge.held').length > 0 && document.querySelector('.node.held b').textContent.length > 0"));
    assert.ok(await page.eval("(() => { const boxes = [...document.querySelectorAll('.node')].map((node) => node.getBoundingClientRect()); return boxes.every((a, i) => boxes.every((b, j) => i === j || a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top)); })()"), "no two are on one spot");
    await page.click(".node", "lib-test");
    await page.shows(".detail h2", "action lib-test");
    assert.match(await page.eval("location.hash"), /view=plan.*span=|span=.*view=plan/);
    await page.eval("location.reload()");
    await page.shows(".node[aria-pressed=true]", "lib-test");
    await page.shows(".detail .pairs", "dagger.yaml:16:3");
  },

  async run_is_compared_with_the_one_before(page, _site, _folder, url, trace, before, steps) {
    await page.open(`${url}/#/run/${trace}`);
    await page.click(".links .link", "compare with the run before");
    await page.shows(".versus");
    assert.equal(await page.eval("location.hash"), `#/compare/${before}/${trace}`);
    await page.shows(".compare tbody tr", "done → cached");
    await page.open(`${url}/#/run/${before}`);
    await page.click(".links .link", "compare with the run before");
    await page.shows(".links", "there is no run before it");
    await page.open(`${url}/`);
    await page.shows("tr[data-trace]");
    assert.equal(await page.eval("document.querySelectorAll('tr[data-trace]').length"), 2);
    // Steps as `dagger up` counts them, arguments without the command.
    await page.shows(`tr[data-trace="${trace}"] .args`, "release=2");
    await page.shows(`tr[data-trace="${trace}"] .steps`, `/${steps}`);
    await page.click("tr[data-trace] .dir .link");
    await page.shows("[role=status]", "2 runs");
    assert.match(await page.eval("location.hash"), /q=/);
  },
};
