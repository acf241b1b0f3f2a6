// A person at a browser: opens the URL that a client asks for, types the key, allows, and prints where
// the answer went (of an app's own scheme: where it would go). With SHOTS it takes pictures of each
// page: light and dark, 360 and 1280 px wide.
//   browser.mjs URL      BROWSER_KEY is what is typed
import { createServer } from 'node:http';
import { readdirSync } from 'node:fs';
import chromiumBinary from '@sparticuz/chromium';
import { chromium } from 'playwright-core';

const url = process.argv[2];
const callback = new URL(new URL(url).searchParams.get('redirect_uri'));
const served = callback.protocol === 'http:';
let heard;
const answer = new Promise((resolve) => { heard = resolve; });
const server = createServer((request, response) => {
  if (!request.url.startsWith('/callback')) return void response.writeHead(404).end();
  response.end('done');
  heard(new URL(request.url, callback).href);
});
if (served) server.listen(Number(callback.port), callback.hostname);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? await chromiumBinary.executablePath(),
  args: ['--no-sandbox', '--headless=shell', '--disable-gpu'],
});
const page = await (await browser.newContext()).newPage();
const refused = [];
page.on('console', (message) => { if (message.type() === 'error') refused.push(message.text()); });
const shots = process.env.SHOTS;
const wanted = shots !== undefined && !readdirSync(shots).some((name) => name.startsWith('consent-'));
async function shoot(name) {
  if (!wanted) return;
  for (const scheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path: `${shots}/${name}-${scheme}-${width}.png`, fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      if (wide) throw new Error(`${name} is wider than ${width} px`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
}
try {
  await page.goto(url);
  await shoot('sign-in');
  // By keyboard alone: the field has the focus, Enter sends it.
  await page.keyboard.type('wrong-key-of-nobody');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#key-problem');
  await shoot('wrong-key');
  await page.keyboard.type(process.env.BROWSER_KEY);
  await page.keyboard.press('Enter');
  await page.waitForSelector('button[value=allow]');
  await shoot('consent');
  await page.keyboard.press('Tab');
  if (wanted) {
    await page.click('summary');
    await shoot('consent-with-tools');
  }
  if (wanted) {
    // The way back is held up, so that the page before it is seen, and gone by its link afterwards.
    await page.route((to) => to.origin === callback.origin, (route) => route.fulfill({ status: 204 }));
  }
  await page.focus('button[value=allow]');
  await page.keyboard.press('Enter');
  if (wanted || !served) await page.waitForSelector('a.main');
  if (wanted) {
    await shoot('allowed');
    await page.unrouteAll();
    if (served) await page.click('a.main');
  }
  console.log(!served ? await page.getAttribute('a.main', 'href') : await Promise.race([answer,
    new Promise((_, reject) => { setTimeout(() => reject(new Error(`no answer came: ${refused}`)), 20_000).unref(); })]));
} finally {
  await browser.close();
  if (served) server.close();
}
