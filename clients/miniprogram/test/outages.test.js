'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { miniProgram, redis, rejection, openid, fault, end } = require('./support.js');

/** Freezes Redis until the end of the test; the returned function resumes it. */
async function withoutRedis(t) {
  const [, pid] = /process_id:(\d+)/.exec(await redis('INFO server'));
  const resume = () => process.kill(Number(pid), 'SIGCONT');
  t.after(resume);
  process.kill(Number(pid), 'SIGSTOP');
  return resume;
}

/** Repeats a request until the gateway is back. */
async function eventually(request) {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (error.statusCode !== 503) {
        throw error;
      }
    }
  }
}

test('an unavailable store ends no session', async (t) => {
  const { client, wx, skey } = miniProgram();
  await client.request({ url: '/a' });
  const before = skey();
  const resume = await withoutRedis(t);

  const errors = await Promise.all(Array.from({ length: 12 }, () => rejection(client.request({ url: '/a' }))));

  assert.deepEqual(errors.map((error) => error.code), Array(12).fill('store_unavailable'));
  assert.deepEqual([errors[0].statusCode, errors[0].retryAfter], [503, 1]);
  assert.equal(wx.logins, 1);
  assert.equal(skey(), before);
  resume();
  const answer = await eventually(() => client.request({ url: '/a' }));
  assert.equal(answer.statusCode, 200);
  assert.equal(wx.logins, 1);
  assert.equal(skey(), before);
});

test('a refused upload and a refused socket cause no login while the store is unavailable', async (t) => {
  const { client, wx, skey } = miniProgram();
  await client.login();
  const before = skey();
  const resume = await withoutRedis(t);

  const upload = await rejection(client.uploadFile({ url: '/a', filePath: __filename, name: 'file' }));
  const socket = await rejection(client.connectSocket({ url: '/live' }));

  assert.equal(upload.code, 'store_unavailable');
  assert.equal(socket.code, 'network');
  assert.deepEqual([wx.logins, skey()], [1, before]);
  resume();
  await eventually(() => client.me());
});

test('a logout that does not reach the gateway is an error, and can be repeated', async (t) => {
  const { client, skey } = miniProgram();
  await client.login();
  const before = skey();
  const resume = await withoutRedis(t);

  const error = await rejection(client.logout());

  assert.equal(error.code, 'store_unavailable');
  assert.equal(skey(), before);
  resume();
  await eventually(() => client.logout());
  assert.equal(skey(), '');
});

test('a busy WeChat is an error with retryAfter, and the next request logs in', async () => {
  const { client, wx, skey } = miniProgram();
  await fault([{ errcode: 45009, errmsg: 'quota', times: 1 }]);

  const error = await rejection(client.request({ url: '/a' }));

  assert.deepEqual([error.code, error.statusCode, error.retryAfter], ['wechat_busy', 503, 60]);
  assert.deepEqual([wx.logins, skey()], [1, '']);
  assert.equal((await client.request({ url: '/a' })).statusCode, 200);
});

test('a network failure ends no session', async () => {
  const { client, wx, skey } = miniProgram();
  await client.login();
  const before = skey();
  const { request } = wx;
  wx.request = (options) => request({ ...options, url: 'http://127.0.0.1:9/' });

  const error = await rejection(client.request({ url: '/a' }));

  assert.equal(error.code, 'network');
  assert.match(error.errMsg, /^request:fail /);
  assert.equal(error.statusCode, undefined);
  assert.deepEqual([wx.logins, skey()], [1, before]);
});

test('a network failure during the login fails the waiting requests, and no skey is left', async () => {
  const { client, wx, skey } = miniProgram();
  await client.login();
  await end(skey());
  const { request } = wx;
  wx.request = (options) => request(/login$/.test(options.url) ? { ...options, url: 'http://127.0.0.1:9/' } : options);

  const errors = await Promise.all([rejection(client.request({ url: '/a' })), rejection(client.request({ url: '/b' }))]);

  assert.deepEqual(errors.map((error) => error.code), ['network', 'network']);
  assert.deepEqual([wx.logins, skey()], [2, '']);
});

test('a response of a load balancer ends no session, and is no result of me', async () => {
  const { client, wx, skey, user } = miniProgram();
  await client.login();
  const before = skey();
  const { request } = wx;
  // The service stands in for it: an answer without X-Gateway-Error.
  wx.request = (options) => request({ ...options, url: options.url.replace(/_gateway.*|login$/, 'public/says/502') });

  const errors = [await rejection(client.logout()), await rejection(client.me()), await rejection(client.login())];

  assert.deepEqual(errors.map((error) => [error.code, error.statusCode]), Array(3).fill(['bad_answer', 502]));
  assert.equal(skey(), before);
  wx.request = request;
  assert.equal((await client.me()).openid, await openid(user));
});
