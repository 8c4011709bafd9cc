'use strict';

/*
 * A stand-in for `wx` in Node, as a mini program sees it: any HTTP status is a success, ten
 * requests at most are in flight, methods are in capitals, JSON is parsed, there is no cookie jar,
 * uploads and downloads give no headers but by their tasks, and callbacks never come before the
 * call has returned. Login codes come from the fake WeChat.
 */

const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

const IN_FLIGHT = 10;
const METHODS = ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE', 'CONNECT'];

class Wx {
  /** `codes` gives login codes; `storage` survives a restart of the mini program. */
  constructor({ codes, storage = new Map() }) {
    this.codes = codes;
    this.storage = storage;
    /** Every request that was sent: api, url, method, header. */
    this.sent = [];
    /** How often wx.login was called. */
    this.logins = 0;
    this.loginFails = null;
    this.mostInFlight = 0;
    this.sockets = [];
    this.inFlight = 0;
    this.queue = [];
    // wx is called in pieces: `const { request } = wx`.
    ['login', 'request', 'uploadFile', 'downloadFile', 'connectSocket', 'getStorageSync', 'setStorageSync', 'removeStorageSync']
      .forEach((name) => { this[name] = this[name].bind(this); });
  }

  login({ success, fail, complete }) {
    this.logins += 1;
    const asked = this.loginFails ? Promise.reject(this.loginFails) : this.codes();
    answer(asked.then((code) => ({ code, errMsg: 'login:ok' })), { success, fail, complete });
  }

  getStorageSync(key) {
    return this.storage.has(key) ? JSON.parse(this.storage.get(key)) : '';
  }

  setStorageSync(key, value) {
    this.storage.set(key, JSON.stringify(value));
  }

  removeStorageSync(key) {
    this.storage.delete(key);
  }

  request(options) {
    const method = options.method || 'GET';
    const bodiless = method === 'GET' || method === 'HEAD';
    const query = bodiless && options.data ? `${options.url.includes('?') ? '&' : '?'}${new URLSearchParams(options.data)}` : '';
    const header = { 'content-type': 'application/json', ...options.header };
    const text = typeof options.data === 'object' ? JSON.stringify(options.data) : options.data;
    const body = bodiless || text === undefined ? '' : text;
    return this.start('request', options, { url: options.url + query, method, header, body }, (reply) => ({
      data: parsed(reply.body.toString(), options.dataType),
      header: reply.header,
      cookies: [],
    }));
  }

  uploadFile(options) {
    const boundary = 'stand-in-of-wx';
    const part = (head, content) => [`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`, content, '\r\n'];
    const fields = Object.entries(options.formData || {}).flatMap(([name, value]) => part(`name="${name}"`, value));
    const file = part(`name="${options.name}"; filename="${path.basename(options.filePath)}"`, fs.readFileSync(options.filePath));
    const body = Buffer.concat([...fields, ...file, `--${boundary}--\r\n`].map((piece) => Buffer.from(piece)));
    const header = { ...options.header, 'content-type': `multipart/form-data; boundary=${boundary}` };
    return this.start('uploadFile', options, { url: options.url, method: 'POST', header, body }, (reply) => ({
      data: reply.body.toString(),
    }));
  }

  downloadFile(options) {
    return this.start('downloadFile', options, { url: options.url, method: 'GET', header: options.header, body: '' }, (reply) => {
      const tempFilePath = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'wx-')), 'file');
      fs.writeFileSync(tempFilePath, reply.body);
      return { tempFilePath };
    });
  }

  /** Queues a request; gives its task. */
  start(api, options, request, answerOf) {
    const listeners = { headers: [], progress: [] };
    let abort;
    const aborted = new Promise((resolve, reject) => { abort = () => reject(new Error('abort')); });
    const exchange = new Promise((resolve, reject) => {
      if (!METHODS.includes(request.method)) {
        reject(new Error(`invalid method ${request.method}`));
        return;
      }
      this.queue.push(() => {
        this.sent.push({ api, ...request });
        const sent = send(request);
        aborted.catch(() => sent.request.destroy());
        return sent.reply.then(resolve, reject);
      });
    });
    aborted.catch(() => {});
    this.next();
    const replied = exchange.then((reply) => {
      listeners.headers.forEach((listener) => listener({ header: reply.header }));
      listeners.progress.forEach((listener) => listener({ progress: 100 }));
      return { ...answerOf(reply), statusCode: reply.status, errMsg: `${api}:ok` };
    });
    answer(Promise.race([replied, aborted]), options, api);
    return {
      abort,
      onHeadersReceived: (listener) => listeners.headers.push(listener),
      onProgressUpdate: (listener) => listeners.progress.push(listener),
    };
  }

  next() {
    while (this.inFlight < IN_FLIGHT && this.queue.length > 0) {
      this.inFlight += 1;
      this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
      const ended = () => {
        this.inFlight -= 1;
        this.next();
      };
      this.queue.shift()().then(ended, ended);
    }
  }

  connectSocket(options) {
    const listeners = { open: [], message: [], error: [], close: [] };
    const emit = (name, event) => setImmediate(() => listeners[name].forEach((listener) => listener(event)));
    const header = {
      ...options.header,
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': Buffer.from('the stand-in: wx').toString('base64'),
    };
    this.sent.push({ api: 'connectSocket', url: options.url, method: 'GET', header });
    const request = http.get(options.url.replace(/^ws/, 'http'), { headers: header, agent: false });
    request.on('response', (reply) => {
      reply.resume();
      emit('error', { errMsg: 'the server did not accept the handshake' });
    });
    request.on('error', (error) => emit('error', { errMsg: error.message }));
    let stream;
    request.on('upgrade', (reply, socket, head) => {
      stream = socket;
      const read = (bytes) => { if (bytes.length > 2) emit('message', { data: bytes.subarray(2).toString() }); };
      socket.on('data', read);
      socket.on('close', () => emit('close', { code: 1006, reason: '' }));
      emit('open', { header: reply.headers });
      read(head);
    });
    answer(Promise.resolve({ errMsg: 'connectSocket:ok' }), options, 'connectSocket');
    const on = (name) => (listener) => listeners[name].push(listener);
    const task = {
      onOpen: on('open'),
      onMessage: on('message'),
      onError: on('error'),
      onClose: on('close'),
      close: () => stream.destroy(),
    };
    this.sockets.push(task);
    return task;
  }
}

/** Calls the callbacks, later. */
function answer(outcome, { success, fail, complete }, api = 'login') {
  const tell = (callback) => (value) => setImmediate(() => {
    if (callback) callback(value);
    if (complete) complete(value);
  });
  outcome.catch((error) => { throw { errMsg: `${api}:fail ${error.message}` }; }).then(tell(success), tell(fail));
}

function send({ url, method, header, body }) {
  const request = http.request(url, { method, headers: { ...header, 'content-length': Buffer.byteLength(body) }, agent: false });
  const reply = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const pieces = [];
      response.on('error', reject);
      response.on('data', (piece) => pieces.push(piece));
      response.on('end', () => {
        resolve({ status: response.statusCode, header: spelled(response.rawHeaders), body: Buffer.concat(pieces) });
      });
    });
  });
  request.end(body);
  return { request, reply };
}

/** Names as iOS spells them: each word with a capital. */
function spelled(raw) {
  const header = {};
  for (let at = 0; at < raw.length; at += 2) {
    header[raw[at].toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())] = raw[at + 1];
  }
  return header;
}

function parsed(text, dataType = 'json') {
  try {
    return dataType === 'json' ? JSON.parse(text) : text;
  } catch (error) {
    return text;
  }
}

module.exports = { Wx };
