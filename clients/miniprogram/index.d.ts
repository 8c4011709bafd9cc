/**
 * A client of one gateway; make one in app.js and share it. Throws a `GatewayError` with `code:
 * "usage"` on a bad option.
 */
export function createClient(options: ClientOptions): Client;

export interface ClientOptions {
  /**
   * URL of the gateway for mini programs: `https://api.example.com`. The skey is sent there and
   * nowhere else.
   */
  baseUrl: string;
  /** The `path` of the `[[login]]`. Default `/login`. */
  loginPath?: string;
  /** One of its `methods`. Default `POST`. */
  loginMethod?: 'GET' | 'POST';
  /** Its `style`, or a function that finds the skey in the login response. Default `plain`. */
  style?: Style | ((body: any) => string);
  /**
   * Header of the skey, which must be in `token_from` of the routes; `Authorization` sends
   * `Bearer …`. Default `skey`.
   */
  skeyHeader?: string;
  /** An object with the methods of `wx`. Default `wx`. */
  wx?: object;
}

export type Style = 'plain' | 'token' | 'sessionid' | 'errcode200' | 'wafer1' | 'wafer2';

/**
 * Authentication of a request, as `auth` of a route: `required` logs in when there is no skey,
 * `optional` sends the skey if there is one, `off` sends none.
 */
export type Auth = 'required' | 'optional' | 'off';

/** `url` is a path, or below `baseUrl`; all else is as for `wx`. */
export type Options<T> = T & { url: string; header?: object; auth?: Auth };

export interface Client {
  /**
   * `wx.request`. Resolves with the service's response of any status; a refusal by the gateway is a
   * `GatewayError`.
   */
  request<Data = any>(options: Options<RequestOptions<Data>>): Task<RequestAnswer<Data>>;
  /** `wx.uploadFile`. */
  uploadFile(options: Options<UploadOptions>): Task<UploadAnswer>;
  /** `wx.downloadFile`. */
  downloadFile(options: Options<DownloadOptions>): Task<DownloadAnswer>;
  /** `wx.connectSocket`; gives the SocketTask once it is open. */
  connectSocket(options: Options<SocketOptions>): Promise<SocketTask>;
  /**
   * Logs in, or joins the login in progress; gives the body of the gateway's response. Seldom
   * needed: requests log in.
   */
  login(): Promise<any>;
  /**
   * Ends the session at the gateway, then here. If the gateway cannot be reached the session stays,
   * and `logout` can be repeated.
   */
  logout(): Promise<void>;
  /** The logged-in user. Logs in if there is no session. */
  me(): Promise<Me>;
  /**
   * Changes nickname and avatar, if the gateway keeps them (`users.profile`); `null` and `""`
   * delete a field, absent fields stay. An avatar is an https URL or an absolute path: upload the
   * file of `chooseAvatar` first.
   */
  updateProfile(profile: Profile): Promise<Me>;
  /**
   * The number behind `event.detail.code` of a phone button, where the gateway has `[phone]
   * enabled`. The code is good once.
   */
  phone(code: string): Promise<Phone>;
  /**
   * Decrypts data that WeChat encrypted for this user; the clear text is under `data`. Log in
   * *before* the data is encrypted: a login may change the key. On `session_key_expired` the client
   * has logged in again, and the user has to press the button once more; `cause` is the error of
   * that login, if it failed.
   */
  decrypt<Data = any>(encrypted: Encrypted): Promise<{ data: Data }>;
}

/** A promise with the methods of the tasks of `wx`. */
export interface Task<Answer> extends Promise<Answer> {
  /** Ends it with a `GatewayError` with `code: "aborted"`; a login that it waits for goes on. */
  abort(): void;
  onHeadersReceived(listener: (event: any) => void): void;
  onChunkReceived(listener: (event: any) => void): void;
  onProgressUpdate(listener: (event: any) => void): void;
}

