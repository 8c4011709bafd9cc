"""A stand-in for WeChat's jscode2session: every login code is good, and the same user each time."""

import http.server
import json
import threading

OPENID = "oBench-0123456789abcdefghijk"


class Handler(http.server.BaseHTTPRequestHandler):
    """WeChat answers JSON as text/plain."""

    def do_GET(self):
        body = json.dumps({"session_key": "MDEyMzQ1Njc4OWFiY2RlZg==", "openid": OPENID}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class FakeWechat:
    """Listens on a free loopback port until the `with` block is left."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
