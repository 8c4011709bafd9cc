'use strict';

/*
 * Requests of a mini program to a service behind skeygate. Each carries the skey. On the gateway's
 * `not_logged_in` the client logs in, once for all waiting requests, and repeats the request once.
 * No other failure ends a session here: no 503, no network failure, no 401 of the service itself.
 * One file, in ES2017, no dependencies.
 *
 * wx.checkSession is not used. It checks WeChat's session_key, which stays in the gateway and does
 * not expire with the skey; every response of the gateway shows whether the skey is valid.
 */

/** Place of the skey in each style's login response. */
const SKEY_OF = {
  plain: (body) => body.skey,
  token: (body) => body.token,
  sessionid: (body) => body.sessionid,
  errcode200: (body) => body.skey,
  wafer1: (body) => body.session.skey,
  wafer2: (body) => body.data.skey,
};

const AUTH = ['required', 'optional', 'off'];

/**
 * The gateway gives a login 5 s; the rest is for slow networks. All requests of a mini program may
 * wait for this one.
 */
const LOGIN_TIMEOUT = 15000;

/**
 * Time without a new login after an skey was refused right after its login.
 */
const VAIN = 10000;

/** wx, then storage key → session: several clients of one gateway log in once. */
const sessions = new WeakMap();

/**
 * A client of one gateway; make one in app.js and share it. Throws on an invalid option.
 */
function createClient(options) {
  const given = Object.assign({ style: 'plain', skeyHeader: 'skey', loginPath: '/login', loginMethod: 'POST' }, options);
  const platform = given.wx || wx;
  const skeyOf = typeof given.style === 'function' ? given.style : SKEY_OF[oneOf('style', Object.keys(SKEY_OF), given.style)];
  const base = baseUrl(given.baseUrl);
  const session = sharedSession(platform, `skeygate:${base}`);

  /** Logs in, or joins the login in progress. Gives the body of the gateway's response. */
  function login() {
    if (!session.login) {
      const ended = () => { session.login = null; };
      session.login = exchange();
      session.login.then(ended, ended);
    }
    return session.login;
  }

  function exchange() {
    const code = new Promise((resolve, reject) => {
      platform.login({ timeout: LOGIN_TIMEOUT, success: resolve, fail: (error) => reject(wxFailure('wx_login', error)) });
    });
    return code.then((answer) => once('request', {
      url: base + given.loginPath,
      method: given.loginMethod,
      data: { code: answer.code },
      timeout: LOGIN_TIMEOUT,
    }, '', steering())).then(done).then((body) => {
      const skey = attempt(() => skeyOf(body));
      if (!isSkey(skey)) {
        // The body is not shown: it may have the skey somewhere else.
        throw failure('bad_answer', 'the login was answered without an skey where its style has it');
      }
      session.set(skey);
      return body;
    });
  }

  /**
   * An skey for a request that was refused with `used`; throws `refusal` if there shall be none.
   */
  function another(used, refusal, logouts) {
    const vain = session.vain.skey === used && Math.abs(Date.now() - session.vain.at) < VAIN;
    // A request that was in flight during a logout does not log the user in again.
    if (vain || session.logouts !== logouts) {
      throw refusal;
    }
    const other = session.drop(used);
    return other || login().then(() => session.get());
  }

  /** wx.request, wx.uploadFile or wx.downloadFile, with the skey. */
  function call(api, wanted) {
    const steer = steering();
    const logouts = session.logouts;
    const answered = Promise.resolve().then(() => {
      const auth = oneOf('auth', AUTH, wanted.auth || 'required');
      const request = Object.assign({}, wanted, { url: belowBase(base, wanted.url) });
      const send = (skey, again) => once(api, request, skey, steer).then((answer) => {
        if (!asksForLogin(answer) || !skey) {
          return accepted(answer);
        }
        // An skey stored by another copy of this file may be dead, too.
        if (again && skey === session.earned) {
          session.vain = { skey, at: Date.now() };
          throw refused(answer);
        }
        return Promise.resolve(another(skey, refused(answer), logouts)).then((fresh) => send(fresh, true));
      });
      return Promise.resolve(skeyFor(auth)).then((skey) => send(skey, false));
    });
    const result = Promise.race([answered, steer.aborted]);
    tell(wanted, result);
    return Object.assign(result, steer.methods);
  }

  /** The skey to send: none with `off`, none or the one there is with `optional`. */
  function skeyFor(auth) {
    const skey = auth === 'off' ? '' : session.get();
    return skey || auth !== 'required' ? skey : login().then(() => session.get());
  }

  /** One call of wx, to its end. */
  function once(api, request, skey, steer) {
    return new Promise((resolve, reject) => {
      if (steer.isAborted) return; // The caller has aborted.
      let header;
      const theirs = Object.assign({}, request, {
        header: withSkey(request.header, given.skeyHeader, skey),
        // Callbacks of file transfers lack the headers of the response.
        success: (answer) => resolve(answer.header || !header ? answer : Object.assign({}, answer, { header })),
        fail: (error) => reject(wxFailure('network', error)),
      });
      delete theirs.auth;
      delete theirs.complete;
      steer.follow(platform[api](theirs), (received) => { header = received; });
    });
  }

  /** wx.connectSocket, with the skey; gives the SocketTask once it is open. */
  function connectSocket(wanted) {
    return Promise.resolve().then(() => {
      const auth = oneOf('auth', AUTH, wanted.auth || 'required');
      const url = belowBase(base, String(wanted.url).replace(/^ws/, 'http')).replace(/^http/, 'ws');
      const open = (skey) => new Promise((resolve, reject) => {
        const fail = (error) => reject(wxFailure('network', error));
        const header = withSkey(wanted.header, given.skeyHeader, skey);
        const theirs = Object.assign({}, wanted, { url, header, success: () => {}, fail });
        delete theirs.auth;
        delete theirs.complete;
        const socket = platform.connectSocket(theirs);
        socket.onOpen(() => resolve(socket));
        socket.onError(fail);
        socket.onClose(fail);
      });
      return Promise.resolve(skeyFor(auth)).then((skey) => open(skey).catch((error) => {
        if (!skey) throw error;
        // Platforms report the gateway's response differently. So the gateway is asked whether the
        // skey is valid, which logs in if it is not.
        const asked = own('me').catch(() => { throw error; });
        return asked.then(() => (session.get() === skey ? Promise.reject(error) : open(session.get())));
      }));
    });
  }

  /** Calls an endpoint of the gateway itself; gives the body of its response. */
  function own(path, data) {
    return call('request', { url: `/_gateway/${path}`, method: data ? 'POST' : 'GET', data }).then(done);
  }

  /**
   * Decrypts data of WeChat. Data under a key that the gateway lacks will never open: only new data
   * will.
   */
  function decrypt({ encryptedData, iv, rawData, signature }) {
    const logouts = session.logouts;
    return own('decrypt', { encryptedData, iv, rawData, signature }).catch((error) => {
      if (error.code !== 'session_key_expired' || session.logouts !== logouts) throw error;
      error.message = error.errMsg = 'the data is too old; ask for it anew, as with another press of the button';
      return login().catch((cause) => { error.cause = cause; }).then(() => { throw error; });
    });
  }

  /**
   * Ends the session at the gateway, then here. If the gateway cannot be reached the session stays.
   */
  function logout() {
    session.logouts += 1;
    const settled = Promise.resolve(session.login).catch(() => {});
    return settled.then(() => {
      const skey = session.get();
      const request = { url: `${base}/_gateway/logout`, method: 'POST' };
      return skey ? once('request', request, skey, steering()).then((answer) => {
        if (!asksForLogin(answer)) done(answer);
        session.drop(skey);
      }) : undefined;
    });
  }

  return {
    login,
    logout,
    connectSocket,
    me: () => own('me'),
    updateProfile: (profile) => own('me', Object.assign({}, profile)),
    phone: (code) => own('phone', { code }),
    decrypt,
    request: (wanted) => call('request', wanted),
    uploadFile: (wanted) => call('uploadFile', wanted),
    downloadFile: (wanted) => call('downloadFile', wanted),
  };
}

