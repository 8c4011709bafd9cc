'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { createClient } = require('..');
const { url, miniProgram, end, rejection, openid, encrypted, phone, fault, calls, called } = require('./support.js');

test('the first request logs in, the next ones do not', async () => {
  const { client, wx, user, skey } = miniProgram();

  const first = await client.request({ url: '/orders?page=2', method: 'POST', data: { item: 'tea' } });
  const second = await client.request({ url: `${url}/orders` });

  assert.equal(first.statusCode, 200);
  assert.equal(first.data.url, '/orders?page=2');
  assert.deepEqual(JSON.parse(first.data.body), { item: 'tea' });
  assert.equal(first.data.headers['x-openid'], await openid(user));
  assert.equal(second.data.headers['x-openid'], await openid(user));
  assert.equal(wx.logins, 1);
  assert.match(skey(), /^[A-Za-z0-9_-]{43}$/);
});

test('a restart of the mini program goes on with the stored skey', async () => {
  const before = miniProgram();
  await before.client.request({ url: '/a' });

  const after = before.again();
  await after.client.request({ url: '/a' });

  assert.equal(after.wx.logins, 0);
  assert.equal(after.wx.sent[0].header.skey, before.skey());
});

test('twelve requests at once without an skey make one login', async () => {
  const { client, wx } = miniProgram();

  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => client.request({ url: `/${n}` })));

  assert.deepEqual(answers.map((answer) => answer.data.url), Array.from({ length: 12 }, (_, n) => `/${n}`));
  assert.equal(wx.logins, 1);
  assert.equal(wx.mostInFlight, 10);
});

test('twelve requests at once with a dead skey make one login, and each is sent twice', async () => {
  const { client, wx, skey, sentTo } = miniProgram();
  await client.login();
  const dead = skey();
  await end(dead);

  const answers = await Promise.all(Array.from({ length: 12 }, () => client.request({ url: '/a' })));

  assert.ok(answers.every((answer) => answer.statusCode === 200));
  assert.equal(wx.logins, 2);
  const sent = sentTo('/a').map((request) => request.header.skey);
  assert.equal(sent.filter((with_) => with_ === dead).length, 12);
  assert.equal(sent.filter((with_) => with_ === skey()).length, 12);
});

test('an skey that another copy of the library stored is taken before a login is made', async () => {
  const { client, wx, key, skey, again } = miniProgram();
  await client.login();
  await end(skey());
  const other = again(new Map());
  await other.client.login();
  wx.setStorageSync(key, other.skey());

  const answer = await client.request({ url: '/a' });

  assert.equal(answer.statusCode, 200);
  assert.equal(wx.logins, 1);
});

test('an skey that another copy of the library stored and that is dead, too, costs no more than a login', async () => {
  const { client, wx, key, skey, again } = miniProgram();
  await client.login();
  await end(skey());
  const other = again(new Map());
  await other.client.login();
  await end(other.skey());
  wx.setStorageSync(key, other.skey());

  const answer = await client.request({ url: '/a' });

  assert.equal(answer.statusCode, 200);
  assert.equal(wx.logins, 2);
});

test('a request that is refused after its login fails, and no login follows for a while', async () => {
  const { client, wx, sentTo, skey } = miniProgram();
  await client.login();

  const errors = [];
  for (let n = 0; n < 5; n += 1) {
    errors.push(await rejection(client.request({ url: '/deaf/a' })));
  }

  assert.deepEqual(errors.map((error) => error.code), Array(5).fill('not_logged_in'));
  assert.equal(errors[0].name, 'GatewayError');
  assert.equal(errors[0].statusCode, 401);
  assert.equal(errors[0].errcode, 40001);
  assert.match(errors[0].requestId, /^[0-9a-f]{32}$/);
  assert.equal(wx.logins, 2);
  assert.equal(sentTo('/deaf/a').length, 6);
  // The skey is good elsewhere.
  assert.equal((await client.request({ url: '/a' })).statusCode, 200);
  assert.match(skey(), /./);
});

