// The documentation's pictures of the page: node pictures.mjs FOLDER OUT URL TRACE [NAME...]
// FOLDER is what tests/e2e/page.rs has written; URL is a `dagger trace serve` with real runs, one of them
// under way, and TRACE a run of examples/monorepo in it. `docs/images/make` brings them up.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Browser } from "./chromium.mjs";
import { withPalette } from "./palette.mjs";
import { serve } from "./site.mjs";

const [folder, out, url, trace, ...only] = process.argv.slice(2);
const id = (short) => short + "7be1c04d92f36e8a5b1d7c2e9f0a43";
const PICTURES = {
  runs: { real: "#/", ready: "tr.s-running", height: 420 },
  run: { at: `#/run/${id("a1")}?span=0000000000000023`, ready: ".row.chosen", height: 860 },
  waterfall: { real: `#/run/${trace}?path=1`, ready: ".path", height: 720 },
  plan: { real: `#/run/${trace}?view=plan`, ready: ".node", height: 500 },
  output: { at: `#/run/${id("a1")}?view=output&q=cargo`, ready: ".log-step", height: 560 },
  missing: { at: `#/run/${id("a4")}?view=findings`, ready: ".finding", height: 520 },
  table: { at: `#/run/${id("a3")}?view=table`, ready: "table.groups", height: 560 },
  flame: { at: `#/run/${id("a3")}?view=flame`, ready: ".fbox", height: 420 },
  compare: { at: `#/compare/${id("a2")}/${id("a3")}`, ready: ".compare tbody tr", height: 420 },
};

mkdirSync(out, { recursive: true });
const wanted = Object.entries(PICTURES).filter(([name, what]) => (only.length ? only.includes(name) : url || !what.real));
for (const [name, what] of wanted) {
  for (const dark of [false, true]) {
    const file = join(out, `${name}${dark ? "-dark" : ""}.png`);
    // Another try if Chromium gave up its connections, as it does when the machine gets a new network.
    await picture(file, what, dark).catch(() => picture(file, what, dark));
    const whole = readFileSync(file), small = withPalette(whole);
    writeFileSync(file, small);
    console.log(`${file} ${small.length} bytes (of ${whole.length})`);
  }
}
process.exit(0);

async function picture(file, { at, real, ready, height }, dark) {
  const site = await serve(folder);
  const browser = await Browser.start();
  try {
    const page = await browser.page(1280, height);
    await page.dark(dark);
    await page.open(real === undefined ? site.url + at : `${url}/${real}`);
    await page.shows(ready);
    await new Promise((go) => setTimeout(go, 300));
    await page.picture(file);
  } finally {
    browser.stop();
    site.stop();
  }
}
