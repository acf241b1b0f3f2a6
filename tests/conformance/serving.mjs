// What the drivers share: the proxy in a folder of its own with one tenant `test`, and a browser
// without scripts.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

/** A port that nobody listens at. */
export async function port() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts the program with a configuration; gives its URL, the key of `test`, and what ends it. */
export async function serve(program, config, more = {}) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'conformance-'));
  const key = crypto.randomBytes(32).toString('hex');
  const file = path.join(folder, 'mcp-proxy.toml');
  fs.writeFileSync(file, `${config}[tenants.test]\nkeys = [{ name = "test", env = "TEST_KEY", role = "admin" }]\n`
    + (more.SECRET ? 'secrets = { up = { private = { env = "SECRET" } } }\n' : ''));
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TEST_KEY: key, ...more };
  const child = spawn(program, ['serve', '--config', file], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => child.once('close', done));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    fs.rmSync(folder, { recursive: true });
  };
  const ready = new Promise((done) => {
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        process.stderr.write(bytes);
        log += bytes;
        const found = /listening.*?(http:\/\/[\d.:]+)/i.exec(log);
        if (found) done(found[1]);
      });
    }
  });
  const url = await Promise.race([ready, ended]);
  assert.equal(typeof url, 'string', 'the proxy ended at once');
  return { url, key, stop };
}

/** The same with a `public_url`, which needs a port that is known before; another process may take it first. */
export async function servePublic(program, rest, more) {
  for (let tries = 1; ; tries += 1) {
    const address = `127.0.0.1:${await port()}`;
    try {
      return await serve(program, `[server]\nlisten = "${address}"\npublic_url = "http://${address}"\n${rest}`, more);
    } catch (error) {
      if (tries === 3) throw error;
    }
  }
}

/** Opens pages and sends their forms. */
export class Browser {
  #cookies = new Map();

  async open(url, form) {
    const headers = { Cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    const answer = await fetch(url, { method: form ? 'POST' : 'GET', headers, redirect: 'manual',
      body: form && new URLSearchParams(form) });
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      this.#cookies.set(name, value);
    }
    return { url, answer, text: await answer.text() };
  }

  /** The form of a page with its hidden fields and these. */
  press(page, fields, url = page.url) {
    const hidden = [...page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)];
    return this.open(url, { ...Object.fromEntries(hidden.map(([, name, value]) => [name, value])), ...fields });
  }
}