test('all requests waiting for a failed login get its error, and the next request tries again', async () => {
  const { client, wx } = miniProgram();
  await fault([{ errcode: 40013, errmsg: 'invalid appid', times: 1 }]);

  const errors = await Promise.all(Array.from({ length: 5 }, () => rejection(client.request({ url: '/a' }))));
  const logins = wx.logins;
  const answer = await client.request({ url: '/a' });

  assert.deepEqual(errors.map((error) => error.code), Array(5).fill('wechat_misconfigured'));
  assert.equal(errors[0].statusCode, 502);
  assert.equal(logins, 1);
  assert.equal(answer.statusCode, 200);
  assert.equal(wx.logins, 2);
});

test('a failed wx.login is an error', async () => {
  const { client, wx, sentTo } = miniProgram();
  wx.loginFails = new Error('system error');

  const error = await rejection(client.request({ url: '/a' }));

  assert.equal(error.code, 'wx_login');
  assert.equal(error.errMsg, 'login:fail system error');
  assert.deepEqual(sentTo('/a'), []);
});

test("a 401 of the service's own is an answer like any other", async () => {
  const { client, wx, sentTo } = miniProgram();

  const answer = await client.request({ url: '/says/401' });

  assert.equal(answer.statusCode, 401);
  assert.equal(wx.logins, 1);
  assert.equal(sentTo('/says/401').length, 1);
});

test('a response of the service is given unchanged, a refusal by the gateway is an error', async () => {
  const { client } = miniProgram();

  const unavailable = await client.request({ url: '/says/503' });
  const refused = await rejection(client.request({ url: '/a/..%2fb' }));

  assert.equal(unavailable.statusCode, 503);
  assert.deepEqual([refused.code, refused.statusCode], ['ambiguous_path', 400]);
  assert.equal(refused.response.data.error, 'ambiguous_path');
});

test('an optional page is served anonymously, without a login', async () => {
  const { client, wx } = miniProgram();

  const answer = await client.request({ url: '/public/news', auth: 'optional' });

  assert.equal(answer.statusCode, 200);
  assert.equal(answer.data.headers['x-openid'], undefined);
  assert.equal(wx.logins, 0);
});

test('an optional page gets the identity of the logged-in user', async () => {
  const { client, wx, user } = miniProgram();
  await client.login();

  const answer = await client.request({ url: '/public/news', auth: 'optional' });

  assert.equal(answer.data.headers['x-openid'], await openid(user));
  assert.equal(wx.logins, 1);
});

test('an optional page that refuses a dead skey makes a login', async () => {
  const { client, wx, user, skey } = miniProgram();
  await client.login();
  await end(skey());

  const answer = await client.request({ url: '/lounge/a', auth: 'optional' });

  assert.equal(answer.data.headers['x-openid'], await openid(user));
  assert.equal(wx.logins, 2);
});

test('a page that is not optional after all is refused, without a login', async () => {
  const { client, wx } = miniProgram();

  const error = await rejection(client.request({ url: '/a', auth: 'optional' }));

  assert.equal(error.code, 'not_logged_in');
  assert.equal(wx.logins, 0);
});

test('with auth off the skey stays here', async () => {
  const { client, wx } = miniProgram();
  await client.login();

  const answer = await client.request({ url: '/public/news', auth: 'off' });

  assert.equal(answer.data.headers['x-openid'], undefined);
  assert.equal(wx.sent[1].header.skey, undefined);
});

test('logout ends the session here and at the gateway', async () => {
  const { client, wx, skey, user } = miniProgram();
  await client.login();
  const before = skey();

  await client.logout();

  assert.equal(skey(), '');
  const answer = await fetch(`${url}/a`, { headers: { skey: before } });
  assert.equal(answer.status, 401);
  const next = await client.request({ url: '/a' });
  assert.equal(next.data.headers['x-openid'], await openid(user));
  assert.equal(wx.logins, 2);
});

test('logout without a session, or of an ended one, causes no login', async () => {
  const { client, wx, skey } = miniProgram();
  await client.logout();
  assert.equal(wx.sent.length, 0);
  await client.login();
  await end(skey());

  await client.logout();

  assert.equal(skey(), '');
  assert.equal(wx.logins, 1);
});

test('a request in flight during a logout does not log the user in again', async () => {
  const { client, wx, skey } = miniProgram();
  await client.login();
  await end(skey());

  const request = rejection(client.request({ url: '/a' }));
  await client.logout();

  assert.equal((await request).code, 'not_logged_in');
  assert.equal(wx.logins, 1);
  assert.equal(skey(), '');
});

