// Compiled, never run: the declarations together with WeChat's own typings.
import { createClient, Client, GatewayError } from '..';

const gateway: Client = createClient({ baseUrl: 'https://api.example.com', style: (body) => body.data.token, wx });

wx.getUserInfo({ success: (detail) => gateway.decrypt(detail) });

// The options of wx are taken as they are, with callbacks that were written for it.
const options: WechatMiniprogram.RequestOption = { url: '/orders/7', method: 'POST', data: { item: 'tea' }, enableChunked: true };
const upload: WechatMiniprogram.UploadFileOption = { url: '/photos', filePath: 'wxfile://photo', name: 'photo' };
const download: WechatMiniprogram.DownloadFileOption = { url: '/report' };
const socket: WechatMiniprogram.ConnectSocketOption = { url: '/live', protocols: ['v1'] };

interface Order {
  item: string;
}

gateway.request<Order>({ url: '/orders/7', auth: 'optional' }).then((answer) => answer.data.item.length + answer.statusCode);
gateway.request(options);
gateway.request({ ...options, success: ({ data }) => data, fail: (error) => error.retryAfter });
gateway.request({ url: '/feed', enableChunked: true }).onChunkReceived(({ data }) => data);
gateway.uploadFile(upload).onProgressUpdate(({ progress }) => progress);
gateway.downloadFile(download).then((answer): string => answer.tempFilePath);
gateway.connectSocket(socket).then((task) => task.send({ data: 'hello' }));
gateway.request({ url: '/slow' }).abort();
gateway.decrypt<{ phoneNumber: string }>({ encryptedData: '', iv: '' }).then(({ data }) => data.phoneNumber.length);
gateway.decrypt({ encryptedData: '', iv: '' }).catch((error: GatewayError) => error.code === 'session_key_expired' && error.cause);
gateway.phone('code').then((phone): string => phone.countryCode + phone.purePhoneNumber);
gateway.me().then((me): string | null => me.user_id);
gateway.updateProfile({ nickname: '\u{1f600}', avatar: null }).then((me) => me.nickname!.length);
gateway.logout().catch((error: GatewayError) => error.code === 'store_unavailable' && error.requestId);

// @ts-expect-error: an unknown auth.
gateway.request({ url: '/a', auth: 'maybe' });
// @ts-expect-error: no url.
gateway.request({});
// @ts-expect-error: numbers come from WeChat alone.
gateway.updateProfile({ phone: '13800000000' });
// @ts-expect-error: a file without its name.
gateway.uploadFile({ url: '/photos', filePath: 'wxfile://photo' });
// @ts-expect-error: an unknown style.
createClient({ baseUrl: 'https://api.example.com', style: 'plane' });