export interface Callbacks<Answer> {
  success?: (answer: Answer) => void;
  /** With a `GatewayError`; `any`, so that callbacks written for wx fit. */
  fail?: (error: any) => void;
  complete?: (outcome: any) => void;
}

export interface RequestOptions<Data> extends Callbacks<RequestAnswer<Data>> {
  method?: 'OPTIONS' | 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'TRACE' | 'CONNECT';
  data?: string | object | ArrayBuffer;
  timeout?: number;
  dataType?: string;
  responseType?: string;
  /** Further options of `wx.request`. */
  [option: string]: any;
}

export interface UploadOptions extends Callbacks<UploadAnswer> {
  filePath: string;
  name: string;
  formData?: object;
  timeout?: number;
  /** Further options of `wx.uploadFile`. */
  [option: string]: any;
}

export interface DownloadOptions extends Callbacks<DownloadAnswer> {
  filePath?: string;
  timeout?: number;
  /** Further options of `wx.downloadFile`. */
  [option: string]: any;
}

export interface SocketOptions {
  protocols?: string[];
  timeout?: number;
  /** Further options of `wx.connectSocket`, without callbacks. */
  [option: string]: any;
}

export interface RequestAnswer<Data> {
  data: Data;
  statusCode: number;
  header: { [name: string]: any };
  cookies: string[];
  errMsg: string;
  exception: any;
  profile: any;
  useHttpDNS: boolean;
}

export interface UploadAnswer {
  data: string;
  statusCode: number;
  /** Since base library 2.1.0. */
  header?: { [name: string]: any };
  errMsg: string;
  profile: any;
}

export interface DownloadAnswer {
  filePath: string;
  tempFilePath: string;
  statusCode: number;
  /** Since base library 2.1.0. */
  header?: { [name: string]: any };
  errMsg: string;
  profile: any;
}

export interface SocketTask {
  send(options: any): void;
  close(options?: any): void;
  onOpen(listener: (event: any) => void): void;
  onMessage(listener: (event: any) => void): void;
  onError(listener: (event: any) => void): void;
  onClose(listener: (event: any) => void): void;
}

export interface Profile {
  /** 1 to 64 characters, any emoji. */
  nickname?: string | null;
  avatar?: string | null;
}

export interface Me {
  /** `null` where the gateway has `users.store = "off"`. */
  user_id: string | null;
  openid: string;
  unionid: string | null;
  appid: string;
  /** Seconds since 1970. */
  logged_in_at: number;
  /** These three where the gateway keeps them. */
  nickname?: string | null;
  avatar?: string | null;
  phone?: string | null;
}

export interface Phone {
  /** With the country's code, unless it is 86. */
  phoneNumber: string;
  purePhoneNumber: string;
  countryCode: string;
}

/** `event.detail` of a button, or the result of wx.getUserInfo and its like. */
export interface Encrypted {
  encryptedData: string;
  iv: string;
  /** Checked, if they are there. */
  rawData?: string;
  signature?: string;
}

/** The reason of every rejected promise of a client. */
export interface GatewayError extends Error {
  name: 'GatewayError';
  /**
   * The gateway's error name (`not_logged_in`, `store_unavailable`, `rate_limited`, …), or one of
   * the library. `network`: no response. `wx_login`: wx.login failed. `aborted`. `bad_answer`: a
   * login response without an skey, or a response of another server to an endpoint of the gateway.
   * `usage`: a mistake in the options.
   */
  code: string;
  /** As for `fail` of `wx`. */
  errMsg: string;
  /** If there was a response. */
  statusCode?: number;
  /** The response of wx, unless it may hold an skey. */
  response?: any;
  /** Of a refusal: its number, the gateway's id of the request, and the seconds to wait. */
  errcode?: number;
  requestId?: string;
  retryAfter?: number;
  /**
   * The argument of `fail` of `wx`; for `session_key_expired` the `GatewayError` of a failed login.
   */
  cause?: any;
}
