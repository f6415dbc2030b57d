// The documentation's pictures of the page: node pictures.mjs FOLDER docs/images
// FOLDER is what tests/e2e/page.rs has written.
import { join } from "node:path";
import { Browser } from "./chromium.mjs";
import { serve } from "./site.mjs";

const id = (short) => short + "7be1c04d92f36e8a5b1d7c2e9f0a43";
const PICTURES = {
  "runs.png": { at: "#/", ready: "tr[data-trace]", height: 330 },
  "run.png": { at: `#/run/${id("a1")}?span=000000000000001f&path=1`, ready: ".row.chosen", height: 900 },
  "run-dark.png": { at: `#/run/${id("a1")}?span=000000000000001f&path=1`, ready: ".row.chosen", height: 900, dark: true },
  "missing.png": { at: `#/run/${id("a4")}?view=findings`, ready: ".finding", height: 520 },
  "table.png": { at: `#/run/${id("a3")}?view=table`, ready: "table.groups", height: 560 },
  "flame.png": { at: `#/run/${id("a3")}?view=flame`, ready: ".fbox", height: 420 },
  "compare.png": { at: `#/compare/${id("a2")}/${id("a3")}`, ready: ".compare tbody tr", height: 420 },
};

const [folder, out] = process.argv.slice(2);
const site = await serve(folder);
const browser = await Browser.start();
try {
  for (const [name, { at, ready, height, dark }] of Object.entries(PICTURES)) {
    const page = await browser.page(1360, height);
    await page.dark(Boolean(dark));
    await page.open(site.url + at);
    await page.shows(ready);
    await new Promise((go) => setTimeout(go, 250));
    await page.picture(join(out, name));
    console.log(name);
  }
} finally {
  browser.stop();
  site.stop();
}
process.exit(0);
