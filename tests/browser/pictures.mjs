// The documentation's pictures of the page: node pictures.mjs FOLDER docs/images
// FOLDER is what tests/e2e/page.rs has written.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Browser } from "./chromium.mjs";
import { serve } from "./site.mjs";

const id = (short) => short + "7be1c04d92f36e8a5b1d7c2e9f0a43";
const PICTURES = {
  "runs.png": { at: "#/", ready: "tr[data-trace]", height: 330 },
  "run.png": { at: `#/run/${id("a1")}?span=0000000000000023`, ready: ".row.chosen", height: 900 },
  "run-dark.png": { at: `#/run/${id("a1")}?span=0000000000000023`, ready: ".row.chosen", height: 900, dark: true },
  "missing.png": { at: `#/run/${id("a4")}?view=findings`, ready: ".finding", height: 520 },
  "table.png": { at: `#/run/${id("a3")}?view=table`, ready: "table.groups", height: 560 },
  "flame.png": { at: `#/run/${id("a3")}?view=flame`, ready: ".fbox", height: 420 },
  "compare.png": { at: `#/compare/${id("a2")}/${id("a3")}`, ready: ".compare tbody tr", height: 420 },
};

const [folder, out] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
for (const [name, what] of Object.entries(PICTURES)) {
  // Another try if Chromium gave up its connections, as it does when the machine gets a new network.
  await picture(name, what).catch(() => picture(name, what));
  console.log(name);
}
process.exit(0);

async function picture(name, { at, ready, height, dark }) {
  const site = await serve(folder);
  const browser = await Browser.start();
  try {
    const page = await browser.page(1360, height);
    await page.dark(Boolean(dark));
    await page.open(site.url + at);
    await page.shows(ready);
    await new Promise((go) => setTimeout(go, 250));
    await page.picture(join(out, name));
  } finally {
    browser.stop();
    site.stop();
  }
}