test('me gives the logged-in user', async () => {
  const { client, user } = miniProgram();

  const me = await client.me();

  assert.equal(me.openid, await openid(user));
});

test('a profile is changed field by field, also after a login, and forwarded to the service', async () => {
  const { client, wx, skey } = miniProgram();
  await client.login();
  await end(skey());
  const nickname = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467} \u5c0f\u660e';

  const changed = await client.updateProfile({ nickname, avatar: '/a.png' });
  const cleared = await client.updateProfile({ avatar: null });
  const { data } = await client.request({ url: '/a' });
  const error = await rejection(client.updateProfile({ avatar: 'wxfile://tmp_a.png' }));

  assert.deepEqual([changed.nickname, changed.avatar], [nickname, '/a.png']);
  assert.deepEqual([cleared.nickname, cleared.avatar], [nickname, null]);
  assert.deepEqual(await client.me(), cleared);
  assert.equal(decodeURIComponent(data.headers['x-nickname']), nickname);
  assert.deepEqual([error.code, error.statusCode], ['bad_request', 400]);
  assert.equal(wx.logins, 2);
});

test('decrypt gives the data that WeChat encrypted for the user', async () => {
  const { client, user } = miniProgram();
  await client.login();
  const detail = await encrypted(user, { phoneNumber: '13800000000' });

  const { data } = await client.decrypt(detail);

  assert.equal(data.phoneNumber, '13800000000');
});

test('data encrypted before the skey died is decrypted after one login', async () => {
  const { client, wx, user, skey } = miniProgram();
  await client.login();
  const detail = await encrypted(user, { phoneNumber: '13800000000' });
  await end(skey());

  const { data } = await client.decrypt(detail);

  assert.equal(data.phoneNumber, '13800000000');
  assert.equal(wx.logins, 2);
});

test('data encrypted for another user is refused, and causes no login', async () => {
  const { client, wx } = miniProgram();
  const other = miniProgram();
  await Promise.all([client.login(), other.client.login()]);
  const detail = await encrypted(other.user, { phoneNumber: '13800000000' });

  const error = await rejection(client.decrypt(detail));

  assert.deepEqual([error.code, error.statusCode], ['undecryptable', 400]);
  assert.equal(wx.logins, 1);
});

test('data of a session_key that the gateway has not makes a login, and new data opens', async () => {
  const { client, wx, user, skey, sentTo } = miniProgram();
  await client.login();
  const before = skey();
  // A code that is never sent: WeChat has another key now.
  await wx.codes();
  const detail = await encrypted(user, { phoneNumber: '13800000000' });

  const error = await rejection(client.decrypt(detail));
  const { data } = await client.decrypt(await encrypted(user, { phoneNumber: '13800000001' }));

  assert.deepEqual([error.code, error.statusCode, error.errcode], ['session_key_expired', 400, 87009]);
  assert.match(error.message, /ask for it anew/);
  assert.equal(error.errMsg, error.message);
  assert.equal(error.cause, undefined);
  assert.equal(data.phoneNumber, '13800000001');
  assert.equal(wx.logins, 2);
  assert.notEqual(skey(), before);
  assert.equal(sentTo('/_gateway/decrypt').length, 2);
});

test('a failed login after a dead session_key is the cause of the error', async () => {
  const { client, wx, user, skey } = miniProgram();
  await client.login();
  await wx.codes();
  const detail = await encrypted(user, { phoneNumber: '13800000000' });
  wx.loginFails = new Error('system error');

  const error = await rejection(client.decrypt(detail));

  assert.deepEqual([error.code, error.cause.code], ['session_key_expired', 'wx_login']);
  assert.match(skey(), /./);
});

test('data that does not open causes no login after a logout', async () => {
  const { client, wx, user, skey } = miniProgram();
  await client.login();
  await wx.codes();
  const detail = await encrypted(user, { phoneNumber: '13800000000' });
  await fault([{ delay_ms: 300 }], 'checksession');
  const before = await calls('checksession');

  const decrypted = rejection(client.decrypt(detail));
  await called('checksession', before);
  await client.logout();

  assert.equal((await decrypted).code, 'session_key_expired');
  assert.equal(wx.logins, 1);
  assert.equal(skey(), '');
});

