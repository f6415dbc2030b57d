// Scenarios of how the page looks: contrast, narrow windows, what is in sight first.
import assert from "node:assert/strict";

const id = (short) => short + "7be1c04d92f36e8a5b1d7c2e9f0a43";
const FAILED = id("a1"), GOOD = id("a2"), SLOW = id("a3"), BROKEN = id("a4");
const VIEWS = [["#/", "tr[data-trace]"], [`#/run/${FAILED}?span=0000000000000023`, ".row.chosen"], [`#/run/${FAILED}?q=cargo`, ".row.hit"],
  [`#/run/${GOOD}?view=table`, "table.groups"], [`#/run/${GOOD}?view=flame`, ".fbox"], [`#/run/${GOOD}?view=plan&span=0000000000000009`, ".node"],
  [`#/run/${FAILED}?view=output`, ".log-step"], [`#/run/${BROKEN}?view=findings`, ".finding"], [`#/compare/${GOOD}/${SLOW}`, ".compare tbody tr"]];
const go = async (page, site, address, ready) => {
  await page.open("about:blank");
  await page.open(site.url + address);
  await page.shows(ready);
};

export const looks = {
  // WCAG 2.2, 1.4.3: 4.5 to 1, also in the dark. What is pushed back on purpose (spans that do not match a
  // search, a button that cannot be pressed) is apart.
  async text_can_be_read_in_light_and_dark(page, site) {
    let seen = 0;
    for (const dark of [false, true]) {
      await page.dark(dark);
      for (const [address, ready] of VIEWS) {
        await go(page, site, address, ready);
        const { faint, count } = await page.eval(contrasts);
        seen += count;
        assert.deepEqual(faint, [], `${address} ${dark ? "dark" : "light"}`);
      }
    }
    assert.ok(seen > 1_000, `${seen}`);
  },

  async narrow_windows_show_all_of_it(page, site) {
    for (const width of [1_000, 640, 390]) {
      await page.call("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: false });
      for (const [address, ready] of VIEWS) {
        await go(page, site, address, ready);
        // What is wider has a bar of its own; the page has none.
        const wide = await page.eval("document.documentElement.scrollWidth - innerWidth");
        assert.ok(wide <= 0, `${address} at ${width}: ${wide} too wide`);
        assert.ok(await page.eval("[...document.querySelectorAll('.tabs button, .tools input, .tools .chip:not([hidden])')].every((one) => { const box = one.getBoundingClientRect(); return !box.width || (box.left >= 0 && box.right <= innerWidth); })"), `${address} at ${width}`);
      }
    }
    // The lines behind the rows stand where the axis says.
    await go(page, site, `#/run/${FAILED}?span=0000000000000023`, ".grid i");
    const off = await page.eval("(() => { const left = (one) => one.getBoundingClientRect().left; const lines = [...document.querySelectorAll('.grid i')].map(left); return [...document.querySelectorAll('.tick')].map((tick) => Math.min(...lines.map((line) => Math.abs(line - left(tick))))); })()");
    assert.ok(off.length > 0 && Math.max(...off) < 1.5, JSON.stringify(off));
  },

  async failed_build_opens_at_its_failure(page, site) {
    await page.call("Emulation.setDeviceMetricsOverride", { width: 1_200, height: 500, deviceScaleFactor: 1, mobile: false });
    await go(page, site, `#/run/${FAILED}`, ".row.s-failed .label");
    const inSight = "(() => { const label = [...document.querySelectorAll('.row.s-failed .label')].find((one) => one.textContent.includes('make test')); const box = label?.getBoundingClientRect(), body = document.querySelector('.rows').getBoundingClientRect(); return box && box.top >= body.top && box.bottom <= body.bottom; })()";
    await page.until(inSight);
    await page.key("Home");
    await page.until(`!${inSight}`);
    await page.key("e");
    await page.until(inSight);
    await page.shows(".row.chosen", "make test");
    await page.key("5");
    await page.shows(".log-step.s-failed h3", "make test");
    await page.shows(".log-line", "test result: FAILED. 213 passed");
    await page.click(".detail .link", "show it in the waterfall");
    await page.shows(".row.chosen", "make test");
  },

  async search_can_hide_what_does_not_match(page, site) {
    await go(page, site, `#/run/${GOOD}`, ".rows .row");
    const all = await page.eval("document.querySelector('.rows').getAttribute('aria-rowcount')");
    await page.key("/");
    await page.type("clippy");
    await page.click(".tools .chip", "only matches");
    await page.until((all) => Number(document.querySelector(".rows").getAttribute("aria-rowcount")) < Number(all) / 3, all);
    await page.shows(".row .label", "action lint");
    await page.shows(".row.hit .label", "cargo clippy");
    const link = await page.eval("location.hash");
    assert.match(link, /only=1/);
    await go(page, site, link, ".row.hit .label");
    assert.equal(await page.eval("[...document.querySelectorAll('.row .label')].some((one) => one.textContent.includes('cargo fetch'))"), false);
  },

  async comparison_tells_kinds_of_change_apart(page, site) {
    await go(page, site, `#/compare/${GOOD}/${SLOW}`, ".compare tbody tr");
    await page.click(".chip", "cached → done");
    await page.until("[...document.querySelectorAll('.compare tbody tr')].every((row) => row.textContent.includes('cached → done'))");
    assert.match(await page.eval("location.hash"), /kind=/);
    await page.click(".chip", "cached → done");
    await page.shows(".compare tbody tr", "cargo build");
    await page.key("/");
    await page.type("nothing has this name");
    await page.shows(".empty", "Nothing changed");
  },
};

// The texts whose contrast is too low: run in the page.
function contrasts() {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      known.set(colour, [r, g, b, a / 255]);
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    if (!element) return rgba(getComputedStyle(document.body).backgroundColor);
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, ground(element.parentElement));
  };
  const faint = [];
  let count = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.getClientRects().length || element.closest(".dim, :disabled, noscript, script, style")) continue;
    count++;
    const behind = ground(element), [a, b] = [light(over(rgba(getComputedStyle(element).color), behind)), light(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${element.className || element.tagName} "${walk.currentNode.textContent.trim().slice(0, 40)}"`);
  }
  return { faint: [...new Set(faint)], count };
}
