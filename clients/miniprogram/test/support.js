'use strict';

/*
 * Support of the tests, which tests/gateway/client_library.rs runs with everything around them.
 */

const net = require('node:net');
const { createClient } = require('..');
const { Wx } = require('./wx.js');

const { SKEYGATE_URL: url, WECHAT_URL: wechat, APPID: appid, REDIS_ADDRESS: redisAddress } = process.env;

let users = 0;

async function post(to, body) {
  const answer = await fetch(to, { method: 'POST', body: JSON.stringify(body) });
  return answer.json();
}

/** A mini program of a new user, and its client. */
function miniProgram(options = {}, wxOptions = {}) {
  users += 1;
  const user = wxOptions.user || `user-${users}`;
  const codes = () => post(`${wechat}/_mock/code`, { appid, user }).then(({ code }) => code);
  const wx = new Wx({ codes, ...wxOptions });
  const client = createClient({ baseUrl: url, wx, ...options });
  const key = `skeygate:${url}`;
  return {
    user,
    wx,
    client,
    key,
    skey: () => wx.getStorageSync(key),
    sentTo: (path) => wx.sent.filter((request) => new URL(request.url).pathname === path),
    /** Another start of the same mini program, or another phone's state. */
    again: (storage = wx.storage) => miniProgram(options, { user, storage }),
  };
}

/** Ends the session at the gateway behind the client's back. */
async function end(skey) {
  const answer = await fetch(`${url}/_gateway/logout`, { method: 'POST', headers: { skey } });
  if (answer.status !== 200) {
    throw new Error(`logout: ${answer.status}`);
  }
}

/** A command to Redis. */
function redis(command) {
  const [, host, port] = /^(.*):(\d+)$/.exec(redisAddress);
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => socket.write(`${command}\r\n`));
    socket.on('error', reject);
    socket.on('data', (answer) => {
      socket.destroy();
      resolve(answer.toString());
    });
  });
}

/** The reason of a rejected promise. */
async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`not rejected, but ${JSON.stringify(value)}`);
}

/** The openid of this user. */
function openid(user) {
  return post(`${wechat}/_mock/identity`, { appid, user }).then((identity) => identity.openid);
}

/** Data that WeChat encrypts for this user, as in `event.detail` of a button. */
async function encrypted(user, data) {
  const sealed = await post(`${wechat}/_mock/userinfo`, { appid, user, data });
  return { errMsg: 'getPhoneNumber:ok', ...sealed };
}

/** The code of a press on the phone button, and the number behind it. */
function phone(user) {
  return post(`${wechat}/_mock/phone`, { appid, user });
}

/** Makes the fake WeChat misbehave at its next calls. */
function fault(queue, endpoint = 'jscode2session') {
  return post(`${wechat}/_mock/fault`, { endpoint, queue });
}

/** How often the fake WeChat was called. */
async function calls(endpoint) {
  return (await post(`${wechat}/_mock/stats`, {})).calls[endpoint];
}

/** Waits until it was called once more. */
function called(endpoint, before) {
  return post(`${wechat}/_mock/wait`, { endpoint, calls: before + 1 });
}

module.exports = { url, miniProgram, end, redis, rejection, openid, encrypted, phone, fault, calls, called };
