'use strict';

/* The examples of both READMEs, run as they are written. */

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const vm = require('node:vm');
const library = require('..');
const { url, miniProgram, openid } = require('./support.js');

/** The JavaScript of a README, with the tests' gateway in place of the example's. */
function blocks(file) {
  const text = fs.readFileSync(path.join(__dirname, file), 'utf8');
  return text.split('```js\n').slice(1).map((rest) => rest.split('```')[0].replaceAll('https://api.example.com', url));
}

/** The globals of a mini program, and `until`: waits until `seen` has this many values. */
function surroundings(wx, more) {
  const seen = [];
  let enough;
  const until = (count) => new Promise((resolve) => {
    enough = () => (seen.length >= count ? resolve(seen) : undefined);
    enough();
  });
  const see = (value) => {
    seen.push(value);
    if (enough) enough();
  };
  // The library finds wx as a mini program's code does.
  global.wx = wx;
  const context = vm.createContext({ require: () => library, ...more(see) });
  return { run: (code) => vm.runInContext(code, context), until };
}

test("the project's README shows code that works", async () => {
  const { wx, user } = miniProgram();
  const [code, ...others] = blocks('../../../README.md');
  assert.deepEqual(others, []);
  const { run, until } = surroundings(wx, (see) => ({ show: see }));

  run(code);
  const seen = await until(2);

  const told = Object.fromEntries(seen.map((data) => [data.url, data.headers['x-openid']]));
  assert.deepEqual(told, { '/orders/7': await openid(user), '/news': undefined });
});

test("the library's README shows code that works", async () => {
  const { wx, user } = miniProgram();
  const [app, page, ...others] = blocks('../README.md');
  assert.deepEqual(others, []);
  const filePath = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'page-')), 'photo');
  fs.writeFileSync(filePath, 'the photo');
  let made;
  const { run, until } = surroundings(wx, (see) => ({
    App: (given) => { made = given; },
    getApp: () => made,
    show: ({ data }) => see({ message: JSON.parse(data) }),
    filePath,
    see,
  }));

  run(app);
  run(`(function () { ${page} }).call({ setData: see });`);
  const seen = Object.assign({}, ...await until(4));

  wx.sockets.forEach((socket) => socket.close());
  assert.equal(seen.order.headers['x-openid'], await openid(user));
  assert.equal(seen.news.url, '/news');
  assert.equal(seen.progress, 100);
  assert.equal(seen.message.openid, await openid(user));
  assert.equal(wx.logins, 1);
});

test('the package holds the library, its declarations, README and LICENSE', () => {
  const folder = path.join(__dirname, '..');
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));

  assert.equal(manifest.dependencies, undefined);
  [manifest.main, manifest.types, ...manifest.files, 'LICENSE', 'README.md'].forEach((file) => {
    assert.ok(fs.existsSync(path.join(folder, file)), file);
  });
  assert.equal(
    fs.readFileSync(path.join(folder, 'LICENSE'), 'utf8'),
    fs.readFileSync(path.join(folder, '../../LICENSE'), 'utf8'),
  );
});

test('the declarations list the members of a client', () => {
  const text = fs.readFileSync(path.join(__dirname, '../index.d.ts'), 'utf8');
  const body = (name) => text.split(`interface ${name} {`)[1].split('\n}')[0];
  const members = (name) => [...body(name).matchAll(/^ {2}(\w+)\??[(<:]/gm)].map(([, member]) => member);
  const { client } = miniProgram();
  const styles = /type Style = (.*);/.exec(text)[1].match(/\w+/g);

  assert.deepEqual(members('Client').sort(), Object.keys(client).sort());
  styles.forEach((style) => miniProgram({ style }));
  assert.throws(() => miniProgram({ style: 'none' }), new RegExp(styles.join(', ')));
});
