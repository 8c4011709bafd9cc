// A page with one of Tencent's wafer client SDKs, on a stand-in for `wx` that asks a gateway and a
// fake WeChat. Arguments: the SDK's package, the gateway's URL, the fake's, the appid, the user,
// and an URL under /api that fails. Tells in one line of JSON what became of each step.
const http = require('http');

const [sdk, gateway, wechat, appid, user, failing] = process.argv.slice(2);
const storage = new Map();
const calls = [];

function send(method, url, header, body, done) {
  const request = http.request(url, { method, headers: header }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (piece) => { text += piece; });
    answer.on('end', () => done(answer.statusCode, text));
  });
  request.on('error', (error) => { throw error; });
  request.end(body);
}

function ask(control, answer) {
  send('POST', `${wechat}/_mock/${control}`, {}, JSON.stringify({ appid, user }), (status, text) => {
    if (status !== 200) throw new Error(text);
    answer(JSON.parse(text));
  });
}

global.wx = {
  login: ({ success }) => ask('code', success),
  getUserInfo: ({ success }) => ask('userinfo', (data) => success({ ...data, userInfo: JSON.parse(data.rawData) })),
  checkSession: ({ success }) => success({}),
  getStorageSync: (key) => storage.get(key) || '',
  setStorageSync: (key, value) => storage.set(key, value),
  removeStorageSync: (key) => storage.delete(key),
  // The SDKs' tunnels, which are not used here, ask for these at once.
  ...Object.fromEntries(['Open', 'Message', 'Close', 'Error'].map((event) => [`onSocket${event}`, () => {}])),
  // Any status is a success, and JSON is parsed, as in a mini program.
  request: ({ url, header, method = 'GET', success }) => {
    calls.push(new URL(url).pathname);
    send(method, url, header, undefined, (statusCode, text) => {
      let data = text;
      try { data = JSON.parse(text); } catch { /* stays text */ }
      success({ statusCode, data });
    });
  },
};

const { login, request, setLoginUrl } = require(sdk);
const step = (start) => new Promise((resolve) => {
  start({
    success: (value) => resolve({ ok: value && value.statusCode ? value.statusCode : value }),
    fail: (error) => resolve({ failed: String(error.message), type: error.type }),
  });
});
const get = (path) => step((then) => request({ url: gateway + path, ...then }));
const stored = () => [...storage.values()][0] || null;
const forge = () => storage.set([...storage.keys()][0], { ...stored(), skey: 'k'.repeat(43) });

(async () => {
  const told = {};
  setLoginUrl(`${gateway}/enter`);
  told.login = await step(login);
  told.get = await get('/api/x');
  forge();
  told.ended = await get('/api/y');
  told.failing = await get(failing);
  told.kept = stored() !== null;
  setLoginUrl(`${gateway}/wrong/enter`);
  storage.clear();
  told.wrong = await step(login);
  told.calls = calls;
  console.log(`told ${JSON.stringify(told)}`);
})();