/**
 * State shared by clients of one gateway: the skey, in memory and storage, and the current login.
 */
function sharedSession(platform, key) {
  const known = sessions.get(platform) || {};
  sessions.set(platform, known);
  known[key] = known[key] || newSession(platform, key);
  return known[key];
}

function newSession(platform, key) {
  let skey; // undefined until storage was read
  // Storage may be full or broken; then the skey lives as long as the mini program does.
  const stored = () => {
    const value = attempt(() => platform.getStorageSync(key));
    return isSkey(value) ? value : '';
  };
  return {
    login: null,
    logouts: 0,
    /** The skey of the last login here. */
    earned: '',
    /** The last skey that was refused right after its login, and the time. */
    vain: { skey: '', at: 0 },
    get() {
      if (skey === undefined) {
        skey = stored();
      }
      return skey;
    },
    set(fresh) {
      skey = fresh;
      this.earned = fresh;
      attempt(() => platform.setStorageSync(key, fresh));
    },
    /**
     * Forgets a dead skey, unless another one has replaced it; gives that one or ''.
     */
    drop(used) {
      if (skey === used) {
        // A plugin or an independent subpackage has a copy of this file of its own, and may have
        // logged in.
        const other = stored();
        skey = other === used ? '' : other;
        if (!skey) {
          attempt(() => platform.removeStorageSync(key));
        }
      }
      return skey;
    },
  };
}

/**
 * Handle of a request that may be repeated: abort and listeners apply to the attempt in flight.
 */