test('phone gives the number behind the code of a button, once, and also after a login', async () => {
  const { client, wx, user, skey } = miniProgram();
  await client.login();
  const { code, number } = await phone(user);
  await end(skey());

  const answer = await client.phone(code);
  const error = await rejection(client.phone(code));

  assert.equal(answer.purePhoneNumber, number);
  assert.deepEqual([error.code, error.errcode], ['phone_code_invalid', 40029]);
  assert.equal(wx.logins, 2);
});

test("login gives the gateway's response", async () => {
  const { client, wx } = miniProgram();

  const [first, second] = await Promise.all([client.login(), client.login()]);
  const third = await client.login();

  assert.equal(first, second);
  assert.equal(first.is_new, true);
  assert.equal(third.is_new, false);
  assert.equal(third.user_id, first.user_id);
  assert.equal(wx.logins, 2);
});

test('style token reads the skey where that style has it, and a header can be chosen', async () => {
  const named = miniProgram({ style: 'token', loginPath: '/login.php', skeyHeader: 'Authorization' });
  const read = miniProgram({ style: (body) => body.token, loginPath: '/login.php' });

  const answers = [await named.client.request({ url: '/bearer/a' }), await read.client.request({ url: '/a' })];

  assert.equal(answers[0].data.headers['x-openid'], await openid(named.user));
  assert.equal(answers[0].data.headers.authorization, undefined);
  assert.equal(answers[1].data.headers['x-openid'], await openid(read.user));
});

test('every style of a login is understood', async () => {
  for (const style of ['plain', 'token', 'sessionid', 'errcode200', 'wafer1', 'wafer2']) {
    const { client, user, wx } = miniProgram({ style, loginPath: `/login/${style}` });

    const answer = await client.request({ url: `/in/${style}` });

    assert.equal(answer.data.headers['x-openid'], await openid(user), style);
    assert.equal(wx.logins, 1, style);
  }
});

test('a refusal of every style is understood, also where it is a 200', async () => {
  for (const style of ['plain', 'token', 'sessionid', 'errcode200', 'wafer1', 'wafer2']) {
    const { client, user, wx, skey } = miniProgram({ style, loginPath: `/login/${style}` });
    await client.login();
    await end(skey());

    const answer = await client.request({ url: `/in/${style}` });

    assert.equal(answer.data.headers['x-openid'], await openid(user), style);
    assert.equal(wx.logins, 2, style);
  }
});

test('a login without an skey where the style has it is an error that does not show it', async () => {
  const { client, skey } = miniProgram({ loginPath: '/login.php' });

  const error = await rejection(client.request({ url: '/a' }));

  assert.equal(error.code, 'bad_answer');
  assert.equal(error.response, undefined);
  assert.equal(skey(), '');
});

test('two clients of one gateway share the session, those of two do not', async () => {
  const { client, wx, user } = miniProgram();
  const same = createClient({ baseUrl: `${url}/`, wx });
  const other = createClient({ baseUrl: `${url}/public`, wx });

  await Promise.all([client.request({ url: '/a' }), same.request({ url: '/b' })]);
  const answer = await other.request({ url: '/news', auth: 'optional' });

  assert.equal(wx.logins, 1);
  assert.equal(answer.data.headers['x-openid'], undefined);
  assert.equal((await same.request({ url: '/a' })).data.headers['x-openid'], await openid(user));
});

test('a storage that does not work costs nothing but logins after a restart', async () => {
  const { client, wx } = miniProgram();
  const broken = () => { throw new Error('storage is full'); };
  Object.assign(wx, { getStorageSync: broken, setStorageSync: broken, removeStorageSync: broken });

  await client.request({ url: '/a' });
  await client.request({ url: '/a' });
  await client.logout();

  assert.equal(wx.logins, 1);
});

test('a malformed skey in storage is not sent', async () => {
  const { client, wx, key } = miniProgram();
  wx.setStorageSync(key, { skey: 'an older version' });

  await client.request({ url: '/a' });

  assert.equal(wx.logins, 1);
});
