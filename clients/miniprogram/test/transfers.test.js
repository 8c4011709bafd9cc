'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { createClient } = require('..');
const { url, miniProgram, end, rejection, openid } = require('./support.js');

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'upload-')), 'photo.txt');
fs.writeFileSync(file, 'the photo');

const upload = { url: '/photos', filePath: file, name: 'photo', formData: { album: 'tea' } };

/** The first message of a socket. */
const message = (socket) => new Promise((resolve) => socket.onMessage(({ data }) => resolve(JSON.parse(data))));

test('an upload carries the skey, and logs in first', async () => {
  const { client, user, wx } = miniProgram();

  const answer = await client.uploadFile(upload);

  const told = JSON.parse(answer.data);
  assert.equal(told.headers['x-openid'], await openid(user));
  assert.match(told.body, /the photo/);
  assert.match(told.body, /album/);
  assert.equal(wx.logins, 1);
});

test('an upload and a download with a dead skey are sent again after one login', async () => {
  const { client, user, wx, skey } = miniProgram();
  await client.login();
  await end(skey());

  const [sent, received] = await Promise.all([client.uploadFile(upload), client.downloadFile({ url: '/report' })]);

  const told = JSON.parse(fs.readFileSync(received.tempFilePath));
  assert.equal(JSON.parse(sent.data).headers['x-openid'], await openid(user));
  assert.equal(told.headers['x-openid'], await openid(user));
  assert.equal(told.url, '/report');
  assert.equal(wx.logins, 2);
});

test("a download that the service answers with its own 401 is not repeated", async () => {
  const { client, sentTo } = miniProgram();

  const answer = await client.downloadFile({ url: '/says/401' });

  assert.equal(answer.statusCode, 401);
  assert.equal(sentTo('/says/401').length, 1);
});

test('a download that the gateway refuses is an error, though wx calls it a success', async () => {
  const { client } = miniProgram();

  const error = await rejection(client.downloadFile({ url: '/a/..%2fb' }));

  assert.deepEqual([error.code, error.statusCode], ['ambiguous_path', 400]);
});

test('an old base library without headers of uploads logs in on 401', async () => {
  const { client, user, wx, skey } = miniProgram();
  const { uploadFile } = wx;
  wx.uploadFile = (options) => ({ abort: uploadFile(options).abort });
  await client.login();
  await end(skey());

  const answer = await client.uploadFile(upload);

  assert.equal(JSON.parse(answer.data).headers['x-openid'], await openid(user));
  assert.equal(wx.logins, 2);
});

test('a socket carries the skey, and is given when it is open', async () => {
  const { client, user, wx } = miniProgram();

  const socket = await client.connectSocket({ url: '/live?room=7' });

  assert.deepEqual(await message(socket), { url: '/live?room=7', openid: await openid(user) });
  assert.equal(wx.sent.at(-1).url, `${url.replace('http', 'ws')}/live?room=7`);
  socket.close();
});

test('a socket with a dead skey is opened again after a login', async () => {
  const { client, user, wx, skey } = miniProgram();
  await client.login();
  await end(skey());

  const socket = await client.connectSocket({ url: `${url.replace('http', 'ws')}/live` });

  assert.equal((await message(socket)).openid, await openid(user));
  assert.equal(wx.logins, 2);
  socket.close();
});

test('a socket that is refused for another reason costs no login', async () => {
  const { client, wx, sentTo } = miniProgram();

  const error = await rejection(client.connectSocket({ url: '/deaf/live' }));

  assert.equal(error.code, 'network');
  assert.equal(wx.logins, 1);
  assert.equal(sentTo('/deaf/live').length, 1);
});

test('a socket on an optional page is opened without an skey', async () => {
  const { client, wx } = miniProgram();

  const socket = await client.connectSocket({ url: '/public/live', auth: 'optional' });

  assert.equal((await message(socket)).openid, undefined);
  assert.equal(wx.logins, 0);
  socket.close();
});