function steering() {
  const listeners = [];
  let current = null;
  let end;
  const steer = { isAborted: false, aborted: new Promise((resolve, reject) => { end = reject; }), methods: {} };
  const hook = (name, listener) => {
    const call = current;
    if (call && call.task && typeof call.task[name] === 'function') {
      // Listeners hear nothing of a response that is not given to the caller.
      call.task[name]((event) => { if (errorName(call) === undefined) listener(event); });
    }
  };
  steer.follow = (task, onHeader) => {
    current = { task, header: undefined };
    const call = current;
    if (task && typeof task.onHeadersReceived === 'function') {
      task.onHeadersReceived((event) => {
        call.header = event.header;
        onHeader(event.header);
      });
    }
    listeners.forEach(([name, listener]) => hook(name, listener));
  };
  steer.methods.abort = () => {
    steer.isAborted = true;
    end(failure('aborted', 'request:fail abort'));
    if (current && current.task) {
      current.task.abort();
    }
  };
  ['onHeadersReceived', 'onChunkReceived', 'onProgressUpdate'].forEach((name) => {
    steer.methods[name] = (listener) => {
      listeners.push([name, listener]);
      hook(name, listener);
    };
  });
  return steer;
}

/** Calls the callbacks that wx.request would have called. */
function tell(wanted, result) {
  const { success, fail, complete } = Object(wanted);
  const to = (first) => (outcome) => [first, complete].forEach((callback) => callback && callback(outcome));
  if (success || fail || complete) {
    result.then(to(success), to(fail));
  }
}

function oneOf(name, words, given) {
  if (words.indexOf(given) < 0) {
    throw failure('usage', `${name} is one of ${words.join(', ')}, not ${given}`);
  }
  return given;
}

function baseUrl(url) {
  if (!/^https?:\/\/[^\s/?#@\\]+(\/[^\s?#\\]*)?$/.test(url)) {
    throw failure('usage', `baseUrl is a URL such as https://api.example.com, not ${url}`);
  }
  return url.replace(/\/+$/, '');
}

/**
 * The whole URL. The skey goes nowhere else: a URL that is not below `baseUrl` is the caller's
 * mistake, or an attack.
 */
function belowBase(base, url) {
  const text = String(url);
  if (text.charAt(0) === '/') {
    return base + text;
  }
  if (text.indexOf(base) === 0 && /^([/?#]|$)/.test(text.slice(base.length))) {
    return text;
  }
  throw failure('usage', `a url begins with / or ${base}; for ${text} use wx itself`);
}

function withSkey(header, name, skey) {
  const theirs = Object.assign({}, header);
  if (skey) {
    // HTTP does not tell SKEY from skey, and two different ones are refused.
    Object.keys(theirs).filter((key) => key.toLowerCase() === name.toLowerCase()).forEach((key) => delete theirs[key]);
    theirs[name] = name.toLowerCase() === 'authorization' ? `Bearer ${skey}` : skey;
  }
  return theirs;
}

function isSkey(value) {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{20,128}$/.test(value);
}

/** A header of a response; some platforms keep the spelling of its name, some use capitals. */
function field(answer, name) {
  const header = Object(answer.header);
  const key = Object.keys(header).find((spelling) => spelling.toLowerCase() === name);
  return key === undefined ? undefined : String(header[key]);
}

/** The gateway's error name. A response of the service has none, with any status. */
function errorName(answer) {
  return field(answer, 'x-gateway-error');
}

function asksForLogin(answer) {
  // Before base library 2.1.0 there are no headers of uploads and downloads.
  return answer.header ? errorName(answer) === 'not_logged_in' : answer.statusCode === 401;
}

/** The response, unless it is a refusal by the gateway. */
function accepted(answer) {
  if (errorName(answer) !== undefined || (!answer.header && answer.statusCode === 401)) {
    throw refused(answer);
  }
  return answer;
}

/**
 * The body of a response of the gateway's own endpoints; one of a load balancer is an error.
 */
function done(answer) {
  const { data, statusCode } = accepted(answer);
  if (statusCode < 200 || statusCode > 299) {
    const text = `the gateway's own endpoint was answered with ${statusCode}`;
    throw Object.assign(failure('bad_answer', text, statusCode), { response: answer });
  }
  return data;
}

function refused(answer) {
  const name = errorName(answer) || 'not_logged_in';
  const body = typeof answer.data === 'string' ? attempt(() => JSON.parse(answer.data)) : answer.data;
  const wait = parseInt(field(answer, 'retry-after'), 10);
  return Object.assign(failure(name, `the gateway refused: ${name}`, answer.statusCode), {
    response: answer,
    errcode: Object(body).errcode,
    requestId: field(answer, 'x-request-id'),
    retryAfter: wait >= 0 ? wait : undefined,
  });
}

/** The result of the action; undefined when it throws. */
function attempt(action) {
  try {
    return action();
  } catch (error) {
    return undefined;
  }
}

function wxFailure(code, cause) {
  return Object.assign(failure(code, String(Object(cause).errMsg || 'wx said nothing')), { cause });
}

function failure(code, text, statusCode) {
  // Fail callbacks of wx get an errMsg.
  return Object.assign(new Error(text), { name: 'GatewayError', code, errMsg: text, statusCode });
}

module.exports = { createClient };