test('the skey is in a header of requests to the gateway, and in no URL', async () => {
  const { client, wx, skey } = miniProgram();
  await client.request({ url: '/a', data: { page: 1 } });
  await client.uploadFile(upload);
  await client.downloadFile({ url: '/a' });
  (await client.connectSocket({ url: '/live' })).close();
  await client.me();
  const before = skey();
  await client.logout();

  assert.deepEqual(wx.sent.map((request) => request.api), [
    'request', 'request', 'uploadFile', 'downloadFile', 'connectSocket', 'request', 'request',
  ]);
  assert.equal(wx.sent[0].header.skey, undefined);
  wx.sent.slice(1).forEach((request) => assert.equal(request.header.skey, before));
  wx.sent.forEach((request) => assert.ok(!request.url.includes(before), request.url));
});

test('the skey goes to the gateway alone, however the URL is written', async () => {
  const { client, wx } = miniProgram();
  await client.login();
  const host = url.replace('http://', '');
  const urls = [
    'https://example.com/', `${url}.example.com/`, `${url}@example.com/`, `${url}0/`, `${url}\\@example.com`, 'orders',
    '.example.com/', '@example.com/', '', undefined, null, `ftp://${host}/`, `https://${host}/`, ` ${url}/`,
  ];

  const errors = [];
  for (const wanted of urls) {
    errors.push(await rejection(client.request({ url: wanted })));
    errors.push(await rejection(client.connectSocket({ url: wanted })));
  }

  assert.deepEqual(errors.map((error) => error.code), Array(urls.length * 2).fill('usage'));
  assert.equal(wx.sent.length, 1);
});

test("the caller's headers are sent, except an skey", async () => {
  const { client, wx, skey } = miniProgram();
  const header = { 'X-Page': 'orders', SKEY: 'old' };

  const answer = await client.request({ url: '/a', header });

  assert.equal(answer.data.headers['x-page'], 'orders');
  assert.deepEqual(wx.sent[1].header, { 'content-type': 'application/json', 'X-Page': 'orders', skey: skey() });
  assert.deepEqual(header, { 'X-Page': 'orders', SKEY: 'old' });
});

test('abort ends a request in flight', async () => {
  const { client } = miniProgram();
  await client.login();

  const request = client.request({ url: '/slow' });
  setImmediate(() => request.abort());
  const error = await rejection(request);

  assert.deepEqual([error.code, error.errMsg], ['aborted', 'request:fail abort']);
  await client.request({ url: '/release' });
});

test('abort ends the wait for a login, and not the login of the others', async () => {
  const { client, wx, sentTo } = miniProgram();

  const [given, waiting] = [client.request({ url: '/given-up' }), client.request({ url: '/a' })];
  given.abort();
  const error = await rejection(given);
  const answer = await waiting;

  assert.equal(error.code, 'aborted');
  assert.equal(answer.statusCode, 200);
  assert.equal(wx.logins, 1);
  assert.deepEqual(sentTo('/given-up'), []);
});

test('listeners hear the final attempt, not the refused one', async () => {
  const { client, skey } = miniProgram();
  await client.login();
  await end(skey());

  const heard = [];
  const task = client.uploadFile(upload);
  task.onHeadersReceived(({ header }) => heard.push(header['X-Gateway-Error']));
  task.onProgressUpdate(({ progress }) => heard.push(progress));
  await task;

  assert.deepEqual(heard, [undefined, 100]);
});

test('callbacks are called as those of wx', async () => {
  const { client } = miniProgram();
  const called = [];
  const options = {
    success: (answer) => called.push(`success ${answer.statusCode}`),
    fail: (error) => called.push(`fail ${error.code}`),
    complete: (outcome) => called.push(`complete ${outcome.errMsg}`),
  };

  await client.request({ url: '/a', ...options });
  await rejection(client.request({ url: '/a/..%2fb', ...options }));

  assert.deepEqual(called, [
    'success 200', 'complete request:ok', 'fail ambiguous_path', 'complete the gateway refused: ambiguous_path',
  ]);
});

test('a mistake in the options is an error at once', () => {
  const { wx } = miniProgram();
  const urls = [undefined, '', 'api.example.com', 'https://', 'https://a@b', 'https://a?b', 'ws://a', 'https://a\\b', 'https://a b'];

  for (const baseUrl of urls) {
    assert.throws(() => createClient({ baseUrl, wx }), /baseUrl is a URL such as/, baseUrl);
  }
  assert.throws(() => createClient({ baseUrl: url, wx, style: 'plane' }), /style is one of plain, /);
  assert.throws(() => createClient({ baseUrl: url }), /wx is not defined/);
});
